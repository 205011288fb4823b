#include "model/layers.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <span>

#include "headstart/error.h"
#include "model/depthwise.h"
#include "model/folding.h"
#include "model/fused_convolution.h"
#include "model/fused_norm.h"
#include "model/winograd.h"

namespace headstart {
namespace {

// Of a batch that is spread over processes: float32 [C] each, and the number of values a channel, float64 [].
struct SharedStatistics {
  at::Tensor mean, variance, count;
};

// One sum over the processes of count, sums and sums of squares in float64, where their difference is exact enough. The sums come from the
// shares' means and variances, which LibTorch computes as it does for a batch of one process.
SharedStatistics shared_statistics(const at::Tensor& x, const SumOverProcesses& sum) {
  const std::int64_t channels = x.size(1);
  const std::int64_t count = x.numel() / channels;
  at::Tensor sums = at::zeros({2 * channels + 1}, x.options().dtype(at::kDouble));
  if (count > 0) {
    // Float32 scratch for running statistics: with it, the statistics of a bfloat16 x are float32.
    const at::Tensor scratch = at::zeros({2, channels}, x.options().dtype(at::kFloat));
    const auto [mean, variance] = at::batch_norm_update_stats(x, scratch[0], scratch[1], /*momentum=*/0);
    const at::Tensor wide = mean.to(at::kDouble);
    sums = at::cat({wide, variance.to(at::kDouble) + wide * wide, at::ones({1}, wide.options())}).mul_(static_cast<double>(count));
  }
  sum(sums);
  const at::Tensor total = sums[2 * channels];
  const at::Tensor mean = sums.narrow(0, 0, channels) / total;
  const at::Tensor variance = (sums.narrow(0, channels, channels) / total - mean * mean).clamp_min_(0);
  return {mean.to(at::kFloat), variance.to(at::kFloat), total};
}

// The gradient of x where the statistics depend on it. With constant statistics batch norm's is g = dy * weight / sigma; of the whole
// batch's g that leaves out its mean and its share along the normalised x: g - mean(g) - xhat * mean(g * xhat) (Ioffe & Szegedy 2015,
// section 3).
at::Tensor shared_gradient(const at::Tensor& g, const at::Tensor& x, const SharedStatistics& statistics, double eps,
                           const SumOverProcesses& sum) {
  const c10::NoGradGuard no_gradients;
  const std::int64_t channels = x.size(1);
  const auto by_channel = [&](const at::Tensor& values) { return values.to(at::kFloat).view({1, channels, 1, 1}); };
  const at::Tensor normalised = (x.to(at::kFloat) - by_channel(statistics.mean)).mul_(by_channel(at::rsqrt(statistics.variance + eps)));
  const at::Tensor wide = g.to(at::kFloat);
  at::Tensor sums = at::cat({wide.sum({0, 2, 3}, false, at::kDouble), (wide * normalised).sum({0, 2, 3}, false, at::kDouble)});
  sum(sums);
  sums /= statistics.count;
  const at::Tensor along = normalised.mul_(by_channel(sums.narrow(0, channels, channels)));
  return (wide - by_channel(sums.narrow(0, 0, channels))).sub_(along).to(g.scalar_type());
}

at::Tensor shared_batch_norm(const BatchNorm& norm, const at::Tensor& x, const SumOverProcesses& sum) {
  SharedStatistics statistics;
  {
    const c10::NoGradGuard no_gradients;
    statistics = shared_statistics(x, sum);
    const at::Tensor unbiased = (statistics.variance * (statistics.count / (statistics.count - 1))).to(at::kFloat);
    at::Tensor running_mean = norm.running_mean, running_var = norm.running_var;
    running_mean.lerp_(statistics.mean, norm.options.momentum);
    running_var.lerp_(unbiased, norm.options.momentum);
  }
  at::Tensor input = x;
  if (x.requires_grad()) {
    input = x.view_as(x);  // what flows back through here, and not past it
    input.register_hook([share = x.detach(), statistics, eps = norm.options.eps, &sum](const at::Tensor& gradient) {
      return shared_gradient(gradient, share, statistics, eps, sum);
    });
  }
  return at::batch_norm(input, norm.weight, norm.bias, statistics.mean, statistics.variance, /*training=*/false, norm.options.momentum,
                        norm.options.eps, /*cudnn_enabled=*/true);
}

}  // namespace

std::int64_t padding_of(std::int64_t size, const ConvolutionShape& shape) {
  if (shape.padding == Padding::kSymmetric) return 2 * (shape.kernel / 2);
  const std::int64_t output = (size + shape.stride - 1) / shape.stride;
  return std::max<std::int64_t>((output - 1) * shape.stride + shape.kernel - size, 0);
}

PaddedInput pad(const at::Tensor& x, const ConvolutionShape& shape) {
  const std::int64_t vertical = padding_of(x.size(2), shape), horizontal = padding_of(x.size(3), shape);
  if (vertical % 2 == 0 && horizontal % 2 == 0) return {.x = x, .padding = {vertical / 2, horizontal / 2}};
  const std::array<std::int64_t, 4> sides = {horizontal / 2, horizontal - horizontal / 2, vertical / 2, vertical - vertical / 2};
  return {.x = at::constant_pad_nd(x, sides, 0)};
}

at::Tensor& activate_(at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::kRelu:
      return at::relu_(x);
    case Activation::kRelu6:
      return at::hardtanh_(x, 0, 6);
    case Activation::kNone:
      break;
  }
  return x;
}

