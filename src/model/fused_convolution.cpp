#include "model/fused_convolution.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/List.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/custom_function.h>

#include <array>
#include <optional>
#include <string_view>
#include <tuple>
#include <vector>

#include "model/bfloat16_bits.h"

namespace headstart {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

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

// x convolved, bias and activation in the same pass.
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

// The arguments of forward with gradients, in their order.
enum Argument : std::size_t { kX, kWeight, kBias, kAdded, kAll = 7 };

// x as at::conv2d takes it, padding included; the gradient of uneven padding is LibTorch's, outside of this function.
struct ConvolutionFunction : torch::autograd::Function<ConvolutionFunction> {
  // NOLINTNEXTLINE(readability-function-size): autograd asks for one argument a tensor
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                            const std::optional<at::Tensor>& added, const std::array<std::int64_t, 2>& padding,
                            const ConvolutionShape& shape, Activation activation) {
    const at::Tensor y = convolve_in_one_pass({.x = x, .padding = padding}, weight, bias, added.value_or(at::Tensor()), shape, activation);
    context->save_for_backward({x, weight, activation == Activation::kNone ? at::Tensor() : y});
    context->saved_data["padding"] = std::vector<std::int64_t>(padding.begin(), padding.end());
    context->saved_data["stride"] = shape.stride;
    context->saved_data["groups"] = shape.groups;
    context->saved_data["activation"] = static_cast<std::int64_t>(activation);
    context->saved_data["added"] = added.has_value();
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& outputs) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &y = saved[2];
    auto& data = context->saved_data;
    const at::Tensor dy = outputs[0].contiguous(at::MemoryFormat::ChannelsLast);
    const at::Tensor gradient = passed_gradient(dy, y, static_cast<Activation>(data["activation"].toInt()));
    const std::array<std::int64_t, 2> stride = {data["stride"].toInt(), data["stride"].toInt()}, dilation = {1, 1}, no_padding = {0, 0};
    const std::array<std::int64_t, 1> bias_sizes = {weight.size(0)};
    const std::array<bool, 3> wanted = {context->needs_input_grad(kX), context->needs_input_grad(kWeight),
                                        context->needs_input_grad(kBias)};
    variable_list result(kAll);
    std::tie(result[kX], result[kWeight], result[kBias]) =
        at::convolution_backward(gradient, x, weight, bias_sizes, stride, data["padding"].toIntVector(), dilation, /*transposed=*/false,
                                 no_padding, data["groups"].toInt(), wanted);
    if (data["added"].toBool()) result[kAdded] = gradient;
    return result;
  }
};

}  // namespace

at::Tensor convolve_in_one_pass(const PaddedInput& input, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& added,
                                const ConvolutionShape& shape, Activation activation) {
  const at::AutoDispatchBelowAutograd no_gradients;
  if (!added.defined()) return convolve_fused(input.x, weight, bias, input.padding, shape, activation);
  return convolve_fused_add(input.x, added, weight, bias, input.padding, shape, activation);
}

bool one_pass_takes(at::ScalarType dtype) {
  if (!at::Context::hasMKLDNN()) return false;
  if (dtype != at::kBFloat16) return dtype == at::kFloat;
  static const bool has_bfloat16 =
      c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_is_mkldnn_bf16_supported", "").typed<bool()>().call();
  return has_bfloat16;
}

bool can_fuse_convolution(const at::Tensor& x) { return has_bfloat16_rows(x) && one_pass_takes(at::kBFloat16); }

at::Tensor fused_convolve(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& added,
                          const ConvolutionShape& shape, Activation activation) {
  const PaddedInput padded = pad(x, shape);
  return ConvolutionFunction::apply(
      padded.x, weight.to(x.scalar_type(), /*non_blocking=*/false, /*copy=*/false, at::MemoryFormat::ChannelsLast),
      bias.to(x.scalar_type()), optional_of(added.defined() ? added.contiguous(at::MemoryFormat::ChannelsLast) : added), padded.padding,
      shape, activation);
}

}  // namespace headstart
