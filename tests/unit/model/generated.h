// Weights and inputs by formula, the same that tools/golden/model.py computes: exact in float32.
#pragma once

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>

#include "model/network.h"

namespace headstart::test {

// `count` float32 values in [low, high): SplitMix64 of FNV-1a(key) and the index.
inline at::Tensor generate(std::string_view key, std::int64_t count, double low, double high) {
  std::uint64_t state = 0xCBF29CE484222325;
  for (const char letter : key) state = (state ^ static_cast<unsigned char>(letter)) * 0x100000001B3;
  const at::Tensor out = at::empty({count}, at::kFloat);
  auto* const data = out.mutable_data_ptr<float>();
  for (std::int64_t i = 0; i < count; ++i) {
    state += 0x9E3779B97F4A7C15;
    std::uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    z ^= z >> 31;
    data[i] = static_cast<float>(low + (high - low) * (static_cast<double>(z >> 11) * 0x1p-53));
  }
  return out;
}

// The generated values of the tensor of that name.
inline at::Tensor generate_weight(const std::string& name, at::IntArrayRef shape) {
  double low = -0.2, high = 0.2;
  if (name.ends_with("running_var")) {
    low = 0.5, high = 1.5;
  } else if (shape.size() == 1 && (name.ends_with("weight") || name.ends_with("gamma"))) {
    low = name.starts_with("_") ? 0.7 : 0.4, high = name.starts_with("_") ? 1.3 : 0.9;
  } else if (shape.size() > 1) {
    high = std::sqrt((shape.size() == 4 ? 6.0 : 3.0) / static_cast<double>(c10::multiply_integers(shape.slice(1))));
    low = -high;
  }
  return generate(name, c10::multiply_integers(shape), low, high).view(shape);
}

inline void set_generated_weights(const Network& network) {
  const c10::NoGradGuard no_grad;
  for (const auto& [name, tensor] : network.tensors()) tensor.copy_(generate_weight(name, tensor.sizes()));
}

// [2, 3, size, size] channels_last
inline at::Tensor generated_input(std::int64_t size) {
  return generate("input", 2 * 3 * size * size, -2, 2).view({2, 3, size, size}).contiguous(at::MemoryFormat::ChannelsLast);
}

// A network without initialisation work, holding generated weights.
inline std::unique_ptr<Network> generated_network(std::string_view architecture, std::int64_t classes) {
  const Architecture& row = find_architecture(architecture);
  auto network = row.make(row, classes, at::kCPU);
  set_generated_weights(*network);
  return network;
}

}  // namespace headstart::test
