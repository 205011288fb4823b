// Small models for the tests of scoring and prediction.
#pragma once

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "model/network.h"
#include "weights/model_file.h"

namespace headstart::test {

constexpr int kTinyCrop = 32;

inline Preprocessing tiny_preprocessing() { return {.resize_size = 36, .crop_size = kTinyCrop}; }

// The architecture's default initialisation with a head large enough for answers that differ.
inline std::unique_ptr<Network> tiny_network(std::int64_t classes, const char* architecture = "efficientnet_lite0") {
  std::unique_ptr<Network> network = make_network(architecture, classes, 3);
  const c10::NoGradGuard no_grad;
  for (const NamedParameter& parameter : network->parameters()) {
    if (parameter.in_head && parameter.role == ParameterRole::kWeight) const_cast<at::Tensor&>(parameter.tensor).mul_(20);
  }
  return network;
}

// Writes a model file of tiny_network() and returns what is in it.
inline ModelInfo write_tiny_model(const std::filesystem::path& file, std::vector<std::string> classes) {
  const auto network = tiny_network(static_cast<std::int64_t>(classes.size()));
  ModelInfo info{.architecture = std::string(network->architecture()),
                 .classes = std::move(classes),
                 .preprocessing = tiny_preprocessing(),
                 .metrics = {},
                 .provenance = {{"seed", "3"}}};
  write_model_file(file, info, network->state());
  return info;
}

}  // namespace headstart::test
