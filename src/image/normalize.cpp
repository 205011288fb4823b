// u8 pixels to what a network takes. The reference is torchvision's to_tensor + normalize in float32: v / 255 rounded, minus mean rounded,
// divided by std rounded. IEEE divisions and subtractions are exact on every SIMD target, so all give these bits.
#include <fmt/format.h>

#include <bit>
#include <cmath>

#include "headstart/error.h"
#include "image/pipeline.h"

#ifndef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#endif
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "image/normalize.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace headstart::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using FloatTag = hn::ScalableTag<float>;
using Floats = hn::Vec<FloatTag>;
constexpr std::size_t kFloats = hn::MaxLanes(FloatTag());
constexpr std::size_t kPeriod = 3 * kFloats;  // values after which vectors and channels are in step again

HWY_INLINE Floats normalized(const std::uint8_t* rgb, const float* mean, const float* std) {
  const FloatTag d;
  const hn::Rebind<std::uint8_t, FloatTag> d8;
  const hn::Rebind<std::int32_t, FloatTag> d32;
  const Floats value = hn::Div(hn::ConvertTo(d, hn::PromoteTo(d32, hn::LoadU(d8, rgb))), hn::Set(d, 255.0F));
  return hn::Div(hn::Sub(value, hn::Load(d, mean)), hn::Load(d, std));
}

HWY_INLINE void store(Floats values, float* out) { hn::StoreU(values, FloatTag(), out); }

// The upper half of the bits, rounded to nearest even. There is no NaN here: mean and std are finite and std is not 0.
HWY_INLINE void store(Floats values, std::uint16_t* out) {
  const hn::Rebind<std::uint32_t, FloatTag> d;
  const hn::Rebind<std::int32_t, FloatTag> d_signed;
  const hn::Rebind<std::uint16_t, FloatTag> d16;
  const auto bits = hn::BitCast(d, values);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(d, 1));
  const auto rounded = hn::ShiftRight<16>(hn::Add(bits, hn::Add(odd, hn::Set(d, 0x7FFF))));
  hn::StoreU(hn::DemoteTo(d16, hn::BitCast(d_signed, rounded)), d16, out);
}

void store_one(float value, float* out) { *out = value; }
void store_one(float value, std::uint16_t* out) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  *out = static_cast<std::uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

template <class T>
HWY_INLINE void normalize_all(const std::uint8_t* rgb, std::size_t count, const float* mean, const float* std, T* out) {
  alignas(64) float means[kPeriod], stds[kPeriod];
  for (std::size_t i = 0; i < kPeriod; ++i) {
    means[i] = mean[i % 3];
    stds[i] = std[i % 3];
  }
  std::size_t i = 0;
  for (; i + kPeriod <= count; i += kPeriod) {
    for (std::size_t k = 0; k < kPeriod; k += kFloats) store(normalized(rgb + i + k, means + k, stds + k), out + i + k);
  }
  for (; i < count; ++i) store_one((static_cast<float>(rgb[i]) / 255.0F - mean[i % 3]) / std[i % 3], out + i);
}

void to_float32(const std::uint8_t* rgb, std::size_t count, const float* mean, const float* std, float* out) {
  normalize_all(rgb, count, mean, std, out);
}
void to_bfloat16(const std::uint8_t* rgb, std::size_t count, const float* mean, const float* std, std::uint16_t* out) {
  normalize_all(rgb, count, mean, std, out);
}

}  // namespace
}  // namespace headstart::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace headstart {

HWY_EXPORT(to_float32);
HWY_EXPORT(to_bfloat16);

namespace {

void check(const Preprocessing& preprocessing) {
  for (std::size_t c = 0; c < 3; ++c) {
    const float mean = preprocessing.mean[c], std = preprocessing.std[c];
    if (!std::isfinite(mean) || !std::isfinite(std) || std == 0) {
      throw Error(ErrorCategory::kUsage,
                  fmt::format("normalise: expected finite means and finite standard deviations other than 0, got mean {} "
                              "and std {} for channel {}",
                              mean, std, c));
    }
  }
}

}  // namespace

void normalize_to_float32(std::span<const std::uint8_t> rgb, const Preprocessing& preprocessing, float* out) {
  check(preprocessing);
  HWY_DYNAMIC_DISPATCH(to_float32)(rgb.data(), rgb.size(), preprocessing.mean.data(), preprocessing.std.data(), out);
}

void normalize_to_bfloat16(std::span<const std::uint8_t> rgb, const Preprocessing& preprocessing, std::uint16_t* out) {
  check(preprocessing);
  HWY_DYNAMIC_DISPATCH(to_bfloat16)(rgb.data(), rgb.size(), preprocessing.mean.data(), preprocessing.std.data(), out);
}

}  // namespace headstart
#endif  // HWY_ONCE
