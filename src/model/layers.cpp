#include "model/layers.h"

#include <ATen/ops/adaptive_avg_pool2d.h>
#include <ATen/ops/batch_norm.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/conv2d.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "headstart/error.h"

namespace headstart {
namespace {

// Rows (or columns) of padding that make the output ceil(size / stride) long.
std::int64_t same_padding(std::int64_t size, const ConvolutionShape& shape) {
  const std::int64_t output = (size + shape.stride - 1) / shape.stride;
  return std::max<std::int64_t>((output - 1) * shape.stride + shape.kernel - size, 0);
}

}  // namespace

at::Tensor Convolution::operator()(const at::Tensor& x) const {
  const at::Tensor cast = weight.to(x.scalar_type());
  const at::Tensor cast_bias = bias.defined() ? bias.to(x.scalar_type()) : bias;
  const std::array<std::int64_t, 2> stride = {shape.stride, shape.stride};
  const std::array<std::int64_t, 2> dilation = {1, 1};
  std::array<std::int64_t, 2> padding = {shape.kernel / 2, shape.kernel / 2};
  if (shape.padding == Padding::kTensorFlowSame) {
    const std::int64_t vertical = same_padding(x.size(2), shape);
    const std::int64_t horizontal = same_padding(x.size(3), shape);
    if (vertical % 2 != 0 || horizontal % 2 != 0) {
      const std::array<std::int64_t, 4> sides = {horizontal / 2, horizontal - horizontal / 2, vertical / 2, vertical - vertical / 2};
      return at::conv2d(at::constant_pad_nd(x, sides, 0), cast, cast_bias, stride, at::IntArrayRef{0, 0}, dilation, shape.groups);
    }
    padding = {vertical / 2, horizontal / 2};
  }
  return at::conv2d(x, cast, cast_bias, stride, padding, dilation, shape.groups);
}

at::Tensor BatchNorm::operator()(const at::Tensor& x, NormMode mode) const {
  const bool batch = mode == NormMode::kBatchStatistics;
  if (batch && x.numel() == x.size(1)) {
    throw Error(ErrorCategory::kUsage,
                fmt::format("batch norm: a batch of one photo leaves one value for each of {} channels, which has no "
                            "variance; use a larger batch, larger photos, or frozen statistics",
                            x.size(1)));
  }
  return at::batch_norm(x, weight, bias, running_mean, running_var, batch, options.momentum, options.eps, /*cudnn_enabled=*/true);
}

at::Tensor global_average(const at::Tensor& x) { return at::adaptive_avg_pool2d(x, {1, 1}).flatten(1); }

LayeredNetwork::LayeredNetwork(std::string_view architecture, const at::Device& device) {
  architecture_ = architecture;
  build_device_ = device;
}

Convolution LayeredNetwork::add_convolution(const std::string& name, const ConvolutionShape& shape, bool with_bias) {
  const std::vector<std::int64_t> sizes = {shape.out, shape.in / shape.groups, shape.kernel, shape.kernel};
  Convolution convolution;
  convolution.shape = shape;
  convolution.weight = add_parameter(name + ".weight", sizes, ParameterRole::kWeight);
  if (with_bias) convolution.bias = add_parameter(name + ".bias", {shape.out}, ParameterRole::kBias);
  return convolution;
}

BatchNorm LayeredNetwork::add_batch_norm(const std::string& name, std::int64_t channels, const BatchNormOptions& options) {
  const bool gluon = options.names == NormNames::kGammaBeta;
  BatchNorm norm;
  norm.options = options;
  norm.weight = add_parameter(name + (gluon ? ".gamma" : ".weight"), {channels}, ParameterRole::kNormScale);
  norm.bias = add_parameter(name + (gluon ? ".beta" : ".bias"), {channels}, ParameterRole::kNormShift);
  norm.running_mean = add_buffer(name + ".running_mean", {channels}, 0.0F);
  norm.running_var = add_buffer(name + ".running_var", {channels}, 1.0F);
  return norm;
}

BatchNorm LayeredNetwork::add_fixed_batch_norm(const std::string& name, std::int64_t channels, const BatchNormOptions& options) {
  const bool gluon = options.names == NormNames::kGammaBeta;
  BatchNorm norm;
  norm.options = options;
  add_buffer(name + (gluon ? ".gamma" : ".weight"), {channels}, 1.0F);
  norm.bias = add_buffer(name + (gluon ? ".beta" : ".bias"), {channels}, 0.0F);
  norm.running_mean = add_buffer(name + ".running_mean", {channels}, 0.0F);
  norm.running_var = add_buffer(name + ".running_var", {channels}, 1.0F);
  return norm;
}

void LayeredNetwork::add_output_layer(const std::string& name, std::int64_t features, std::int64_t classes) {
  add_parameter(name + ".weight", {classes, features}, ParameterRole::kWeight, /*in_head=*/true);
  add_parameter(name + ".bias", {classes}, ParameterRole::kBias, /*in_head=*/true);
}

}  // namespace headstart