at::Tensor passed_gradient(const at::Tensor& dy, const at::Tensor& y, Activation activation) {
  switch (activation) {
    case Activation::kRelu:
      return at::threshold_backward(dy, y, 0);
    case Activation::kRelu6:
      return at::hardtanh_backward(dy, y, 0, 6);
    case Activation::kNone:
      break;
  }
  return dy;
}

Clamp clamp_of(Activation activation) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  switch (activation) {
    case Activation::kRelu:
      return {.low = 0, .high = kInfinity};
    case Activation::kRelu6:
      return {.low = 0, .high = 6};
    case Activation::kNone:
      break;
  }
  return {.low = -kInfinity, .high = kInfinity};
}

at::Tensor convolve(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const ConvolutionShape& shape,
                    Activation activation, const at::Tensor& added) {
  if (can_convolve_winograd(x, shape)) return winograd_convolve(x, weight, bias, added, activation);
  at::Tensor y;
  if (can_convolve_depthwise(x, shape)) {
    if (!added.defined()) return depthwise_convolve(x, weight, bias, shape, activation);
    y = depthwise_convolve(x, weight, bias, shape, Activation::kNone);
  } else if (bias.defined() && (added.defined() || activation != Activation::kNone) && can_fuse_convolution(x)) {
    return fused_convolve(x, weight, bias, added, shape, activation);
  } else {
    const PaddedInput padded = pad(x, shape);
    const at::Tensor shift = bias.defined() ? bias.to(x.scalar_type()) : bias;
    // What is cast is cast into x's layout at once: the backward pass would make that copy again.
    const bool is_cast = weight.scalar_type() != x.scalar_type();
    const at::Tensor cast = is_cast ? weight.to(x.scalar_type(), false, false, x.suggest_memory_format()) : weight;
    y = at::conv2d(padded.x, cast, shift, {shape.stride, shape.stride}, padded.padding, {1, 1}, shape.groups);
  }
  if (added.defined()) y += added;
  return activate_(y, activation);
}

at::Tensor Convolution::operator()(const at::Tensor& x) const { return convolve(x, weight, bias, shape); }

at::Tensor BatchNorm::operator()(const at::Tensor& x, NormPass mode) const {
  const bool batch = mode.mode == NormMode::kBatchStatistics;
  if (batch && mode.shared != nullptr) return shared_batch_norm(*this, x, *mode.shared);
  if (batch && x.numel() == x.size(1)) {
    throw Error(ErrorCategory::kUsage,
                fmt::format("batch norm: a batch of one photo leaves one value for each of {} channels, which has no "
                            "variance; use a larger batch, larger photos, or frozen statistics",
                            x.size(1)));
  }
  return at::batch_norm(x, weight, bias, running_mean, running_var, batch, options.momentum, options.eps, /*cudnn_enabled=*/true);
}

at::Tensor ConvolutionNorm::operator()(const at::Tensor& x, NormPass pass, Activation activation, const at::Tensor& added) const {
  if (pass.folded != nullptr) return pass.folded->run(place, x, activation, added);
  if (pass.mode == NormMode::kRunningStatistics) {
    const ScaleAndShift folded = headstart::fold(convolution, norm);
    return convolve(x, folded.weight, folded.bias, convolution.shape, activation, added);
  }
  at::Tensor y = convolution(x);
  if (pass.shared == nullptr && can_fuse_norm(y, added, norm)) return fused_norm(y, added, norm, activation);
  y = norm(y, pass);
  if (added.defined()) y += added;
  return activate_(y, activation);
}

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

ConvolutionNorm LayeredNetwork::add_pair(const std::string& convolution, const std::string& norm, const ConvolutionShape& shape,
                                         const BatchNormOptions& options, bool with_bias) {
  ConvolutionNorm pair;
  pair.place = pairs_.size();
  pair.stage = stages().size();
  pair.convolution = add_convolution(convolution, shape, with_bias);
  pair.norm = add_batch_norm(norm, shape.out, options);
  pairs_.push_back(pair);
  return pair;
}

std::shared_ptr<const FoldedWeights> LayeredNetwork::fold(at::ScalarType dtype, std::size_t stages) const {
  const auto end = std::find_if(pairs_.begin(), pairs_.end(), [stages](const ConvolutionNorm& pair) { return pair.stage >= stages; });
  return std::make_shared<const FoldedWeights>(std::span(pairs_.begin(), end), dtype);
}

void LayeredNetwork::add_output_layer(const std::string& name, std::int64_t features, std::int64_t classes) {
  add_parameter(name + ".weight", {classes, features}, ParameterRole::kWeight, /*in_head=*/true);
  add_parameter(name + ".bias", {classes}, ParameterRole::kBias, /*in_head=*/true);
}

}  // namespace headstart
