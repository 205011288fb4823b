#include "image/resample_kernels.h"

#include <algorithm>
#include <cstring>

// The kernels rely on vectors that are whole 128-bit blocks, which SVE and RISC-V do not promise: NEON and the scalar code serve them.
#ifndef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#endif
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "image/resample_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace headstart::HWY_NAMESPACE {
namespace {

constexpr std::int32_t kHalf = 1 << (kWeightBits - 1);

// Sums wrap modulo 2^32 on every target, and 256 * high + low does not exceed 32 bits when it is complete: the order of summation and the
// split of the weights cannot change a bit.
std::uint8_t finish(std::uint32_t high, std::uint32_t low) {
  const auto sum = static_cast<std::int32_t>((high << 8) + low);
  return static_cast<std::uint8_t>(std::clamp(sum >> kWeightBits, 0, 255));
}

std::uint32_t low_lane(std::int32_t pair) {
  return static_cast<std::uint32_t>(static_cast<std::int32_t>(static_cast<std::int16_t>(pair & 0xFFFF)));
}
std::uint32_t high_lane(std::int32_t pair) { return static_cast<std::uint32_t>(pair >> 16); }

// One byte of an output row; the vertical pass of narrow pictures.
std::uint8_t resample_one(const std::uint8_t* const* rows, std::size_t x, const std::int32_t* weights, int pairs) {
  std::uint32_t high = 0, low = kHalf;
  for (int p = 0; p < pairs; ++p, weights += 2) {
    const std::uint32_t a = rows[2 * p][x], b = rows[2 * p + 1][x];
    high += a * low_lane(weights[0]) + b * high_lane(weights[0]);
    low += a * low_lane(weights[1]) + b * high_lane(weights[1]);
  }
  return finish(high, low);
}

#if HWY_TARGET == HWY_SCALAR

void rows_kernel(const std::uint8_t* const* rows, std::size_t count, std::int32_t first_column, const AxisTaps& taps, std::uint8_t* out,
                 std::size_t out_stride) {
  for (std::size_t r = 0; r < count; ++r, out += out_stride) {
    const std::int32_t* weights = taps.weights;
    for (std::ptrdiff_t i = 0; i < taps.outputs; ++i) {
      const std::uint8_t* source = rows[r] + static_cast<std::ptrdiff_t>(taps.first[i] - first_column) * 3;
      std::uint32_t high[3] = {}, low[3] = {kHalf, kHalf, kHalf};
      for (int p = 0; p < taps.pairs; ++p, weights += 2, source += 6) {
        for (int c = 0; c < 3; ++c) {
          high[c] += source[c] * low_lane(weights[0]) + source[c + 3] * high_lane(weights[0]);
          low[c] += source[c] * low_lane(weights[1]) + source[c + 3] * high_lane(weights[1]);
        }
      }
      for (int c = 0; c < 3; ++c) out[i * 3 + c] = finish(high[c], low[c]);
    }
  }
}

void row_of_columns(const std::uint8_t* const* rows, const std::int32_t* weights, int pairs, std::size_t row_bytes, std::uint8_t* out) {
  for (std::size_t x = 0; x < row_bytes; ++x) out[x] = resample_one(rows, x, weights, pairs);
}

#else

namespace hn = hwy::HWY_NAMESPACE;
using BytesTag = hn::ScalableTag<std::uint8_t>;
using Int8Tag = hn::ScalableTag<std::int8_t>;
using Int16Tag = hn::ScalableTag<std::int16_t>;
using Int32Tag = hn::ScalableTag<std::int32_t>;
using Bytes = hn::Vec<BytesTag>;
using Int16s = hn::Vec<Int16Tag>;
using Int32s = hn::Vec<Int32Tag>;
constexpr std::size_t kBytes = hn::MaxLanes(BytesTag());
constexpr std::size_t kBlocks = kBytes / 16;

// Byte shuffles within a block; -1 gives 0. Taps 0 and 1 (or 2 and 3) of R, G and B as pairs of 16-bit lanes.
alignas(16) constexpr std::int8_t kTaps01[16] = {0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1};
alignas(16) constexpr std::int8_t kTaps23[16] = {6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1};
// Two pixels of four 16-bit lanes to the first or second six bytes.
alignas(16) constexpr std::int8_t kPixels01[16] = {0, 2, 4, 8, 10, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
alignas(16) constexpr std::int8_t kPixels23[16] = {-1, -1, -1, -1, -1, -1, 0, 2, 4, 8, 10, 12, -1, -1, -1, -1};
// The low bytes of eight 16-bit lanes to the lower or upper half.
alignas(16) constexpr std::int8_t kEvenLower[16] = {0, 2, 4, 6, 8, 10, 12, 14, -1, -1, -1, -1, -1, -1, -1, -1};
alignas(16) constexpr std::int8_t kEvenUpper[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 2, 4, 6, 8, 10, 12, 14};

HWY_INLINE Bytes shuffle(Bytes bytes, const std::int8_t* table) {
  return hn::BitCast(BytesTag(), hn::TableLookupBytesOr0(hn::BitCast(Int8Tag(), bytes), hn::LoadDup128(Int8Tag(), table)));
}

// Weighted sums of one register of lanes, high and low halves apart. The constructor is written out since an implicit one would not be
// compiled for the target.
struct Sums {
  Int32s high, high_rest, low, low_rest;

  HWY_INLINE Sums()
      : high(hn::Zero(Int32Tag())), high_rest(hn::Zero(Int32Tag())), low(hn::Set(Int32Tag(), kHalf)), low_rest(hn::Zero(Int32Tag())) {}

  // pixels: 16-bit lanes, two taps side by side; weights: one pair of taps.
  HWY_INLINE void add(Bytes pixels, const std::int32_t* weights) {
    const Int16Tag d16;
    const Int32Tag d32;
    const Int16s values = hn::BitCast(d16, pixels);
    high = hn::ReorderWidenMulAccumulate(d32, values, hn::BitCast(d16, hn::Set(d32, weights[0])), high, high_rest);
    low = hn::ReorderWidenMulAccumulate(d32, values, hn::BitCast(d16, hn::Set(d32, weights[1])), low, low_rest);
  }

  HWY_INLINE Int32s finish() const {
    const Int32s sum = hn::Add(hn::ShiftLeft<8>(hn::RearrangeToOddPlusEven(high, high_rest)), hn::RearrangeToOddPlusEven(low, low_rest));
    return hn::ShiftRight<kWeightBits>(sum);
  }
};

// Values of a and b, block by block, as 16-bit lanes in [0, 255].
HWY_INLINE Bytes narrow(Int32s a, Int32s b) {
  const Int16Tag d16;
  const Int16s values = hn::ReorderDemote2To(d16, a, b);
  return hn::BitCast(BytesTag(), hn::Min(hn::Max(values, hn::Zero(d16)), hn::Set(d16, 255)));
}

// Block i of the result is the 16 bytes at rows[i] + offset.
template <class D>
HWY_INLINE hn::Vec<D> load_blocks(D d, const std::uint8_t* const* rows, std::size_t offset) {
  if constexpr (hn::MaxLanes(D()) == 16) {
    return hn::LoadU(d, rows[0] + offset);
  } else {
    const hn::Half<D> half;
    return hn::Combine(d, load_blocks(half, rows + hn::MaxLanes(half) / 16, offset), load_blocks(half, rows, offset));
  }
}

// The first `bytes` bytes of each block, at most 12 when fewer than 16.
template <class D>
HWY_INLINE void store_blocks(D d, hn::Vec<D> blocks, std::uint8_t* const* rows, std::size_t offset, std::size_t bytes) {
  if constexpr (hn::MaxLanes(D()) == 16) {
    if (bytes >= 16) return hn::StoreU(blocks, d, rows[0] + offset);
    alignas(16) std::uint8_t block[16];
    hn::Store(blocks, d, block);
    std::memcpy(rows[0] + offset, block, std::min<std::size_t>(bytes, 12));
  } else {
    const hn::Half<D> half;
    store_blocks(half, hn::LowerHalf(half, blocks), rows, offset, bytes);
    store_blocks(half, hn::UpperHalf(half, blocks), rows + hn::MaxLanes(half) / 16, offset, bytes);
  }
}

// One output pixel of kBlocks rows: R, G, B and a meaningless lane in each block.
HWY_INLINE Int32s resample_pixel(const std::uint8_t* const* rows, std::int32_t first, const std::int32_t* weights, int pairs) {
  const BytesTag d8;
  Sums sums;
  std::size_t offset = static_cast<std::size_t>(first) * 3;
  int p = 0;
  for (; p + 1 < pairs; p += 2, offset += 12, weights += 4) {
    const Bytes bytes = load_blocks(d8, rows, offset);
    sums.add(shuffle(bytes, kTaps01), weights);
    sums.add(shuffle(bytes, kTaps23), weights + 2);
  }
  if (p < pairs) sums.add(shuffle(load_blocks(d8, rows, offset), kTaps01), weights);
  return sums.finish();
}

// kBlocks rows, four pixels at a time. kPairs: pairs of taps where known, which unrolls the loop over them; 0 otherwise.
template <int kPairs>
void block_of_rows(const std::uint8_t* const* from, std::int32_t first_column, const AxisTaps& taps, std::uint8_t* const* to) {
  const int pairs = kPairs > 0 ? kPairs : taps.pairs;
  const std::ptrdiff_t step = std::ptrdiff_t{2} * pairs;
  const std::size_t row_bytes = static_cast<std::size_t>(taps.outputs) * 3;
  const std::int32_t* weights = taps.weights;
  const std::int32_t* first = taps.first;
  for (std::size_t offset = 0; offset < row_bytes; offset += 12, first += 4, weights += 4 * step) {
    const Int32s pixel0 = resample_pixel(from, first[0] - first_column, weights, pairs);
    const Int32s pixel1 = resample_pixel(from, first[1] - first_column, weights + step, pairs);
    const Int32s pixel2 = resample_pixel(from, first[2] - first_column, weights + 2 * step, pairs);
    const Int32s pixel3 = resample_pixel(from, first[3] - first_column, weights + 3 * step, pairs);
    const Bytes packed = hn::Or(shuffle(narrow(pixel0, pixel1), kPixels01), shuffle(narrow(pixel2, pixel3), kPixels23));
    store_blocks(BytesTag(), packed, to, offset, row_bytes - offset);
  }
}

using BlockOfRows = void (*)(const std::uint8_t* const*, std::int32_t, const AxisTaps&, std::uint8_t* const*);
BlockOfRows choose_block_of_rows(int pairs) {
  constexpr BlockOfRows kKnown[] = {block_of_rows<0>, block_of_rows<1>, block_of_rows<2>, block_of_rows<3>, block_of_rows<4>};
  return pairs <= 4 ? kKnown[pairs] : kKnown[0];
}

void rows_kernel(const std::uint8_t* const* rows, std::size_t count, std::int32_t first_column, const AxisTaps& taps, std::uint8_t* out,
                 std::size_t out_stride) {
  const BlockOfRows block = choose_block_of_rows(taps.pairs);
  for (std::size_t r = 0; r < count; r += kBlocks) {
    const std::uint8_t* from[kBlocks];
    std::uint8_t* to[kBlocks];
    for (std::size_t b = 0; b < kBlocks; ++b) {
      const std::size_t row = std::min(r + b, count - 1);  // the last row again where there are no more
      from[b] = rows[row];
      to[b] = out + row * out_stride;
    }
    block(from, first_column, taps, to);
  }
}

template <int kPairs>
HWY_INLINE void column_vector(const std::uint8_t* const* rows, const std::int32_t* weights, int pairs, std::size_t x, std::uint8_t* out) {
  const BytesTag d8;
  const Bytes zero = hn::Zero(d8);
  Sums sums0, sums1, sums2, sums3;  // no array: GCC 12 would keep it in memory
  for (int p = 0; p < (kPairs > 0 ? kPairs : pairs); ++p, weights += 2) {
    const Bytes a = hn::LoadU(d8, rows[2 * p] + x), b = hn::LoadU(d8, rows[2 * p + 1] + x);
    const Bytes lower = hn::InterleaveLower(d8, a, b), upper = hn::InterleaveUpper(d8, a, b);
    sums0.add(hn::InterleaveLower(d8, lower, zero), weights);
    sums1.add(hn::InterleaveUpper(d8, lower, zero), weights);
    sums2.add(hn::InterleaveLower(d8, upper, zero), weights);
    sums3.add(hn::InterleaveUpper(d8, upper, zero), weights);
  }
  const Bytes lower = narrow(sums0.finish(), sums1.finish()), upper = narrow(sums2.finish(), sums3.finish());
  hn::StoreU(hn::Or(shuffle(lower, kEvenLower), shuffle(upper, kEvenUpper)), d8, out + x);
}

template <int kPairs>
HWY_INLINE void vectors_of_row(const std::uint8_t* const* rows, const std::int32_t* weights, int pairs, std::size_t row_bytes,
                               std::uint8_t* out) {
  for (std::size_t x = 0; x + kBytes < row_bytes; x += kBytes) column_vector<kPairs>(rows, weights, pairs, x, out);
  column_vector<kPairs>(rows, weights, pairs, row_bytes - kBytes, out);  // overlaps the one before it: same inputs, same bytes
}

void row_of_columns(const std::uint8_t* const* rows, const std::int32_t* weights, int pairs, std::size_t row_bytes, std::uint8_t* out) {
  if (row_bytes < kBytes) {
    for (std::size_t x = 0; x < row_bytes; ++x) out[x] = resample_one(rows, x, weights, pairs);
    return;
  }
  switch (pairs) {
    case 1:
      return vectors_of_row<1>(rows, weights, pairs, row_bytes, out);
    case 2:
      return vectors_of_row<2>(rows, weights, pairs, row_bytes, out);
    case 3:
      return vectors_of_row<3>(rows, weights, pairs, row_bytes, out);
    case 4:
      return vectors_of_row<4>(rows, weights, pairs, row_bytes, out);
    default:
      return vectors_of_row<0>(rows, weights, pairs, row_bytes, out);
  }
}

#endif  // HWY_TARGET == HWY_SCALAR

void columns_kernel(const std::uint8_t* const* rows, std::int32_t first_row, const AxisTaps& taps, std::size_t row_bytes, std::uint8_t* out,
                    std::size_t out_stride) {
  const std::int32_t* weights = taps.weights;
  for (std::ptrdiff_t i = 0; i < taps.outputs; ++i, weights += static_cast<std::ptrdiff_t>(taps.pairs) * 2, out += out_stride) {
    row_of_columns(rows + (taps.first[i] - first_row), weights, taps.pairs, row_bytes, out);
  }
}

}  // namespace
}  // namespace headstart::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace headstart {

