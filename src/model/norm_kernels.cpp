#include "model/norm_kernels.h"

#include <algorithm>

// Vectors of whole 128-bit blocks, as in image/resample_kernels.cpp.
#ifndef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#endif
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "model/norm_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "model/bfloat16_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace headstart::HWY_NAMESPACE {
namespace {

// Rows whose values of a channel are worked on together: what belongs to the channel is loaded once for all of them, and memory is still
// read nearly in order.
constexpr std::size_t kGroup = 8;

template <class D>
HWY_INLINE hn::Vec<D> where_passed(D d, hn::Vec<D> gradient, hn::Vec<D> value, Clamp clamp) {
  const auto inside = hn::And(hn::Gt(value, hn::Set(d, clamp.low)), hn::Lt(value, hn::Set(d, clamp.high)));
  return hn::IfThenElseZero(inside, gradient);
}

// Calls work(d, first row, rows, channel) for groups of rows and vectors of channels.
template <typename Work>
HWY_INLINE void in_groups(Rows rows, const Work& work) {
  for (std::size_t first = 0; first < rows.count; first += kGroup) {
    const std::size_t group = std::min(kGroup, rows.count - first);
    in_vectors<float>(rows.channels, [&](auto d, std::size_t c) HWY_ATTR { work(d, first, group, c); });
  }
}

void moments_kernel(const std::uint16_t* x, Rows rows, const float* shift, float* sum, float* squares) {
  in_groups(rows, [&](auto d, std::size_t first, std::size_t group, std::size_t c) HWY_ATTR {
    const auto offset = hn::LoadU(d, shift + c);
    auto total = hn::LoadU(d, sum + c), total_squares = hn::LoadU(d, squares + c);
    const std::uint16_t* at = x + first * rows.channels + c;
    for (std::size_t i = 0; i < group; ++i, at += rows.channels) {
      const auto value = hn::Sub(load(d, at), offset);
      total = hn::Add(total, value);
      total_squares = hn::MulAdd(value, value, total_squares);
    }
    hn::StoreU(total, d, sum + c);
    hn::StoreU(total_squares, d, squares + c);
  });
}

void normalise_kernel(const std::uint16_t* x, const std::uint16_t* added, Rows rows, const Normalise& norm, std::uint16_t* y) {
  in_groups(rows, [&](auto d, std::size_t first, std::size_t group, std::size_t c) HWY_ATTR {
    const auto scale = hn::LoadU(d, norm.scale + c), shift = hn::LoadU(d, norm.shift + c);
    std::size_t at = first * rows.channels + c;
    for (std::size_t i = 0; i < group; ++i, at += rows.channels) {
      auto value = hn::MulAdd(load(d, x + at), scale, shift);
      if (added != nullptr) value = hn::Add(value, load(d, added + at));
      store(d, clamped(d, value, norm.clamp), y + at);
    }
  });
}

void gradients_kernel(const std::uint16_t* dy, const std::uint16_t* x, const std::uint16_t* y, Rows rows, const Normalise& norm,
                      const GradientSums& sums, std::uint16_t* passed) {
  in_groups(rows, [&](auto d, std::size_t first, std::size_t group, std::size_t c) HWY_ATTR {
    const auto scale = hn::LoadU(d, norm.scale + c), shift = hn::LoadU(d, norm.shift + c), mean = hn::LoadU(d, sums.mean + c);
    auto sum = hn::LoadU(d, sums.sum + c), products = hn::LoadU(d, sums.products + c);
    std::size_t at = first * rows.channels + c;
    for (std::size_t i = 0; i < group; ++i, at += rows.channels) {
      const auto input = load(d, x + at);
      const auto output = y != nullptr ? load(d, y + at) : hn::MulAdd(input, scale, shift);
      const auto gradient = where_passed(d, load(d, dy + at), output, norm.clamp);
      sum = hn::Add(sum, gradient);
      products = hn::MulAdd(gradient, hn::Sub(input, mean), products);
      if (passed != nullptr) store(d, gradient, passed + at);
    }
    hn::StoreU(sum, d, sums.sum + c);
    hn::StoreU(products, d, sums.products + c);
  });
}

void input_gradients_kernel(const std::uint16_t* dy, const std::uint16_t* x, Rows rows, const Normalise& norm, const InputGradient& factors,
                            std::uint16_t* dx) {
  in_groups(rows, [&](auto d, std::size_t first, std::size_t group, std::size_t c) HWY_ATTR {
    const auto scale = hn::LoadU(d, norm.scale + c), shift = hn::LoadU(d, norm.shift + c);
    const auto by_gradient = hn::LoadU(d, factors.by_gradient + c), by_input = hn::LoadU(d, factors.by_input + c);
    const auto constant = hn::LoadU(d, factors.constant + c);
    std::size_t at = first * rows.channels + c;
    for (std::size_t i = 0; i < group; ++i, at += rows.channels) {
      const auto input = load(d, x + at);
      const auto gradient = where_passed(d, load(d, dy + at), hn::MulAdd(input, scale, shift), norm.clamp);
      store(d, hn::MulAdd(gradient, by_gradient, hn::MulAdd(input, by_input, constant)), dx + at);
    }
  });
}

}  // namespace
}  // namespace headstart::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace headstart {

HWY_EXPORT(moments_kernel);
HWY_EXPORT(normalise_kernel);
HWY_EXPORT(gradients_kernel);
HWY_EXPORT(input_gradients_kernel);

void add_moments(const std::uint16_t* x, Rows rows, const float* shift, float* sum, float* squares) {
  HWY_DYNAMIC_DISPATCH(moments_kernel)(x, rows, shift, sum, squares);
}

void normalise(const std::uint16_t* x, const std::uint16_t* added, Rows rows, const Normalise& norm, std::uint16_t* y) {
  HWY_DYNAMIC_DISPATCH(normalise_kernel)(x, added, rows, norm, y);
}

void add_gradients(const std::uint16_t* dy, const std::uint16_t* x, const std::uint16_t* y, Rows rows, const Normalise& norm,
                   const GradientSums& sums, std::uint16_t* passed) {
  HWY_DYNAMIC_DISPATCH(gradients_kernel)(dy, x, y, rows, norm, sums, passed);
}

void input_gradients(const std::uint16_t* dy, const std::uint16_t* x, Rows rows, const Normalise& norm, const InputGradient& factors,
                     std::uint16_t* dx) {
  HWY_DYNAMIC_DISPATCH(input_gradients_kernel)(dy, x, rows, norm, factors, dx);
}

}  // namespace headstart

#endif  // HWY_ONCE
