#include "model/fused_norm.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>

#include "model/bfloat16_bits.h"
#include "model/norm_statistics.h"

namespace headstart {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The arguments of forward with gradients, in their order.
enum Argument : std::size_t { kX, kAdded, kWeight, kBias, kAll = 6 };

struct NormFunction : torch::autograd::Function<NormFunction> {
  // NOLINTNEXTLINE(readability-function-size): autograd asks for one argument a tensor
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const std::optional<at::Tensor>& added,
                            const std::optional<at::Tensor>& weight, const at::Tensor& /*bias*/, const BatchNorm& norm,
                            Activation activation) {
    const at::Tensor constants = batch_constants(x, norm);
    const Normalise affine_norm = affine(constants, activation);
    at::Tensor y = at::empty_like(x);
    Chunks(x).for_each([&](std::size_t, std::size_t first, Rows part) {
      normalise(bits(x) + first, added ? bits(*added) + first : nullptr, part, affine_norm, writable_bits(y) + first);
    });
    const bool needs_output = added && activation != Activation::kNone;  // else x tells what was passed
    context->save_for_backward({x, needs_output ? y : at::Tensor(), constants});
    context->saved_data["activation"] = static_cast<std::int64_t>(activation);
    context->saved_data["added"] = added.has_value();
    context->saved_data["scaled"] = weight.has_value();
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& outputs) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &y = saved[1], &constants = saved[2];
    const auto activation = static_cast<Activation>(context->saved_data["activation"].toInt());
    const at::Tensor dy = outputs[0].contiguous(at::MemoryFormat::ChannelsLast);
    const at::Tensor passed = y.defined() ? at::empty_like(x) : at::Tensor();
    const Chunks chunks(x);
    const NormGradients found = norm_gradients({.dy = dy, .x = x, .y = y, .passed = passed}, constants, activation, chunks.rows);
    variable_list result(kAll);
    if (context->needs_input_grad(kX)) {
      const at::Tensor& gradient = passed.defined() ? passed : dy;
      const Normalise to_x = affine(constants, passed.defined() ? Activation::kNone : activation);
      at::Tensor dx = at::empty_like(x);
      chunks.for_each([&](std::size_t, std::size_t first, Rows part) {
        input_gradients(bits(gradient) + first, bits(x) + first, part, to_x, found.factors(), writable_bits(dx) + first);
      });
      result[kX] = dx;
    }
    if (context->saved_data["added"].toBool()) result[kAdded] = passed.defined() ? passed : dy;
    if (context->saved_data["scaled"].toBool()) result[kWeight] = found.weight;
    result[kBias] = found.bias;
    return result;
  }
};

}  // namespace

bool can_fuse_norm(const at::Tensor& x, const at::Tensor& added, const BatchNorm& norm) {
  return has_bfloat16_rows(x) && x.size(1) == norm.bias.numel() && suits_kernels(x.size(1)) && x.numel() > x.size(1) &&
         (!added.defined() || (added.scalar_type() == x.scalar_type() && added.sizes() == x.sizes()));
}

at::Tensor fused_norm(const at::Tensor& x, const at::Tensor& added, const BatchNorm& norm, Activation activation) {
  return NormFunction::apply(x, optional_of(added.defined() ? added.contiguous(at::MemoryFormat::ChannelsLast) : added),
                             optional_of(norm.weight), norm.bias, norm, activation);
}

}  // namespace headstart
