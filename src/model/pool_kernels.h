// Max-pooling with windows of 3x3, stride 2 and a padding of 1, forward and backward: rows of one image, bfloat16 as its bits. SIMD by
// Highway, chosen at run time. Threads, and what is around it: model/fused_pool.h. Thread-safety: any thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "model/norm_kernels.h"

namespace headstart {

// One image [height, width, channels] and what is pooled of it [pooled_height, pooled_width, channels].
struct PoolShape {
  std::size_t height, width, channels;  // channels: a multiple of kChannelStep

  std::size_t pooled_height() const { return (height + 1) / 2; }
  std::size_t pooled_width() const { return (width + 1) / 2; }
  std::size_t size() const { return height * width * channels; }
  std::size_t pooled_size() const { return pooled_height() * pooled_width() * channels; }
};

// Where in its window an output's input lies is 3 * row + column, its tap: of equal inputs the first, of NaNs the last, as LibTorch has it.
// kNoTap: nowhere.
inline constexpr std::uint8_t kNoTap = 9;

// A row of outputs [pooled_width, channels].
struct PooledRow {
  std::uint16_t* values;
  std::uint8_t* taps;  // may be nullptr
};

// The output row `row` of max_pool(ReLU(x)). An output of 0 has kNoTap, as it has no gradient.
void pool_activated_row(const std::uint16_t* x, const PoolShape& shape, std::size_t row, const PooledRow& into);

// That of max_pool(x), or, in channels where `smallest` [channels] is -1 and not 0, of the smallest inputs. NaNs may be passed over.
void pool_row(const std::uint16_t* x, const PoolShape& shape, const std::int16_t* smallest, std::size_t row, const PooledRow& into);

// dx = g * by_gradient + x * by_input + constant, with g the sum of dy over the outputs that were taken from that input; where x is
// nullptr, dx = g. For the input rows 2 * row and 2 * row + 1 of the image, from dy and taps of the whole of it.
struct PooledGradient {
  const std::uint16_t* dy;
  const std::uint8_t* taps;
};
void unpool_rows(const PooledGradient& gradient, const std::uint16_t* x, const PoolShape& shape, const InputGradient& factors,
                 std::size_t row, std::uint16_t* dx);

}  // namespace headstart
