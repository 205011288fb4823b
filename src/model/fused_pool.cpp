#include "model/fused_pool.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>
#include <vector>

#include "model/bfloat16_bits.h"
#include "model/norm_statistics.h"
#include "model/pool_kernels.h"

namespace headstart {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

PoolShape shape_of(const at::Tensor& x) {
  return {.height = static_cast<std::size_t>(x.size(2)),
          .width = static_cast<std::size_t>(x.size(3)),
          .channels = static_cast<std::size_t>(x.size(1))};
}

at::Tensor empty_pooled(const at::Tensor& x, at::ScalarType dtype) {
  const at::TensorOptions options = x.options().dtype(dtype);
  return at::empty({x.size(0), x.size(1), (x.size(2) + 1) / 2, (x.size(3) + 1) / 2}, options, at::MemoryFormat::ChannelsLast);
}

// work(image, its row of outputs, the first value of this row in what is pooled), on LibTorch's threads.
template <typename Work>
void for_each_pooled_row(const at::Tensor& x, const Work& work) {
  const PoolShape shape = shape_of(x);
  const std::size_t rows = shape.pooled_height(), row_size = shape.pooled_width() * shape.channels;
  in_parallel(static_cast<std::size_t>(x.size(0)) * rows, [&](std::size_t i) { work(i / rows, i % rows, i * row_size); });
}

// x undefined: its values do not matter.
at::Tensor unpool(const at::Tensor& dy, const at::Tensor& taps, const at::Tensor& x, const InputGradient& factors, at::IntArrayRef sizes) {
  at::Tensor dx = at::empty(sizes, dy.options(), at::MemoryFormat::ChannelsLast);
  const PoolShape shape = shape_of(dx);
  const std::uint16_t *const gradient = bits(dy), *const inputs = bits(x);
  const auto* const chosen = taps.const_data_ptr<std::uint8_t>();
  std::uint16_t* const into = writable_bits(dx);
  for_each_pooled_row(dx, [&](std::size_t image, std::size_t row, std::size_t) {
    unpool_rows({.dy = gradient + image * shape.pooled_size(), .taps = chosen + image * shape.pooled_size()},
                inputs == nullptr ? nullptr : inputs + image * shape.size(), shape, factors, row, into + image * shape.size());
  });
  return dx;
}

// taps undefined: they are not wanted.
at::Tensor relu_pool(const at::Tensor& x, const at::Tensor& taps) {
  const PoolShape shape = shape_of(x);
  at::Tensor y = empty_pooled(x, at::kBFloat16);
  const std::uint16_t* const inputs = bits(x);
  std::uint16_t* const values = writable_bits(y);
  std::uint8_t* const chosen = taps.defined() ? taps.mutable_data_ptr<std::uint8_t>() : nullptr;
  for_each_pooled_row(x, [&](std::size_t image, std::size_t row, std::size_t first) {
    pool_activated_row(inputs + image * shape.size(), shape, row,
                       {.values = values + first, .taps = chosen == nullptr ? nullptr : chosen + first});
  });
  return y;
}

struct NormPooled {
  at::Tensor y;
  at::Tensor taken;  // the input that each output was taken from
  at::Tensor taps;
};

// A norm keeps the order of a channel's values or, where its scale is negative, turns it round: the largest output is that of the largest
// or smallest input.
NormPooled norm_pool(const at::Tensor& x, const Normalise& norm) {
  const PoolShape shape = shape_of(x);
  std::vector<std::int16_t> smallest(shape.channels);
  for (std::size_t c = 0; c < shape.channels; ++c) smallest[c] = norm.scale[c] < 0 ? -1 : 0;
  NormPooled result{.y = empty_pooled(x, at::kBFloat16), .taken = empty_pooled(x, at::kBFloat16), .taps = empty_pooled(x, at::kByte)};
  const std::uint16_t* const inputs = bits(x);
  std::uint16_t *const values = writable_bits(result.y), *const taken = writable_bits(result.taken);
  auto* const taps = result.taps.mutable_data_ptr<std::uint8_t>();
  for_each_pooled_row(x, [&](std::size_t image, std::size_t row, std::size_t first) {
    pool_row(inputs + image * shape.size(), shape, smallest.data(), row, {.values = taken + first, .taps = taps + first});
    normalise(taken + first, nullptr, {.count = shape.pooled_width(), .channels = shape.channels}, norm, values + first);
  });
  return result;
}

struct PoolFunction : torch::autograd::Function<PoolFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x) {
    const at::Tensor taps = empty_pooled(x, at::kByte);
    context->save_for_backward({taps});
    context->saved_data["sizes"] = x.sizes().vec();
    return relu_pool(x, taps);
  }

  static variable_list backward(AutogradContext* context, const variable_list& outputs) {
    const at::Tensor dy = outputs[0].contiguous(at::MemoryFormat::ChannelsLast);
    return {unpool(dy, context->get_saved_variables()[0], {}, {}, context->saved_data["sizes"].toIntVector())};
  }
};

// The arguments of forward with gradients, in their order.
enum Argument : std::size_t { kX, kWeight, kBias, kAll = 4 };

struct NormPoolFunction : torch::autograd::Function<NormPoolFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const std::optional<at::Tensor>& weight,
                            const at::Tensor& /*bias*/, const BatchNorm& norm) {
    const at::Tensor constants = batch_constants(x, norm);
    const NormPooled pooled = norm_pool(x, affine(constants, Activation::kRelu));
    context->save_for_backward({x, constants, pooled.taken, pooled.taps});
    context->saved_data["scaled"] = weight.has_value();
    return pooled.y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& outputs) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &constants = saved[1], &taken = saved[2], &taps = saved[3];
    const at::Tensor dy = outputs[0].contiguous(at::MemoryFormat::ChannelsLast), passed = at::empty_like(dy);
    const NormGradients found = norm_gradients({.dy = dy, .x = taken, .passed = passed}, constants, Activation::kRelu, Chunks(x).rows);
    variable_list result(kAll);
    if (context->needs_input_grad(kX)) result[kX] = unpool(passed, taps, x, found.factors(), x.sizes());
    if (context->saved_data["scaled"].toBool()) result[kWeight] = found.weight;
    result[kBias] = found.bias;
    return result;
  }
};

}  // namespace

bool can_fuse_pool(const at::Tensor& x) { return has_bfloat16_rows(x) && suits_kernels(x.size(1)); }

at::Tensor fused_relu_pool(const at::Tensor& x) {
  if (!c10::GradMode::is_enabled() || !x.requires_grad()) return relu_pool(x, {});
  return PoolFunction::apply(x);
}

at::Tensor fused_norm_pool(const at::Tensor& x, const BatchNorm& norm) {
  return NormPoolFunction::apply(x, optional_of(norm.weight), norm.bias, norm);
}

}  // namespace headstart
