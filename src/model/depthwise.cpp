#include "model/depthwise.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "model/bfloat16_bits.h"
#include "model/depthwise_kernels.h"
#include "model/parallel.h"

namespace headstart {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr std::size_t kLargestKernel = 5;

// Rows or columns.
struct Axis {
  std::ptrdiff_t in, out, before;

  // Which of the input tap k of output o meets; it may lie outside.
  std::ptrdiff_t input_of(std::ptrdiff_t o, std::ptrdiff_t k, std::ptrdiff_t stride) const { return o * stride - before + k; }
  bool has_input(std::ptrdiff_t i) const { return i >= 0 && i < in; }
};

struct Geometry {
  Geometry(const at::Tensor& x, const ConvolutionShape& shape)
      : images(x.size(0)), channels(static_cast<std::size_t>(x.size(1))), kernel(shape.kernel), stride(shape.stride) {
    const auto axis = [&shape](std::int64_t size) {
      const std::int64_t padding = padding_of(size, shape);
      return Axis{.in = size, .out = (size + padding - shape.kernel) / shape.stride + 1, .before = padding / 2};
    };
    rows = axis(x.size(2));
    columns = axis(x.size(3));
  }

  std::size_t input_row() const { return static_cast<std::size_t>(columns.in) * channels; }
  std::size_t output_row() const { return static_cast<std::size_t>(columns.out) * channels; }

