// u8 pixels to what a network takes. The reference is torchvision's to_tensor + normalize in float32: v / 255 rounded, minus mean rounded,
// divided by std rounded. IEEE divisions and subtractions are exact on every SIMD target, so all give these bits. Divisions are slow,
// though, and there are only 256 values a channel: where cheaper arithmetic gives the same bits for all of them, which is tried first, it
// is used.
#include <fmt/format.h>
#include <hwy/cache_control.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <type_traits>

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

// mean and std once for each value of a period; what else the arithmetic needs of them is derived.
struct Channels {
  alignas(64) float mean[kPeriod], std[kPeriod], reciprocal[kPeriod], scale[kPeriod], offset[kPeriod];

  Channels(const float* means, const float* stds) {
    for (std::size_t i = 0; i < kPeriod; ++i) {
      mean[i] = means[i % 3];
      std[i] = stds[i % 3];
      reciprocal[i] = 1 / std[i];
      scale[i] = 1 / (255 * std[i]);
      offset[i] = -mean[i] / std[i];
    }
  }
};

HWY_INLINE Floats value_of(const std::uint8_t* rgb) {
  const hn::Rebind<std::uint8_t, FloatTag> d8;
  return hn::ConvertTo(FloatTag(), hn::PromoteTo(hn::Rebind<std::int32_t, FloatTag>(), hn::LoadU(d8, rgb)));
}

// a / b by the reciprocal of b and one step of correction.
HWY_INLINE Floats quotient(Floats a, Floats b, Floats reciprocal) {
  const Floats guess = hn::Mul(a, reciprocal);
  return hn::MulAdd(hn::NegMulAdd(guess, b, a), reciprocal, guess);
}

// Ways to normalise kFloats values that begin at value k of a period.
struct ByDivision {
  static HWY_INLINE Floats normalize(Floats value, const Channels& channels, std::size_t k) {
    const FloatTag d;
    const Floats centred = hn::Sub(hn::Div(value, hn::Set(d, 255.0F)), hn::Load(d, channels.mean + k));
    return hn::Div(centred, hn::Load(d, channels.std + k));
  }
};
struct ByReciprocals {
  static HWY_INLINE Floats normalize(Floats value, const Channels& channels, std::size_t k) {
    const FloatTag d;
    const Floats share = quotient(value, hn::Set(d, 255.0F), hn::Set(d, 1 / 255.0F));
    return quotient(hn::Sub(share, hn::Load(d, channels.mean + k)), hn::Load(d, channels.std + k), hn::Load(d, channels.reciprocal + k));
  }
};
struct ByOneMultiplication {
  static HWY_INLINE Floats normalize(Floats value, const Channels& channels, std::size_t k) {
    const FloatTag d;
    return hn::MulAdd(value, hn::Load(d, channels.scale + k), hn::Load(d, channels.offset + k));
  }
};
template <class T>
using Cheapest = std::conditional_t<std::is_same_v<T, float>, ByReciprocals, ByOneMultiplication>;

using HalfTag = hn::Rebind<std::uint16_t, FloatTag>;

HWY_INLINE Floats rounded(Floats values, float) { return values; }

// The upper half of the bits, rounded to nearest even. There is no NaN here: mean and std are finite and std is not 0.
HWY_INLINE hn::Vec<HalfTag> rounded(Floats values, std::uint16_t) {
  const hn::Rebind<std::uint32_t, FloatTag> d;
  const auto bits = hn::BitCast(d, values);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(d, 1));
  const auto upper = hn::ShiftRight<16>(hn::Add(bits, hn::Add(odd, hn::Set(d, 0x7FFF))));
  return hn::DemoteTo(HalfTag(), hn::BitCast(hn::Rebind<std::int32_t, FloatTag>(), upper));
}

template <class How, class T>
HWY_INLINE auto outputs(const std::uint8_t* rgb, const Channels& channels, std::size_t k) {
  return rounded(How::normalize(value_of(rgb), channels, k), T());
}

// Past the caches where vectors allow it: a batch is larger than they are, and whoever reads it comes later. The last values apart.
template <class How, class T>
HWY_INLINE void normalize_all(const std::uint8_t* rgb, std::size_t count, const Channels& channels, T* out) {
  const hn::Rebind<T, FloatTag> d;
  constexpr std::size_t kVectorBytes = kFloats * sizeof(T), kShortestStreamed = 16;
  const bool streamed = kVectorBytes >= kShortestStreamed && reinterpret_cast<std::uintptr_t>(out) % kVectorBytes == 0;
  std::size_t i = 0;
  for (; i + kPeriod <= count; i += kPeriod) {
    for (std::size_t k = 0; k < kPeriod; k += kFloats) {
      const auto values = outputs<How, T>(rgb + i + k, channels, k);
      streamed ? hn::Stream(values, d, out + i + k) : hn::StoreU(values, d, out + i + k);
    }
  }
  std::uint8_t last[kPeriod] = {};
  T last_out[kPeriod];
  std::copy_n(rgb + i, count - i, last);
  for (std::size_t k = 0; k < kPeriod; k += kFloats) hn::StoreU(outputs<How, T>(last + k, channels, k), d, last_out + k);
  std::copy_n(last_out, count - i, out + i);
  hwy::FlushStream();
}

constexpr auto kEveryValue = [] {
  std::array<std::uint8_t, std::size_t{3} * 256> rgb{};
  for (std::size_t i = 0; i < rgb.size(); ++i) rgb[i] = static_cast<std::uint8_t>(i / 3);
  return rgb;
}();
static_assert(kEveryValue.size() % kPeriod == 0);

// Whether this way gives the bits of divisions for every value of every channel.
template <class How, class T>
bool equals_division(const Channels& channels) {
  const hn::RebindToUnsigned<hn::Rebind<T, FloatTag>> d;
  bool equal = true;
  for (std::size_t i = 0; i < kEveryValue.size(); i += kFloats) {
    const auto quick = outputs<How, T>(kEveryValue.data() + i, channels, i % kPeriod);
    const auto exact = outputs<ByDivision, T>(kEveryValue.data() + i, channels, i % kPeriod);
    equal = equal && hn::AllTrue(d, hn::Eq(hn::BitCast(d, quick), hn::BitCast(d, exact)));
  }
  return equal;
}

template <class T>
void normalize_to(const std::uint8_t* rgb, std::size_t count, const float* mean, const float* std, T* out) {
  const Channels channels(mean, std);
  const bool quick = equals_division<Cheapest<T>, T>(channels);
  quick ? normalize_all<Cheapest<T>>(rgb, count, channels, out) : normalize_all<ByDivision>(rgb, count, channels, out);
}

void to_float32(const std::uint8_t* rgb, std::size_t count, const float* mean, const float* std, float* out) {
  normalize_to(rgb, count, mean, std, out);
}
void to_bfloat16(const std::uint8_t* rgb, std::size_t count, const float* mean, const float* std, std::uint16_t* out) {
  normalize_to(rgb, count, mean, std, out);
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
