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

// EfficientNet-Lite as the efficientnet_lite_pytorch package names it; stem and head are not scaled.
struct EfficientNetLiteSpec {
  double width = 1.0;
  double depth = 1.0;
};
std::unique_ptr<Network> make_efficientnet_lite(const Architecture& self, const EfficientNetLiteSpec& spec, std::int64_t classes,
                                                const at::Device& device);

}  // namespace headstart
