// Batch norm folded into the convolution before it: with running statistics a norm is a scale and a shift a channel.
//
// FoldedWeights hold them as they were when they were made, in the compute dtype and, on the CPU, in the order in memory that oneDNN wants
// (packed once): then a convolution, an addition and an activation are one pass over the output. LibTorch registers that operator,
// mkldnn::_convolution_pointwise, for its own compiler.
// Thread-safety: const members from any number of threads. Ownership: a FoldedNetwork borrows the network, whose weights it has copies of.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "model/layers.h"
#include "model/network.h"

namespace headstart {

struct ScaleAndShift {
  at::Tensor weight;  // float32 [out, in / groups, kernel, kernel]: the convolution's, scaled
  at::Tensor bias;    // float32 [out]
};

// With gradients to whichever of the parameters have them.
ScaleAndShift fold(const Convolution& convolution, const BatchNorm& norm);

class FoldedWeights {
 public:
  // By ConvolutionNorm::place, from 0 on. dtype: float32, bfloat16, float64.
  FoldedWeights(std::span<const ConvolutionNorm> layers, at::ScalarType dtype);

  // activation(layer(x) + added); no gradients. x [N, in, H, W] in the dtype of the weights.
  at::Tensor run(std::size_t place, const at::Tensor& x, Activation activation, const at::Tensor& added) const;

 private:
  struct Layer {
    at::Tensor weight, bias;
    // The weight as model/winograd.h takes it, in the place of a packed one; undefined where the shape does not suit.
    at::Tensor transformed;
    ConvolutionShape shape;
    bool packed = false;
  };
  std::vector<Layer> layers_;
};

// A network as it is now, for inference: later changes of its weights do not show.
class FoldedNetwork {
 public:
  FoldedNetwork(Network& network, at::ScalarType dtype) : network_(&network), weights_(network.fold(dtype)), dtype_(dtype) {}

  // As Network's, without gradients and with running statistics. x in any floating point dtype.
  at::Tensor features(const at::Tensor& x) const;
  at::Tensor forward(const at::Tensor& x) const;
  const Network& network() const { return *network_; }

 private:
  Network* network_;
  std::shared_ptr<const FoldedWeights> weights_;
  at::ScalarType dtype_;
};

}  // namespace headstart
