// Layers: the few building blocks of which the networks consist, each a handle on tensors that its Network lists by name.
//
// Layers compute in the dtype of x: convolution weights are cast where they are used (autograd follows the cast), batch norm takes its
// float32 parameters and statistics beside a bfloat16 x. Thread-safety: as Network.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/clamp.h"
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

// Rows (or columns) of zeros that the convolution adds to `size` of them, half of them before the first, the odd one behind the last.
std::int64_t padding_of(std::int64_t size, const ConvolutionShape& shape);

// x as a convolution takes it: `padding` rows and columns are still to be added on each side.
struct PaddedInput {
  at::Tensor x;
  std::array<std::int64_t, 2> padding{};  // vertical, horizontal
};
PaddedInput pad(const at::Tensor& x, const ConvolutionShape& shape);

enum class Activation { kNone, kRelu, kRelu6 };
// In place: for x that nothing else needs, as a norm's or a convolution's output.
at::Tensor& activate_(at::Tensor& x, Activation activation);
// dy where the activation passed it, told by its output y.
at::Tensor passed_gradient(const at::Tensor& dy, const at::Tensor& y, Activation activation);
Clamp clamp_of(Activation activation);

// activation(convolution(x) + added). weight [out, in / groups, kernel, kernel], bias [out] or undefined: of any floating dtype, cast to
// x's where they are used; added [N, out, H', W'] or undefined.
at::Tensor convolve(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const ConvolutionShape& shape,
                    Activation activation = Activation::kNone, const at::Tensor& added = {});

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

// With running statistics the norm is folded into the convolution: the same function with one pass over the activations less, forward and
// backward, and without the convolution's output kept for the norm's gradient.
struct ConvolutionNorm {
  Convolution convolution;
  BatchNorm norm;
  std::size_t place = 0;  // among the network's, for FoldedWeights
  std::size_t stage = 0;  // that it belongs to

  // activation(norm(convolution(x)) + added); `added` may be undefined.
  at::Tensor operator()(const at::Tensor& x, NormPass pass, Activation activation = Activation::kNone, const at::Tensor& added = {}) const;
};

// A stage of blocks, each of which takes what the one before gives.
template <typename Block>
auto in_turn(std::vector<Block> blocks) {
  return [blocks = std::move(blocks)](at::Tensor x, NormPass norm) {
    for (const Block& block : blocks) x = block(x, norm);
    return x;
  };
}

// What the networks derive from: adds layers' tensors under their published names, in the order of the calls. The layers that are added
// between two calls of add_stage() belong to the latter's stage.
class LayeredNetwork : public Network {
 public:
  using Network::fold;
  std::shared_ptr<const FoldedWeights> fold(at::ScalarType dtype, std::size_t stages) const override;

 protected:
  LayeredNetwork(std::string_view architecture, const at::Device& device);

  Convolution add_convolution(const std::string& name, const ConvolutionShape& shape, bool with_bias = false);
  BatchNorm add_batch_norm(const std::string& name, std::int64_t channels, const BatchNormOptions& options);
  ConvolutionNorm add_pair(const std::string& convolution, const std::string& norm, const ConvolutionShape& shape,
                           const BatchNormOptions& options, bool with_bias = false);
  // One whose scale and shift are not learned, as MXNet's with fix_gamma: both are buffers, the scale is stored but taken as 1.
  BatchNorm add_fixed_batch_norm(const std::string& name, std::int64_t channels, const BatchNormOptions& options);
  void add_output_layer(const std::string& name, std::int64_t features, std::int64_t classes);

 private:
  std::vector<ConvolutionNorm> pairs_;
};

}  // namespace headstart
