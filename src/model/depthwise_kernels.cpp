#include "model/depthwise_kernels.h"

#include <algorithm>

#include "headstart/error.h"

// As in model/norm_kernels.cpp.
#ifndef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#endif
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "model/depthwise_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "model/bfloat16_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace headstart::HWY_NAMESPACE {
namespace {

// Output columns that are computed together: neighbours share most of the input columns that they meet, which are loaded once.
constexpr std::size_t kBlock = 4;

// Input columns that a block meets.
template <std::size_t kTaps, std::size_t kStep>
constexpr std::size_t kWindow = (kBlock - 1) * kStep + kTaps;

// Column `column` of the row, zero outside of it.
template <class D>
HWY_INLINE hn::Vec<D> column_or_zero(D d, const std::uint16_t* row, std::ptrdiff_t column, const RowGeometry& g, std::size_t c) {
  if (column < 0 || column >= static_cast<std::ptrdiff_t>(g.columns)) return hn::Zero(d);
  return load(d, row + static_cast<std::size_t>(column) * g.channels + c);
}

template <std::size_t kTaps, std::size_t kStep>
void correlate_kernel(const RowTerm* terms, std::size_t term_count, const RowGeometry& g, const RowEnd& end, std::uint16_t* out,
                      std::size_t out_stride) {
  for (std::size_t i = 0; i < g.outputs; i += kBlock) {
    const std::ptrdiff_t first = g.first + static_cast<std::ptrdiff_t>(i * kStep);
    const std::size_t block = std::min(kBlock, g.outputs - i);
    in_vectors<float>(g.channels, [&](auto d, std::size_t c) HWY_ATTR {
      using V = hn::Vec<decltype(d)>;
      const V start = end.bias != nullptr ? hn::LoadU(d, end.bias + c) : hn::Zero(d);
      V sum0 = start, sum1 = start, sum2 = start, sum3 = start;
      for (std::size_t term = 0; term < term_count; ++term) {
        V window[kWindow<kTaps, kStep>];
        for (std::size_t j = 0; j < kWindow<kTaps, kStep>; ++j) {
          window[j] = column_or_zero(d, terms[term].input, first + static_cast<std::ptrdiff_t>(j), g, c);
        }
        const float* tap = terms[term].taps + c;
        for (std::size_t t = 0; t < kTaps; ++t, tap += g.tap_stride) {
          const V weight = hn::LoadU(d, tap);
          sum0 = hn::MulAdd(window[t], weight, sum0);
          sum1 = hn::MulAdd(window[kStep + t], weight, sum1);
          sum2 = hn::MulAdd(window[2 * kStep + t], weight, sum2);
          sum3 = hn::MulAdd(window[3 * kStep + t], weight, sum3);
        }
      }
      std::uint16_t* const to = out + i * out_stride + c;
      store(d, clamped(d, sum0, end.clamp), to);
      if (block > 1) store(d, clamped(d, sum1, end.clamp), to + out_stride);
      if (block > 2) store(d, clamped(d, sum2, end.clamp), to + 2 * out_stride);
      if (block > 3) store(d, clamped(d, sum3, end.clamp), to + 3 * out_stride);
    });
  }
}

template <std::size_t kTaps, std::size_t kStep>
void tap_gradients_kernel(const std::uint16_t* input, const std::uint16_t* gradient, const RowGeometry& g, float* sums) {
  in_vectors<float>(g.channels, [&](auto d, std::size_t c) HWY_ATTR {
    using V = hn::Vec<decltype(d)>;
    V taps[kTaps];
    for (std::size_t t = 0; t < kTaps; ++t) taps[t] = hn::LoadU(d, sums + t * g.channels + c);
    for (std::size_t i = 0; i < g.outputs; i += kBlock) {
      const std::ptrdiff_t first = g.first + static_cast<std::ptrdiff_t>(i * kStep);
      V window[kWindow<kTaps, kStep>];
      for (std::size_t j = 0; j < kWindow<kTaps, kStep>; ++j) {
        window[j] = column_or_zero(d, input, first + static_cast<std::ptrdiff_t>(j), g, c);
      }
      const std::size_t block = std::min(kBlock, g.outputs - i);
      for (std::size_t p = 0; p < kBlock; ++p) {
        if (p >= block) break;
        const V dy = load(d, gradient + (i + p) * g.channels + c);
        for (std::size_t t = 0; t < kTaps; ++t) taps[t] = hn::MulAdd(window[p * kStep + t], dy, taps[t]);
      }
    }
    for (std::size_t t = 0; t < kTaps; ++t) hn::StoreU(taps[t], d, sums + t * g.channels + c);
  });
}

void columns_kernel(const std::uint16_t* values, std::size_t columns, std::size_t channels, float* sum) {
  in_vectors<float>(channels, [&](auto d, std::size_t c) HWY_ATTR {
    auto total = hn::LoadU(d, sum + c);
    for (std::size_t i = 0; i < columns; ++i) total = hn::Add(total, load(d, values + i * channels + c));
    hn::StoreU(total, d, sum + c);
  });
}

// Calls work.operator()<taps, step>() for the geometry's.
template <typename Work>
void by_geometry(const RowGeometry& g, const Work& work) {
  switch (10 * g.taps + g.step) {
    case 11:
      return work.template operator()<1, 1>();
    case 21:
      return work.template operator()<2, 1>();
    case 31:
      return work.template operator()<3, 1>();
    case 51:
      return work.template operator()<5, 1>();
    case 32:
      return work.template operator()<3, 2>();
    case 52:
      return work.template operator()<5, 2>();
    default:
      throw Error(ErrorCategory::kInternal, "depthwise convolution: no kernel for this number of taps and this stride");
  }
}

void correlate(const RowTerm* terms, std::size_t term_count, const RowGeometry& g, const RowEnd& end, std::uint16_t* out,
               std::size_t out_stride) {
  by_geometry(g,
              [&]<std::size_t kTaps, std::size_t kStep>() { correlate_kernel<kTaps, kStep>(terms, term_count, g, end, out, out_stride); });
}

void tap_gradients(const std::uint16_t* input, const std::uint16_t* gradient, const RowGeometry& g, float* sums) {
  by_geometry(g, [&]<std::size_t kTaps, std::size_t kStep>() { tap_gradients_kernel<kTaps, kStep>(input, gradient, g, sums); });
}

}  // namespace
}  // namespace headstart::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace headstart {

HWY_EXPORT(correlate);
HWY_EXPORT(tap_gradients);
HWY_EXPORT(columns_kernel);

void correlate_rows(std::span<const RowTerm> terms, const RowGeometry& geometry, const RowEnd& end, std::uint16_t* out,
                    std::size_t out_stride) {
  HWY_DYNAMIC_DISPATCH(correlate)(terms.data(), terms.size(), geometry, end, out, out_stride);
}

void add_tap_gradients(const std::uint16_t* input, const std::uint16_t* gradient, const RowGeometry& geometry, float* sums) {
  HWY_DYNAMIC_DISPATCH(tap_gradients)(input, gradient, geometry, sums);
}

void add_columns(const std::uint16_t* values, std::size_t columns, std::size_t channels, float* sum) {
  HWY_DYNAMIC_DISPATCH(columns_kernel)(values, columns, channels, sum);
}

}  // namespace headstart

#endif  // HWY_ONCE
