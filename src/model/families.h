// The families of networks that the registry's rows are built from: one file each.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "model/network.h"

namespace headstart {

enum class ResidualBlock { kBasic, kBottleneck };

// torchvision's ResNet (He et al. 2015), v1.5: a bottleneck's stride is in its 3x3 convolution.
struct ResNetSpec {
  ResidualBlock block = ResidualBlock::kBasic;
  std::array<int, 4> blocks{};  // of layer1 … layer4
};
std::unique_ptr<Network> make_resnet(const Architecture& self, const ResNetSpec& spec, std::int64_t classes, const at::Device& device);

// Gluon's model zoo: ResNetV1 (torchvision's network but for a bottleneck, whose stride is in its first 1x1 convolution and whose 1x1
// convolutions have biases) and ResNetV2 (He et al. 2016, pre-activation).
enum class GluonVersion { kV1, kV2 };
struct GluonResNetSpec {
  GluonVersion version = GluonVersion::kV2;
  ResidualBlock block = ResidualBlock::kBasic;
  std::array<int, 4> blocks{};  // of the four stages
};
std::unique_ptr<Network> make_gluon_resnet(const Architecture& self, const GluonResNetSpec& spec, std::int64_t classes,
                                           const at::Device& device);

// EfficientNet-Lite as the efficientnet_lite_pytorch package names it; stem and head are not scaled.
struct EfficientNetLiteSpec {
  double width = 1.0;
  double depth = 1.0;
};
std::unique_ptr<Network> make_efficientnet_lite(const Architecture& self, const EfficientNetLiteSpec& spec, std::int64_t classes,
                                                const at::Device& device);

}  // namespace headstart
