#include "model/pool_kernels.h"

#include <algorithm>
#include <limits>

// Vectors of whole 128-bit blocks, as in image/resample_kernels.cpp.
#ifndef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#endif
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "model/pool_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "model/bfloat16_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace headstart::HWY_NAMESPACE {
namespace {

constexpr std::size_t kTaps = 3;  // a side

// Inputs as numbers that are compared as int16, and back: of a channel, in vectors of D.
//
// After a ReLU bits are such numbers, with NaN above all of them once it has no sign.
struct Activated {
  template <class D>
  HWY_INLINE hn::Vec<D> order(D d, hn::Vec<D> x, std::size_t /*channel*/) const {
    const auto magnitude = hn::And(x, hn::Set(d, 0x7FFF));
    return hn::IfThenElse(hn::Gt(magnitude, hn::Set(d, 0x7F80)), magnitude, hn::Max(x, hn::Zero(d)));
  }
  template <class D>
  HWY_INLINE hn::Vec<D> value(D /*d*/, hn::Vec<D> number, std::size_t /*channel*/) const {
    return number;
  }
  template <class D>
  HWY_INLINE hn::Vec<D> tap(D d, hn::Vec<D> tap, hn::Vec<D> number) const {
    return hn::IfThenElse(hn::Eq(number, hn::Zero(d)), hn::Set(d, kNoTap), tap);
  }
};

// The magnitude with the sign that it has among whole numbers: -0 equals 0.
struct Signed {
  const std::int16_t* smallest;

  template <class D>
  HWY_INLINE hn::Vec<D> order(D d, hn::Vec<D> x, std::size_t channel) const {
    const auto sign = hn::ShiftRight<15>(x);
    const auto number = hn::Sub(hn::Xor(hn::And(x, hn::Set(d, 0x7FFF)), sign), sign);
    return hn::Xor(number, hn::LoadU(d, smallest + channel));
  }
  template <class D>
  HWY_INLINE hn::Vec<D> value(D d, hn::Vec<D> ordered, std::size_t channel) const {
    const auto number = hn::Xor(ordered, hn::LoadU(d, smallest + channel));
    return hn::Or(hn::Abs(number), hn::AndNot(hn::Set(d, 0x7FFF), number));
  }
  template <class D>
  HWY_INLINE hn::Vec<D> tap(D /*d*/, hn::Vec<D> tap, hn::Vec<D> /*number*/) const {
    return tap;
  }
};

// The taps of a window that lie inside of the image: first to last - 1.
struct Taps {
  std::size_t first, last;
};
Taps taps_inside(std::size_t window, std::size_t size) {
  return {.first = window == 0 ? std::size_t{1} : 0, .last = std::min(kTaps, size + 1 - 2 * window)};
}

template <class Order>
void pool_in_order(const Order& order, const std::uint16_t* x, const PoolShape& shape, std::size_t row, const PooledRow& into) {
  const Taps rows = taps_inside(row, shape.height);
  for (std::size_t column = 0; column < shape.pooled_width(); ++column) {
    const Taps columns = taps_inside(column, shape.width);
    in_vectors<std::int16_t>(shape.channels, [&](auto d, std::size_t c) HWY_ATTR {
      const hn::RebindToUnsigned<decltype(d)> bits;
      const hn::Rebind<std::uint8_t, decltype(d)> bytes;
      const auto infinity = hn::Set(d, 0x7F80);
      auto most = hn::Set(d, std::numeric_limits<std::int16_t>::min()), tap = hn::Set(d, kTaps + 1);
      const auto look_at = [&](Taps rows_of, Taps columns_of) HWY_ATTR {
        for (std::size_t i = rows_of.first; i < rows_of.last; ++i) {
          for (std::size_t k = columns_of.first; k < columns_of.last; ++k) {
            const std::size_t input = (2 * row + i - 1) * shape.width + 2 * column + k - 1;
            const auto number = order.order(d, hn::BitCast(d, hn::LoadU(bits, x + input * shape.channels + c)), c);
            const auto wins = hn::Gt(number, hn::Min(most, infinity));
            most = hn::IfThenElse(wins, number, most);
            tap = hn::IfThenElse(wins, hn::Set(d, static_cast<std::int16_t>(kTaps * i + k)), tap);
          }
        }
      };
      constexpr Taps kAll = {.first = 0, .last = kTaps};
      const bool inside = rows.last - rows.first == kTaps && columns.last - columns.first == kTaps;
      inside ? look_at(kAll, kAll) : look_at(rows, columns);  // without branches where there are all of them
      const std::size_t to = column * shape.channels + c;
      hn::StoreU(hn::BitCast(bits, order.value(d, most, c)), bits, into.values + to);
      if (into.taps != nullptr) hn::StoreU(hn::DemoteTo(bytes, order.tap(d, tap, most)), bytes, into.taps + to);
    });
  }
}

void activated_kernel(const std::uint16_t* x, const PoolShape& shape, std::size_t row, const PooledRow& into) {
  pool_in_order(Activated(), x, shape, row, into);
}

void pool_kernel(const std::uint16_t* x, const PoolShape& shape, const std::int16_t* smallest, std::size_t row, const PooledRow& into) {
  pool_in_order(Signed{.smallest = smallest}, x, shape, row, into);
}

// An output's gradient and where in its window it goes.
template <class D>
struct Window {
  hn::Vec<D> gradient;
  hn::Vec<hn::RebindToSigned<D>> tap;
};

template <class D>
HWY_INLINE hn::Vec<D> at_tap(D d, const Window<D>& window, std::size_t row, std::size_t column) {
  const hn::RebindToSigned<D> whole;
  const auto chosen = hn::Eq(window.tap, hn::Set(whole, static_cast<std::int32_t>(kTaps * row + column)));
  return hn::IfThenElseZero(hn::RebindMask(d, chosen), window.gradient);
}

// The inputs (2 * row, 2 * column) to (2 * row + 1, 2 * column + 1) are met by the windows (row, column) to (row + 1, column + 1) only.
void unpool_kernel(const PooledGradient& gradient, const std::uint16_t* x, const PoolShape& shape, const InputGradient& factors,
                   std::size_t row, std::uint16_t* dx) {
  const std::size_t pooled_width = shape.pooled_width();
  for (std::size_t column = 0; column < pooled_width; ++column) {
    in_vectors<float>(shape.channels, [&](auto d, std::size_t c) HWY_ATTR {
      using D = decltype(d);
      const hn::RebindToSigned<D> whole;
      const hn::Rebind<std::uint8_t, D> bytes;
      const auto window = [&](std::size_t i, std::size_t j) HWY_ATTR -> Window<D> {
        if (i == shape.pooled_height() || j == pooled_width) return {hn::Zero(d), hn::Set(whole, kNoTap)};
        const std::size_t at = (i * pooled_width + j) * shape.channels + c;
        return {load(d, gradient.dy + at), hn::PromoteTo(whole, hn::LoadU(bytes, gradient.taps + at))};
      };
      const auto put = [&](std::size_t i, std::size_t j, hn::Vec<D> sum) HWY_ATTR {
        if (i >= shape.height || j >= shape.width) return;
        const std::size_t at = (i * shape.width + j) * shape.channels + c;
        if (x != nullptr) {
          const auto rest = hn::MulAdd(load(d, x + at), hn::LoadU(d, factors.by_input + c), hn::LoadU(d, factors.constant + c));
          sum = hn::MulAdd(sum, hn::LoadU(d, factors.by_gradient + c), rest);
        }
        store(d, sum, dx + at);
      };
      const auto here = window(row, column), right = window(row, column + 1);
      const auto below = window(row + 1, column), across = window(row + 1, column + 1);
      put(2 * row, 2 * column, at_tap(d, here, 1, 1));
      put(2 * row, 2 * column + 1, hn::Add(at_tap(d, here, 1, 2), at_tap(d, right, 1, 0)));
      put(2 * row + 1, 2 * column, hn::Add(at_tap(d, here, 2, 1), at_tap(d, below, 0, 1)));
      put(2 * row + 1, 2 * column + 1,
          hn::Add(hn::Add(at_tap(d, here, 2, 2), at_tap(d, right, 2, 0)), hn::Add(at_tap(d, below, 0, 2), at_tap(d, across, 0, 0))));
    });
  }
}

}  // namespace
}  // namespace headstart::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace headstart {

HWY_EXPORT(activated_kernel);
HWY_EXPORT(pool_kernel);
HWY_EXPORT(unpool_kernel);

void pool_activated_row(const std::uint16_t* x, const PoolShape& shape, std::size_t row, const PooledRow& into) {
  HWY_DYNAMIC_DISPATCH(activated_kernel)(x, shape, row, into);
}

void pool_row(const std::uint16_t* x, const PoolShape& shape, const std::int16_t* smallest, std::size_t row, const PooledRow& into) {
  HWY_DYNAMIC_DISPATCH(pool_kernel)(x, shape, smallest, row, into);
}

void unpool_rows(const PooledGradient& gradient, const std::uint16_t* x, const PoolShape& shape, const InputGradient& factors,
                 std::size_t row, std::uint16_t* dx) {
  HWY_DYNAMIC_DISPATCH(unpool_kernel)(gradient, x, shape, factors, row, dx);
}

}  // namespace headstart

#endif  // HWY_ONCE