  std::ptrdiff_t images;
  std::size_t channels;
  std::ptrdiff_t kernel, stride;
  Axis rows, columns;
};

// float32 [K * K, C], from [C, 1, K, K].
at::Tensor taps_first(const at::Tensor& weight) { return weight.detach().view({weight.size(0), -1}).t().to(at::kFloat).contiguous(); }

// work(image, row) for each row of each image, on LibTorch's threads.
template <typename Work>
void for_each_row(std::ptrdiff_t images, std::ptrdiff_t rows, const Work& work) {
  in_parallel(static_cast<std::size_t>(images * rows), [&work, rows](std::size_t i) {
    const auto place = static_cast<std::ptrdiff_t>(i);
    work(place / rows, place % rows);
  });
}

// How an output row's columns meet those of an input row.
RowGeometry output_columns(const Geometry& g) {
  return {.channels = g.channels,
          .columns = static_cast<std::size_t>(g.columns.in),
          .first = -g.columns.before,
          .taps = static_cast<std::size_t>(g.kernel),
          .step = static_cast<std::size_t>(g.stride),
          .tap_stride = static_cast<std::ptrdiff_t>(g.channels),
          .outputs = static_cast<std::size_t>(g.columns.out)};
}

at::Tensor output(const at::Tensor& x, const at::Tensor& taps, const float* bias, Clamp clamp, const Geometry& g) {
  at::Tensor y = at::empty({g.images, x.size(1), g.rows.out, g.columns.out}, x.options(), at::MemoryFormat::ChannelsLast);
  const std::uint16_t* const input = bits(x);
  std::uint16_t* const into = writable_bits(y);
  const float* const weights = taps.const_data_ptr<float>();
  const RowGeometry row = output_columns(g);
  for_each_row(g.images, g.rows.out, [&](std::ptrdiff_t image, std::ptrdiff_t o) {
    std::array<RowTerm, kLargestKernel> terms;
    std::size_t count = 0;
    for (std::ptrdiff_t k = 0; k < g.kernel; ++k) {
      const std::ptrdiff_t i = g.rows.input_of(o, k, g.stride);
      if (!g.rows.has_input(i)) continue;
      terms[count++] = {.input = input + static_cast<std::size_t>(image * g.rows.in + i) * g.input_row(),
                        .taps = weights + static_cast<std::size_t>(k * g.kernel) * g.channels};
    }
    correlate_rows(std::span(terms).first(count), row, {.bias = bias, .clamp = clamp},
                   into + static_cast<std::size_t>(image * g.rows.out + o) * g.output_row(), g.channels);
  });
  return y;
}

// Input row (column) i was met by output (i + before - k) / stride, for every k that leaves no remainder. Of each remainder, the columns
// are a correlation of stride 1 with every stride-th tap, the last one first.
at::Tensor input_gradient(const at::Tensor& dy, const at::Tensor& taps, const Geometry& g, const at::Tensor& x) {
  at::Tensor dx = at::empty_like(x);
  const std::uint16_t* const gradient = bits(dy);
  std::uint16_t* const into = writable_bits(dx);
  const float* const weights = taps.const_data_ptr<float>();
  for_each_row(g.images, g.rows.in, [&](std::ptrdiff_t image, std::ptrdiff_t i) {
    for (std::ptrdiff_t remainder = 0; remainder < g.stride; ++remainder) {
      const std::ptrdiff_t tap_count = (g.kernel - remainder + g.stride - 1) / g.stride;
      const std::ptrdiff_t last_tap = remainder + (tap_count - 1) * g.stride;
      std::array<RowTerm, kLargestKernel> terms;
      std::size_t count = 0;
      for (std::ptrdiff_t k = 0; k < g.kernel; ++k) {
        const std::ptrdiff_t o = i + g.rows.before - k;
        if (o < 0 || o % g.stride != 0 || o / g.stride >= g.rows.out) continue;
        terms[count++] = {.input = gradient + static_cast<std::size_t>(image * g.rows.out + o / g.stride) * g.output_row(),
                          .taps = weights + static_cast<std::size_t>(k * g.kernel + last_tap) * g.channels};
      }
      // The first column with this remainder, and the output column that its last tap belongs to.
      const std::ptrdiff_t column = ((remainder - g.columns.before) % g.stride + g.stride) % g.stride;
      const std::ptrdiff_t newest = (column + g.columns.before - remainder) / g.stride;
      if (column >= g.columns.in) continue;
      const RowGeometry row{.channels = g.channels,
                            .columns = static_cast<std::size_t>(g.columns.out),
                            .first = newest - (tap_count - 1),
                            .taps = static_cast<std::size_t>(tap_count),
                            .step = 1,
                            .tap_stride = -g.stride * static_cast<std::ptrdiff_t>(g.channels),
                            .outputs = static_cast<std::size_t>((g.columns.in - column + g.stride - 1) / g.stride)};
      correlate_rows(std::span(terms).first(count), row, {.bias = nullptr, .clamp = clamp_of(Activation::kNone)},
                     into + static_cast<std::size_t>(image * g.rows.in + i) * g.input_row() + static_cast<std::size_t>(column) * g.channels,
                     static_cast<std::size_t>(g.stride) * g.channels);
    }
  });
  return dx;
}

struct ParameterGradients {
  at::Tensor weight;  // float32 [C, 1, K, K]
  at::Tensor bias;    // float32 [C]; zero without a bias
};

// A share of the images at a time, each with sums of its own.
ParameterGradients parameter_gradients(const at::Tensor& x, const at::Tensor& dy, const Geometry& g, bool has_bias) {
  constexpr std::ptrdiff_t kMostShares = 16;
  const std::ptrdiff_t shares = std::min(kMostShares, g.images);
  const std::ptrdiff_t taps = g.kernel * g.kernel, channels = static_cast<std::ptrdiff_t>(g.channels);
  at::Tensor sums = at::zeros({shares, taps + 1, channels}, at::kFloat);  // the last row: the bias
  float* const into = sums.mutable_data_ptr<float>();
  const std::uint16_t *const input = bits(x), *const gradient = bits(dy);
  const RowGeometry row = output_columns(g);
  in_parallel(static_cast<std::size_t>(shares), [&](std::size_t which) {
    const auto share = static_cast<std::ptrdiff_t>(which);
    float* const own = into + static_cast<std::size_t>(share * (taps + 1) * channels);
    for (std::ptrdiff_t image = share * g.images / shares; image < (share + 1) * g.images / shares; ++image) {
      for (std::ptrdiff_t o = 0; o < g.rows.out; ++o) {
        const std::uint16_t* const dy_row = gradient + static_cast<std::size_t>(image * g.rows.out + o) * g.output_row();
        if (has_bias) add_columns(dy_row, row.outputs, g.channels, own + taps * channels);
        for (std::ptrdiff_t k = 0; k < g.kernel; ++k) {
          const std::ptrdiff_t i = g.rows.input_of(o, k, g.stride);
          if (!g.rows.has_input(i)) continue;
          add_tap_gradients(input + static_cast<std::size_t>(image * g.rows.in + i) * g.input_row(), dy_row, row,
                            own + k * g.kernel * channels);
        }
      }
    }
  });
  const at::Tensor all = sums.sum(0, /*keepdim=*/false, at::kDouble).to(at::kFloat);
  return {.weight = all.narrow(0, 0, taps).t().contiguous().view({channels, 1, g.kernel, g.kernel}), .bias = all[taps]};
}

// The arguments of forward with gradients, in their order.
enum Argument : std::size_t { kX, kWeight, kBias, kAll = 5 };

struct DepthwiseFunction : torch::autograd::Function<DepthwiseFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                            const ConvolutionShape& shape, Activation activation) {
    const at::Tensor taps = taps_first(weight);
    const at::Tensor shift = bias ? bias->detach().to(at::kFloat).contiguous() : at::Tensor();
    const at::Tensor y =
        output(x, taps, shift.defined() ? shift.const_data_ptr<float>() : nullptr, clamp_of(activation), Geometry(x, shape));
    context->save_for_backward({x, taps, activation == Activation::kNone ? at::Tensor() : y});
    context->saved_data["kernel"] = shape.kernel;
    context->saved_data["stride"] = shape.stride;
    context->saved_data["padding"] = static_cast<std::int64_t>(shape.padding);
    context->saved_data["activation"] = static_cast<std::int64_t>(activation);
    context->saved_data["weight_type"] = static_cast<std::int64_t>(weight.scalar_type());
    if (bias) context->saved_data["bias_type"] = static_cast<std::int64_t>(bias->scalar_type());
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& outputs) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &taps = saved[1];
    auto& data = context->saved_data;
    const Geometry g(
        x, {.kernel = data["kernel"].toInt(), .stride = data["stride"].toInt(), .padding = static_cast<Padding>(data["padding"].toInt())});
    const at::Tensor dy = passed_gradient(outputs[0], saved[2], static_cast<Activation>(data["activation"].toInt()))
                              .contiguous(at::MemoryFormat::ChannelsLast);
    variable_list result(kAll);
    if (context->needs_input_grad(kX)) result[kX] = input_gradient(dy, taps, g, x);
    const bool has_bias = data.count("bias_type") > 0;
    if (context->needs_input_grad(kWeight) || (has_bias && context->needs_input_grad(kBias))) {
      const ParameterGradients found = parameter_gradients(x, dy, g, has_bias);
      result[kWeight] = found.weight.to(static_cast<at::ScalarType>(data["weight_type"].toInt()));
      if (has_bias) result[kBias] = found.bias.to(static_cast<at::ScalarType>(data["bias_type"].toInt()));
    }
    return result;
  }
};

}  // namespace

bool is_depthwise(const ConvolutionShape& shape) {
  return shape.groups == shape.in && shape.in == shape.out && suits_kernels(shape.in) && (shape.kernel == 3 || shape.kernel == 5) &&
         (shape.stride == 1 || shape.stride == 2);
}

bool can_convolve_depthwise(const at::Tensor& x, const ConvolutionShape& shape) {
  return has_bfloat16_rows(x) && is_depthwise(shape) && shape.in == x.size(1);
}

at::Tensor depthwise_convolve(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const ConvolutionShape& shape,
                              Activation activation) {
  return DepthwiseFunction::apply(x, weight, optional_of(bias), shape, activation);
}

}  // namespace headstart
