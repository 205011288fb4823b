// The passes over memory of a batch norm in training, fused with what follows it (model/fused_norm.h): each over rows of channels, bfloat16
// as its bits, arithmetic in float32. SIMD by Highway, chosen at run time; sums are the same whatever the threads, and may differ between
// processors in their last bits.
// Thread-safety: any thread. `channels` is a multiple of kChannelStep everywhere.
#pragma once

#include <cstddef>
#include <cstdint>

#include "model/clamp.h"

namespace headstart {

// Activations [rows, channels], contiguous.
struct Rows {
  std::size_t count = 0;
  std::size_t channels = 0;
};

// sum += Σ (x - shift) and squares += Σ (x - shift)², by channel. All but x: [channels].
void add_moments(const std::uint16_t* x, Rows rows, const float* shift, float* sum, float* squares);

// y = clamp(x * scale + shift + added); added may be nullptr.
struct Normalise {
  const float *scale, *shift;  // [channels]
  Clamp clamp;
};
void normalise(const std::uint16_t* x, const std::uint16_t* added, Rows rows, const Normalise& norm, std::uint16_t* y);

// sum += Σ g and products += Σ g * (x - mean), by channel, where g is dy where the activation passed it and else 0. What it passed is told
// by its output y, or where y is nullptr by computing it again from x. Where `passed` is not nullptr, g is written there.
struct GradientSums {
  const float* mean;
  float *sum, *products;
};
void add_gradients(const std::uint16_t* dy, const std::uint16_t* x, const std::uint16_t* y, Rows rows, const Normalise& norm,
                   const GradientSums& sums, std::uint16_t* passed);

// dx = g * by_gradient + x * by_input + constant, with g from dy and x as above.
struct InputGradient {
  const float *by_gradient, *by_input, *constant;  // [channels]
};
void input_gradients(const std::uint16_t* dy, const std::uint16_t* x, Rows rows, const Normalise& norm, const InputGradient& factors,
                     std::uint16_t* dx);

}  // namespace headstart
