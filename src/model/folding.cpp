#include "model/folding.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/List.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/GradMode.h>

#include <array>
#include <optional>
#include <string_view>

namespace headstart {
namespace {

bool can_pack(const at::Tensor& weight) { return weight.is_cpu() && weight.scalar_type() != at::kDouble && at::Context::hasMKLDNN(); }

using Scalars = c10::List<std::optional<at::Scalar>>;

struct FusedActivation {
  std::string_view name;
  Scalars scalars;
};

FusedActivation fused(Activation activation) {
  switch (activation) {
    case Activation::kRelu:
      return {.name = "relu", .scalars = Scalars()};
    case Activation::kRelu6:
      return {.name = "hardtanh", .scalars = Scalars({at::Scalar(0.0), at::Scalar(6.0)})};
    case Activation::kNone:
      break;
  }
  return {.name = "none", .scalars = Scalars()};
}

// x convolved with packed weights, bias and activation in the same pass.
at::Tensor convolve_fused(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, at::IntArrayRef padding,
                          const ConvolutionShape& shape, Activation activation) {
  using Signature = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, at::IntArrayRef, at::IntArrayRef,
                               at::IntArrayRef, std::int64_t, std::string_view, Scalars, std::optional<std::string_view>);
  static const auto run = c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_convolution_pointwise", "").typed<Signature>();
  const std::array<std::int64_t, 2> stride = {shape.stride, shape.stride}, dilation = {1, 1};
  const FusedActivation post = fused(activation);
  return run.call(x, weight, bias, padding, stride, dilation, shape.groups, post.name, post.scalars, std::nullopt);
}

// The same, with `added` added before the activation. Of the activations the operator knows ReLU alone here.
at::Tensor convolve_fused_add(const at::Tensor& x, const at::Tensor& added, const at::Tensor& weight, const at::Tensor& bias,
                              at::IntArrayRef padding, const ConvolutionShape& shape, Activation activation) {
  using Signature = at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, at::IntArrayRef,
                               at::IntArrayRef, at::IntArrayRef, std::int64_t, std::string_view, std::optional<at::Scalar>,
                               std::optional<std::string_view>, Scalars, std::optional<std::string_view>);
  static const auto run = c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_convolution_pointwise", "binary").typed<Signature>();
  const std::array<std::int64_t, 2> stride = {shape.stride, shape.stride}, dilation = {1, 1};
  const bool relu = activation == Activation::kRelu;
  const std::optional<std::string_view> post = relu ? std::optional<std::string_view>("relu") : std::nullopt;
  at::Tensor y =
      run.call(x, added, weight, bias, padding, stride, dilation, shape.groups, "add", at::Scalar(1.0), post, Scalars(), std::nullopt);
  return relu ? y : activate_(y, activation);
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
    ready.packed = can_pack(ready.weight);
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
  if (!layer.packed) {
    at::Tensor y = convolve(x, layer.weight, layer.bias, layer.shape);
    if (added.defined()) y += added;
    return activate_(y, activation);
  }
  const at::AutoDispatchBelowAutograd no_gradients;
  const PaddedInput padded = pad(x, layer.shape);
  if (!added.defined()) return convolve_fused(padded.x, layer.weight, layer.bias, padded.padding, layer.shape, activation);
  return convolve_fused_add(padded.x, added, layer.weight, layer.bias, padded.padding, layer.shape, activation);
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
