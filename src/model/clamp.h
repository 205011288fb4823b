// What the kernels of this folder share.
#pragma once

#include <cstddef>
#include <cstdint>

namespace headstart {

// Channels are a multiple of this everywhere: the kernels know no part of a vector.
inline constexpr std::size_t kChannelStep = 8;
constexpr bool suits_kernels(std::int64_t channels) { return channels % static_cast<std::int64_t>(kChannelStep) == 0; }

// ReLU 0 to infinity, ReLU6 0 to 6, none from -infinity to infinity. NaN stays NaN (as x86's minimum and maximum have it, the only
// processors that headstart is built for). Its gradient passes where the value lies strictly between the two.
struct Clamp {
  float low, high;
};

}  // namespace headstart
