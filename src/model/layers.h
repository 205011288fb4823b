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

// x [N, in, H, W] → [N, out, H', W'].
struct Convolution {
  at::Tensor weight;  // [out, in / groups, kernel, kernel]
  at::Tensor bias;    // [out], or undefined: none
  ConvolutionShape shape;

  at::Tensor operator()(const at::Tensor& x) const;
};

// What a batch norm calls its scale and shift.
enum class NormNames { kWeightBias, kGammaBeta };

struct BatchNormOptions {
  double eps = 1e-5;
  double momentum = 0.1;  // PyTorch's convention: the share of the new batch in the running statistics
  NormNames names = NormNames::kWeightBias;
};

// Normalises over N, H, W. x [N, C, H, W] → the same shape. Throws Error(kUsage) when there is one value a channel to take statistics from
// (shared statistics: the caller sees to it that the whole batch has two photos or more).
struct BatchNorm {
  at::Tensor weight, bias, running_mean, running_var;  // [C]; weight may be undefined: a scale of 1
  BatchNormOptions options;

  at::Tensor operator()(const at::Tensor& x, NormPass mode) const;
};

struct ConvolutionNorm {
  Convolution convolution;
  BatchNorm norm;

  at::Tensor operator()(const at::Tensor& x, NormPass mode) const { return norm(convolution(x), mode); }
};

// x [N, C, H, W] → mean over H and W, [N, C].
at::Tensor global_average(const at::Tensor& x);

// What the networks derive from: adds layers' tensors under their published names, in the order of the calls.
class LayeredNetwork : public Network {
 protected:
  LayeredNetwork(std::string_view architecture, const at::Device& device);

  Convolution add_convolution(const std::string& name, const ConvolutionShape& shape, bool with_bias = false);
  BatchNorm add_batch_norm(const std::string& name, std::int64_t channels, const BatchNormOptions& options);
  // One whose scale and shift are not learned, as MXNet's with fix_gamma: both are buffers, the scale is stored but taken as 1.
  BatchNorm add_fixed_batch_norm(const std::string& name, std::int64_t channels, const BatchNormOptions& options);
  void add_output_layer(const std::string& name, std::int64_t features, std::int64_t classes);
};

}  // namespace headstart
