// What the ResNets of torchvision and of Gluon share.
//
// Thread-safety and ownership: as the layers (model/layers.h).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "model/layers.h"

namespace headstart {

inline constexpr std::int64_t kBottleneckExpansion = 4;

// The first layers: max_pool(ReLU(norm(convolution(x)))), 3x3 and stride 2.
at::Tensor stem(const ConvolutionNorm& layer, const at::Tensor& x, NormPass pass);

// torchvision's residual block, and version 1 of Gluon's: convolutions with norms and ReLU between them, plus the (projected) input, then
// ReLU. What a layer gives may be kept for its gradient: nothing here changes it in place.
struct PostNormBlock {
  std::vector<ConvolutionNorm> body;
  std::optional<ConvolutionNorm> downsample;

  at::Tensor operator()(const at::Tensor& x, NormPass mode) const {
    at::Tensor y = x;
    for (std::size_t i = 0; i + 1 < body.size(); ++i) y = body[i](y, mode, Activation::kRelu);
    return body.back()(y, mode, Activation::kRelu, downsample ? (*downsample)(x, mode) : x);
  }
};

}  // namespace headstart
