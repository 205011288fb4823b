#include "model/folding.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "model/depthwise.h"
#include "model/fused_convolution.h"
#include "model/winograd.h"

namespace headstart {
namespace {

// Ours pads without a copy, which oneDNN's depthwise passes at stride 2 need where the padding is uneven: 6% of EfficientNet-Lite0's time.
bool is_ours(const at::Tensor& weight, const ConvolutionShape& shape) {
  return weight.scalar_type() == at::kBFloat16 && is_depthwise(shape) && shape.stride == 2 && shape.padding == Padding::kTensorFlowSame;
}

bool can_pack(const at::Tensor& weight, const ConvolutionShape& shape) {
  return weight.is_cpu() && one_pass_takes(weight.scalar_type()) && !is_ours(weight, shape);
}

}  // namespace

ScaleAndShift fold(const Convolution& convolution, const BatchNorm& norm) {
  at::Tensor scale = at::rsqrt(norm.running_var + norm.options.eps);
  if (norm.weight.defined()) scale = norm.weight * scale;
  const at::Tensor mean = convolution.bias.defined() ? norm.running_mean - convolution.bias : norm.running_mean;
  return {.weight = convolution.weight * scale.view({-1, 1, 1, 1}), .bias = norm.bias - mean * scale};
}

FoldedWeights::FoldedWeights(std::span<const ConvolutionNorm> layers, at::ScalarType dtype) {
  const c10::NoGradGuard no_gradients;
  for (const ConvolutionNorm& layer : layers) {
    const ScaleAndShift folded = fold(layer.convolution, layer.norm);
    Layer ready{.weight = folded.weight.to(dtype).contiguous(at::MemoryFormat::ChannelsLast),
                .bias = folded.bias.to(dtype),
                .shape = layer.convolution.shape};
    if (dtype == at::kBFloat16 && ready.weight.is_cpu() && suits_winograd(ready.shape)) ready.transformed = winograd_weight(folded.weight);
    ready.packed = !ready.transformed.defined() && can_pack(ready.weight, ready.shape);
    if (ready.packed) {
      const std::int64_t side = ready.shape.kernel / 2;
      ready.weight = at::mkldnn_reorder_conv2d_weight(ready.weight.to_mkldnn(), {side, side}, {ready.shape.stride, ready.shape.stride},
                                                      {1, 1}, ready.shape.groups);
    }
    layers_.push_back(std::move(ready));
  }
}

at::Tensor FoldedWeights::run(std::size_t place, const at::Tensor& x, Activation activation, const at::Tensor& added) const {
  const Layer& layer = layers_[place];
  if (layer.transformed.defined() && can_convolve_winograd(x, layer.shape)) {
    return winograd_convolve_transformed(x, layer.transformed, layer.bias, added, activation);
  }
  if (!layer.packed) return convolve(x, layer.weight, layer.bias, layer.shape, activation, added);
  return convolve_in_one_pass(pad(x, layer.shape), layer.weight, layer.bias, added, layer.shape, activation);
}

at::Tensor FoldedNetwork::features(const at::Tensor& x) const {
  const c10::NoGradGuard no_gradients;
  return network_->features(x.to(dtype_), *weights_);
}

at::Tensor FoldedNetwork::forward(const at::Tensor& x) const {
  const c10::NoGradGuard no_gradients;
  return network_->head(features(x));
}

}  // namespace headstart
