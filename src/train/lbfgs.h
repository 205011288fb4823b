// L-BFGS: minimises a smooth convex function of a few thousand numbers.
//
// Nocedal and Wright, Numerical Optimization, algorithm 7.5, with a line search for the weak Wolfe conditions by doubling and bisection
// (Lewis and Overton). Deterministic. Thread-safety: pure functions.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

namespace headstart {

struct ValueAndGradient {
  double value = 0;
  at::Tensor gradient;  // float64 [n]
};
// x: float64 [n] on the CPU
using Objective = std::function<ValueAndGradient(const at::Tensor& x)>;

struct MinimiseOptions {
  double gradient_norm = 1e-8;  // small enough to stop, in the 2-norm
  int max_iterations = 1000;
};

struct Minimum {
  at::Tensor x;  // float64 [n]
  double value = 0;
  double gradient_norm = 0;  // above what was asked for when the iterations or the digits of float64 ran out first
  int iterations = 0;
};

Minimum minimise(const Objective& objective, const at::Tensor& start, const MinimiseOptions& options = {});

}  // namespace headstart
