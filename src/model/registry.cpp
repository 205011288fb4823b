#include <fmt/format.h>

#include <array>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "headstart/error.h"
#include "headstart/text.h"
#include "model/families.h"
#include "model/initialise.h"
#include "model/network.h"

namespace headstart {
namespace {

// torchvision's IMAGENET1K_V1 presets: shorter side 256 bilinear, centre 224, ImageNet mean and standard deviation.
constexpr Preprocessing kTorchvision = {};

// IMAGENET1K_V2's, which the source models of ResNet-50 and deeper are: shorter side 232.
constexpr Preprocessing kTorchvisionV2 = {.resize_size = 232};

// TensorFlow's EfficientNet-Lite: the crop is 32 pixels smaller than the shorter side, bicubic, (value - 127) / 128.
constexpr Preprocessing lite(int crop) {
  return {.resize_size = crop + 32,
          .crop_size = crop,
          .interpolation = Interpolation::kBicubic,
          .mean = {0.498F, 0.498F, 0.498F},
          .std = {0.502F, 0.502F, 0.502F}};
}

// Gluon's model zoo: both sides to 256 (its Resize(256) squashes), OpenCV's bilinear, centre 224, ImageNet mean and standard deviation.
constexpr Preprocessing kGluon = {.resize_mode = ResizeMode::kSquash, .interpolation = Interpolation::kOpenCvBilinear};

using Self = const Architecture&;
using Device = const at::Device&;

// One row an architecture.
constexpr std::array kArchitectures = {
    Architecture{"resnet18", "fc", kTorchvision,
                 [](Self self, std::int64_t classes, Device device) {
                   return make_resnet(self, {ResidualBlock::kBasic, {2, 2, 2, 2}}, classes, device);
                 }},
    Architecture{"resnet34", "fc", kTorchvision,
                 [](Self self, std::int64_t classes, Device device) {
                   return make_resnet(self, {ResidualBlock::kBasic, {3, 4, 6, 3}}, classes, device);
                 }},
    Architecture{"resnet50", "fc", kTorchvisionV2,
                 [](Self self, std::int64_t classes, Device device) {
                   return make_resnet(self, {ResidualBlock::kBottleneck, {3, 4, 6, 3}}, classes, device);
                 }},
    Architecture{"resnet101", "fc", kTorchvisionV2,
                 [](Self self, std::int64_t classes, Device device) {
                   return make_resnet(self, {ResidualBlock::kBottleneck, {3, 4, 23, 3}}, classes, device);
                 }},
    Architecture{"resnet152", "fc", kTorchvisionV2,
                 [](Self self, std::int64_t classes, Device device) {
                   return make_resnet(self, {ResidualBlock::kBottleneck, {3, 8, 36, 3}}, classes, device);
                 }},
    Architecture{"efficientnet_lite0", "_fc", lite(224),
                 [](Self self, std::int64_t classes, Device device) {
                   return make_efficientnet_lite(self, {.width = 1.0, .depth = 1.0}, classes, device);
                 }},
    Architecture{"efficientnet_lite1", "_fc", lite(240),
                 [](Self self, std::int64_t classes, Device device) {
                   return make_efficientnet_lite(self, {.width = 1.0, .depth = 1.1}, classes, device);
                 }},
    Architecture{"efficientnet_lite2", "_fc", lite(260),
                 [](Self self, std::int64_t classes, Device device) {
                   return make_efficientnet_lite(self, {.width = 1.1, .depth = 1.2}, classes, device);
                 }},
    Architecture{"resnet18_v1", "output", kGluon,
                 [](Self self, std::int64_t classes, Device device) {
                   return make_gluon_resnet(self, {GluonVersion::kV1, ResidualBlock::kBasic, {2, 2, 2, 2}}, classes, device);
                 }},
    Architecture{"resnet18_v2", "output", kGluon,
                 [](Self self, std::int64_t classes, Device device) {
                   return make_gluon_resnet(self, {GluonVersion::kV2, ResidualBlock::kBasic, {2, 2, 2, 2}}, classes, device);
                 }},
    Architecture{"resnet34_v1", "output", kGluon,
                 [](Self self, std::int64_t classes, Device device) {
                   return make_gluon_resnet(self, {GluonVersion::kV1, ResidualBlock::kBasic, {3, 4, 6, 3}}, classes, device);
                 }},
    Architecture{"resnet34_v2", "output", kGluon,
                 [](Self self, std::int64_t classes, Device device) {
                   return make_gluon_resnet(self, {GluonVersion::kV2, ResidualBlock::kBasic, {3, 4, 6, 3}}, classes, device);
                 }},
    Architecture{"resnet50_v1", "output", kGluon,
                 [](Self self, std::int64_t classes, Device device) {
                   return make_gluon_resnet(self, {GluonVersion::kV1, ResidualBlock::kBottleneck, {3, 4, 6, 3}}, classes, device);
                 }},
    Architecture{"resnet50_v2", "output", kGluon,
                 [](Self self, std::int64_t classes, Device device) {
                   return make_gluon_resnet(self, {GluonVersion::kV2, ResidualBlock::kBottleneck, {3, 4, 6, 3}}, classes, device);
                 }},
};

// The tensors of a state dict that tell the architecture: all but the output layer and the batch counters.
std::unordered_map<std::string_view, const HostTensor*> backbone(const StateDict& state, std::string_view head_prefix) {
  const std::string head = std::string(head_prefix) + ".";
  std::unordered_map<std::string_view, const HostTensor*> found;
  for (const auto& [name, tensor] : state.tensors) {
    if (!name.starts_with(head) && !name.ends_with(".num_batches_tracked")) found.emplace(name, &tensor);
  }
  return found;
}

bool fits(const Architecture& architecture, const StateDict& state) {
  const auto network = architecture.make(architecture, 1, at::kMeta);
  auto found = backbone(state, architecture.head_prefix);
  for (const auto& [name, tensor] : network->tensors()) {
    if (name.starts_with(std::string(architecture.head_prefix) + ".")) continue;
    const auto match = found.find(name);
    if (match == found.end() || tensor.sizes() != at::IntArrayRef(match->second->shape)) return false;
    found.erase(match);
  }
  return found.empty();
}

}  // namespace

std::span<const Architecture> architectures() { return kArchitectures; }

const Architecture& find_architecture(std::string_view name) {
  std::vector<std::string> known;
  for (const Architecture& architecture : kArchitectures) {
    if (architecture.name == name) return architecture;
    known.emplace_back(architecture.name);
  }
  const std::string nearest = nearest_name(name, known);
  throw Error(ErrorCategory::kUsage,
              fmt::format("unknown architecture '{}'{}; known are {}", name, nearest.empty() ? "" : ", did you mean '" + nearest + "'?",
                          join_some(known, known.size())));
}

const Architecture* recognize_architecture(const StateDict& state) {
  for (const Architecture& architecture : kArchitectures) {
    if (fits(architecture, state)) return &architecture;
  }
  return nullptr;
}

const Architecture& choose_architecture(const StateDict& state, std::string_view asked, const std::filesystem::path& file) {
  if (!asked.empty()) return find_architecture(asked);
  if (const Architecture* const recognized = recognize_architecture(state)) return *recognized;
  std::vector<std::string> names;
  for (const Architecture& architecture : kArchitectures) names.emplace_back(architecture.name);
  throw Error(ErrorCategory::kModel,
              fmt::format("weights: the tensors of {} fit none of the known architectures ({}); where the file belongs to one of them, "
                          "name it with the option architecture to see which tensors differ",
                          file.string(), join_some(names, names.size())));
}

std::unique_ptr<Network> make_network(std::string_view architecture, std::int64_t classes, std::uint64_t seed) {
  const Architecture& row = find_architecture(architecture);
  if (classes < 1)
    throw Error(ErrorCategory::kUsage, fmt::format("network {}: at least one class is needed, not {}", architecture, classes));
  auto network = row.make(row, classes, at::kCPU);
  initialise(*network, seed);
  return network;
}

}  // namespace headstart
