// Layers: the few building blocks of which the networks consist, each a handle on tensors that its Network lists by name.
//
// Layers compute in the dtype of x: convolution weights are cast where they are used (autograd follows the cast), batch norm takes its
// float32 parameters and statistics beside a bfloat16 x. Thread-safety: as Network.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "model/network.h"

namespace headstart {

enum class Padding {
  kSymmetric,       // kernel / 2 on each side, as torchvision
  kTensorFlowSame,  // output = ceil(input / stride); an odd remainder goes to the bottom and right
};

struct ConvolutionShape {
  std::int64_t in = 0;   // channels
  std::int64_t out = 0;  // channels
  std::int64_t kernel = 1;
  std::int64_t stride = 1;
  std::int64_t groups = 1;
  Padding padding = Padding::kSymmetric;
};

// A convolution without bias. x [N, in, H, W] → [N, out, H', W'].
struct Convolution {
  at::Tensor weight;  // [out, in / groups, kernel, kernel]
  ConvolutionShape shape;

  at::Tensor operator()(const at::Tensor& x) const;
};

struct BatchNormOptions {
  double eps = 1e-5;
  double momentum = 0.1;  // PyTorch's convention: the share of the new batch in the running statistics
};

// Normalises over N, H, W. x [N, C, H, W] → the same shape. Throws Error(kUsage) when there is one value a channel to take statistics from.
struct BatchNorm {
  at::Tensor weight, bias, running_mean, running_var;  // [C]
  BatchNormOptions options;

  at::Tensor operator()(const at::Tensor& x, NormMode mode) const;
};

struct ConvolutionNorm {
  Convolution convolution;
  BatchNorm norm;

  at::Tensor operator()(const at::Tensor& x, NormMode mode) const { return norm(convolution(x), mode); }
};

// x [N, C, H, W] → mean over H and W, [N, C].
at::Tensor global_average(const at::Tensor& x);

// What the networks derive from: adds layers' tensors under their published names, in the order of the calls.
class LayeredNetwork : public Network {
 protected:
  LayeredNetwork(std::string_view architecture, const at::Device& device);

  Convolution add_convolution(const std::string& name, const ConvolutionShape& shape);
  BatchNorm add_batch_norm(const std::string& name, std::int64_t channels, const BatchNormOptions& options);
  void add_output_layer(const std::string& name, std::int64_t features, std::int64_t classes);
};

}  // namespace headstart
