// bfloat16 activations in the SIMD kernels of this folder: loaded as float32, stored rounded. Each kernels' file includes this once for
// every target, behind <hwy/highway.h>, as Highway asks of code that is compiled for each target; hence the guard. Its vectors are whole
// 128-bit blocks, which SVE and RISC-V do not promise: the files leave out those targets.
#if defined(HEADSTART_BFLOAT16_ROWS) == defined(HWY_TARGET_TOGGLE)
#ifdef HEADSTART_BFLOAT16_ROWS
#undef HEADSTART_BFLOAT16_ROWS
#else
#define HEADSTART_BFLOAT16_ROWS
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>

#include "model/clamp.h"

HWY_BEFORE_NAMESPACE();
namespace headstart::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <class D>
HWY_INLINE hn::Vec<D> load(D d, const std::uint16_t* bits) {
  const hn::Rebind<std::uint16_t, D> narrow;
  const hn::Rebind<std::uint32_t, D> wide;
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(wide, hn::LoadU(narrow, bits))));
}

// Rounds to the nearest, ties to even. NaNs that arithmetic makes of bfloat16 values stay NaN: their low bits are zero.
template <class D>
HWY_INLINE void store(D /*d*/, hn::Vec<D> values, std::uint16_t* bits) {
  const hn::Rebind<std::uint32_t, D> wide;
  const hn::Rebind<std::int32_t, D> signed_wide;
  const hn::Rebind<std::uint16_t, D> narrow;
  const auto v = hn::BitCast(wide, values);
  const auto odd = hn::And(hn::ShiftRight<16>(v), hn::Set(wide, 1));
  const auto rounded = hn::ShiftRight<16>(hn::Add(hn::Add(v, hn::Set(wide, 0x7FFF)), odd));
  hn::StoreU(hn::DemoteTo(narrow, hn::BitCast(signed_wide, rounded)), narrow, bits);
}

// With the limit first, x86's minimum and maximum give the value where it is NaN.
template <class D>
HWY_INLINE hn::Vec<D> clamped(D d, hn::Vec<D> value, Clamp clamp) {
  return hn::Min(hn::Set(d, clamp.high), hn::Max(hn::Set(d, clamp.low), value));
}

// Calls work(d, channel) for vectors of channels, of T's lanes, the last ones of kChannelStep lanes at most.
template <typename T, typename Work>
HWY_INLINE void in_vectors(std::size_t channels, const Work& work) {
  const hn::ScalableTag<T> d;
  const hn::CappedTag<T, kChannelStep> rest;
  std::size_t c = 0;
  for (; c + hn::Lanes(d) <= channels; c += hn::Lanes(d)) work(d, c);
  for (; c < channels; c += hn::Lanes(rest)) work(rest, c);
}

}  // namespace headstart::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
