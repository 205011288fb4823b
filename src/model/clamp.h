// Activations as the kernels of this folder know them.
#pragma once

namespace headstart {

// ReLU 0 to infinity, ReLU6 0 to 6, none from -infinity to infinity. NaN stays NaN. Its gradient passes where the value lies strictly
// between the two.
struct Clamp {
  float low, high;
};

}  // namespace headstart