HWY_EXPORT(rows_kernel);
HWY_EXPORT(columns_kernel);

std::size_t readable_row_bytes(const AxisTaps& taps, std::int32_t first_column) {
  const std::int32_t last = *std::max_element(taps.first, taps.first + taps.outputs) - first_column;
  return (static_cast<std::size_t>(last) + static_cast<std::size_t>(taps.pairs) * 2) * 3 + 16;
}

void resample_rows(const std::uint8_t* const* rows, std::size_t count, std::int32_t first_column, const AxisTaps& taps, std::uint8_t* out,
                   std::size_t out_stride) {
  HWY_DYNAMIC_DISPATCH(rows_kernel)(rows, count, first_column, taps, out, out_stride);
}

void resample_columns(const std::uint8_t* const* rows, std::int32_t first_row, const AxisTaps& taps, std::size_t row_bytes,
                      std::uint8_t* out, std::size_t out_stride) {
  HWY_DYNAMIC_DISPATCH(columns_kernel)(rows, first_row, taps, row_bytes, out, out_stride);
}

std::vector<std::int64_t> simd_targets() {
  std::vector<std::int64_t> found;
  for (std::int64_t left = hwy::SupportedTargets() & HWY_TARGETS; left != 0; left &= left - 1) found.push_back(left & -left);
  return found;
}

std::string simd_target_name(std::int64_t target) { return hwy::TargetName(target); }

void use_simd_target(std::int64_t target) {
  hwy::SetSupportedTargetsForTest(target);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace headstart
#endif  // HWY_ONCE
