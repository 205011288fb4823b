// What the tests of layers that training in bfloat16 has of its own share: inputs, and the same numbers in float64.
#pragma once

#include <ATen/ATen.h>

#include <string>

#include "generated.h"
#include "model/layers.h"
#include "support/tensor_compare.h"

namespace headstart::test {

// What goes into a layer and is asked for its gradient: bfloat16 values, as float32 or float64 where they have to be.
inline at::Tensor activations(const std::string& key, at::IntArrayRef shape, double low = -2, double high = 2) {
  return generate(key, c10::multiply_integers(shape), low, high).to(at::kBFloat16).view(shape).contiguous(at::MemoryFormat::ChannelsLast);
}

inline at::Tensor leaf(const at::Tensor& values) { return values.detach().clone().set_requires_grad(true); }
inline at::Tensor wide_leaf(const at::Tensor& values) { return leaf(values.detach().to(at::kDouble)); }

// Results are rounded to bfloat16, whose half unit is at most 2^-8 of the value, 0.0039; float32 adds a thousandth of that.
inline constexpr Tolerance kRounded = {.relative = 0.004, .absolute = 1e-5};
// Sums in float32 of up to 10,000 products.
inline constexpr Tolerance kSummed = {.relative = 1e-4, .absolute = 1e-4};

inline BatchNorm norm_of(std::int64_t channels, bool scaled) {
  return {.weight = scaled ? generate("scale", channels, -1.5, 1.5) : at::Tensor(),
          .bias = generate("shift", channels, -1, 1),
          .running_mean = generate("mean", channels, -1, 1),
          .running_var = generate("variance", channels, 0.5, 1.5),
          .options = {.momentum = 0.3}};
}

// The same numbers as leaves in float64.
inline BatchNorm wide(const BatchNorm& norm) {
  return {.weight = norm.weight.defined() ? wide_leaf(norm.weight) : at::Tensor(),
          .bias = wide_leaf(norm.bias),
          .running_mean = norm.running_mean.to(at::kDouble),
          .running_var = norm.running_var.to(at::kDouble),
          .options = norm.options};
}

inline void require_gradients(BatchNorm& norm) {
  norm.bias.set_requires_grad(true);
  if (norm.weight.defined()) norm.weight.set_requires_grad(true);
}

}  // namespace headstart::test
