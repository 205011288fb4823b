#include "model/winograd.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/native/CPUBlas.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <exception>
#include <optional>

#include "model/bfloat16_bits.h"
#include "model/depthwise_kernels.h"
#include "model/norm_statistics.h"
#include "model/parallel.h"
#include "model/winograd_kernels.h"

namespace headstart {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr auto kSlice = static_cast<std::int64_t>(kWinogradChannels);
constexpr auto kMostChannels = static_cast<std::int64_t>(kMostWinogradChannels);
constexpr auto kPlaces = static_cast<std::int64_t>(kTilePlaces);

std::size_t size_of(const at::Tensor& x, std::int64_t dimension) { return static_cast<std::size_t>(x.size(dimension)); }

TileGrid grid_of(const at::Tensor& x) {
  return {.images = size_of(x, 0), .height = size_of(x, 2), .width = size_of(x, 3), .channels = size_of(x, 1)};
}

at::Tensor scratch(std::size_t values, at::ScalarType type) { return at::empty({static_cast<std::int64_t>(values)}, type); }

// c [rows, columns] = a [rows, depth] * b, or += where it accumulates; b in pairs, [depth / 2, columns, 2]. Strides in values, from row to
// row.
struct Product {
  std::size_t rows, columns, depth, a_stride, c_stride;
  bool accumulate;
};
void multiply(const Product& product, const std::uint16_t* a, const std::uint16_t* b, float* c) {
  const auto number = [](std::size_t value) { return static_cast<std::int64_t>(value); };
  at::native::cpublas::brgemm(number(product.rows), number(product.columns), number(product.depth), number(product.a_stride),
                              number(product.columns), number(product.c_stride), product.accumulate,
                              reinterpret_cast<const at::BFloat16*>(a), reinterpret_cast<const at::BFloat16*>(b), c);
}

// oneDNN makes a kernel when it is first asked for one, and throws where the processor, or what the environment leaves of it
// (ONEDNN_MAX_CPU_ISA), has no instructions for it.
bool can_multiply() {
  try {
    const at::Tensor a = at::zeros({kSlice, kSlice}, at::kBFloat16), c = at::empty({kSlice, kSlice}, at::kFloat);
    multiply({.rows = kWinogradChannels,
              .columns = kWinogradChannels,
              .depth = kWinogradChannels,
              .a_stride = kWinogradChannels,
              .c_stride = kWinogradChannels,
              .accumulate = false},
             bits(a), bits(a), c.mutable_data_ptr<float>());
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

// Places whose distance is a power of two would meet in few sets of the caches: it is made a little larger (values).
constexpr std::size_t kApart = 64;

// Tiles that are computed together: what lies between the transforms stays in the second-level cache.
constexpr std::size_t kBlock = 64;

// As the gradient of the input takes them: inputs and outputs exchanged, turned by half a turn.
at::Tensor turned(const at::Tensor& kernels) {
  const std::int64_t out = kernels.size(0) * kSlice, in = kernels.size(2) * 2;
  at::Tensor result = at::empty({in / kSlice, kPlaces, out / 2, kSlice, 2}, kernels.options());
  const std::uint16_t* const from = bits(kernels);
  std::uint16_t* const into = writable_bits(result);
  const std::size_t from_slices = size_of(kernels, 0), slices = size_of(result, 0);
  constexpr std::size_t kPart = kWinogradChannels * kWinogradChannels;
  in_parallel(slices * kTilePlaces, [&](std::size_t i) {
    const std::size_t slice = i / kTilePlaces, place = i % kTilePlaces;
    for (std::size_t other = 0; other < from_slices; ++other) {
      transpose_kernels(from + ((other * kTilePlaces + turned_place(place)) * slices + slice) * kPart,
                        into + (i * from_slices + other) * kPart);
    }
  });
  return result;
}

// x [N, in, H, W], kernels as winograd_weight gives them → [N, out, H, W].
at::Tensor output(const at::Tensor& x, const at::Tensor& kernels, const TileEnd& end) {
  const std::size_t slices = size_of(kernels, 0), out = slices * kWinogradChannels;
  at::Tensor y = at::empty({x.size(0), static_cast<std::int64_t>(out), x.size(2), x.size(3)}, x.options(), at::MemoryFormat::ChannelsLast);
  const TileGrid grid = grid_of(x), out_grid = grid_of(y);
  const std::uint16_t *const input = bits(x), *const weights = bits(kernels);
  std::uint16_t* const into = writable_bits(y);
  const std::size_t blocks = (grid.tiles() + kBlock - 1) / kBlock;
  // Few blocks, as of a single photo: their outputs are shared out among the threads too, which transform the inputs each for itself.
  std::size_t parts = 1;
  while (blocks * parts < 2 * static_cast<std::size_t>(at::get_num_threads()) && slices % (2 * parts) == 0) parts *= 2;
  at::parallel_for(0, static_cast<std::int64_t>(blocks * parts), 1, [&](std::int64_t begin, std::int64_t stop) {
    const std::size_t v_stride = kBlock * grid.channels + kApart, m_stride = kBlock * kWinogradChannels + kApart;
    const at::Tensor inputs = scratch(kTilePlaces * v_stride, at::kBFloat16), products = scratch(kTilePlaces * m_stride, at::kFloat);
    std::uint16_t* const v = writable_bits(inputs);
    float* const m = products.mutable_data_ptr<float>();
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(stop); ++i) {
      const std::size_t first = i / parts * kBlock, part = i % parts;
      const TileRange tiles{.first = first, .count = std::min(kBlock, grid.tiles() - first)};
      transform_inputs(input, grid, tiles, v_stride, v);
      const Product product{.rows = tiles.count,
                            .columns = kWinogradChannels,
                            .depth = grid.channels,
                            .a_stride = grid.channels,
                            .c_stride = kWinogradChannels,
                            .accumulate = false};
      for (std::size_t slice = part * slices / parts; slice < (part + 1) * slices / parts; ++slice) {
        for (std::size_t place = 0; place < kTilePlaces; ++place) {
          multiply(product, v + place * v_stride, weights + (slice * kTilePlaces + place) * grid.channels * kWinogradChannels,
                   m + place * m_stride);
        }
        transform_outputs(m, m_stride, out_grid, tiles, slice * kWinogradChannels, end, into);
      }
    }
  });
  return y;
}

// float32 [out, in, 3, 3]. By turns of so many tiles that what is transformed stays in the third-level cache until it is multiplied.
at::Tensor weight_gradient(const at::Tensor& x, const at::Tensor& dy) {
  constexpr std::size_t kBytes = std::size_t{32} << 20;  // of a turn
  constexpr std::size_t kDepth = 512;                    // of a product
  const TileGrid grid = grid_of(x), out_grid = grid_of(dy);
  const std::size_t in = grid.channels, out = out_grid.channels, slices = out / kWinogradChannels;
  const std::size_t runs_all = (grid.tiles() + kTileRun - 1) / kTileRun;
  const std::size_t runs_most =
      std::min(runs_all, std::max<std::size_t>(1, kBytes / (kTilePlaces * (in + out) * sizeof(std::uint16_t) * kTileRun)));
  const std::size_t most = runs_most * kTileRun;
  const std::size_t row = most + kApart, v_stride = in * row, d_stride = most * kWinogradChannels + kApart;
  const at::Tensor inputs = scratch(kTilePlaces * v_stride, at::kBFloat16),
                   gradients = scratch(slices * kTilePlaces * d_stride, at::kBFloat16);
  const at::Tensor products = scratch(kTilePlaces * in * out, at::kFloat);
  std::uint16_t *const v = writable_bits(inputs), *const d = writable_bits(gradients);
  float* const sums = products.mutable_data_ptr<float>();
  const std::uint16_t *const from = bits(x), *const gradient = bits(dy);
  for (std::size_t start = 0; start < runs_all; start += runs_most) {
    const std::size_t runs = std::min(runs_most, runs_all - start), depth = runs * kTileRun;
    in_parallel(2 * runs, [&](std::size_t i) {
      const std::size_t run = i / 2, first = (start + run) * kTileRun;
      const TileRange tiles{.first = first, .count = std::min(kTileRun, grid.tiles() - first)};
      if (i % 2 == 0) {
        transform_inputs_transposed(from, grid, tiles, row, v_stride, v + run * kTileRun);
      } else {
        transform_gradients(gradient, out_grid, tiles, d_stride, kTilePlaces * d_stride, d + run * kTileRun * kWinogradChannels);
      }
    });
    in_parallel(slices * kTilePlaces, [&](std::size_t i) {
      const std::size_t slice = i / kTilePlaces, place = i % kTilePlaces;
      for (std::size_t done = 0; done < depth; done += kDepth) {
        const Product product{.rows = in,
                              .columns = kWinogradChannels,
                              .depth = std::min(kDepth, depth - done),
                              .a_stride = row,
                              .c_stride = out,
                              .accumulate = start + done > 0};
        multiply(product, v + place * v_stride + done, d + (slice * kTilePlaces + place) * d_stride + done * kWinogradChannels,
                 sums + place * in * out + slice * kWinogradChannels);
      }
    });
  }
  at::Tensor result = at::empty({dy.size(1), x.size(1), 3, 3}, at::kFloat);
  float* const into = result.mutable_data_ptr<float>();
  in_parallel(in, [&](std::size_t i) { transform_kernel_gradients(sums + i * out, in * out, out, 9 * in, into + 9 * i); });
  return result;
}

// By channel, float32 [C].
at::Tensor channel_sums(const at::Tensor& dy) {
  const Chunks chunks(dy);
  const at::Tensor sums = at::zeros({static_cast<std::int64_t>(chunks.count), dy.size(1)}, at::kFloat);
  auto* const into = sums.mutable_data_ptr<float>();
  chunks.for_each([&](std::size_t chunk, std::size_t first, Rows rows) {
    add_columns(bits(dy) + first, rows.count, rows.channels, into + chunk * rows.channels);
  });
  return sums.sum(0, /*keepdim=*/false, at::kDouble).to(at::kFloat);
}

// The arguments of forward with gradients, in their order.
enum Argument : std::size_t { kX, kWeight, kBias, kAdded, kAll = 5 };

struct WinogradFunction : torch::autograd::Function<WinogradFunction> {
  // NOLINTNEXTLINE(readability-function-size): autograd asks for one argument a tensor
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                            const std::optional<at::Tensor>& added, Activation activation) {
    const at::Tensor kernels = winograd_weight(weight);
    const at::Tensor y = winograd_convolve_transformed(x, kernels, bias.value_or(at::Tensor()), added.value_or(at::Tensor()), activation);
    context->save_for_backward({x, kernels, activation == Activation::kNone ? at::Tensor() : y});
    context->saved_data["activation"] = static_cast<std::int64_t>(activation);
    context->saved_data["weight_type"] = static_cast<std::int64_t>(weight.scalar_type());
    if (bias) context->saved_data["bias_type"] = static_cast<std::int64_t>(bias->scalar_type());
    context->saved_data["added"] = added.has_value();
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& outputs) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &kernels = saved[1];
    auto& data = context->saved_data;
    const at::Tensor dy = passed_gradient(outputs[0].contiguous(at::MemoryFormat::ChannelsLast), saved[2],
                                          static_cast<Activation>(data["activation"].toInt()));
    variable_list result(kAll);
    if (context->needs_input_grad(kX)) {
      result[kX] = output(dy, turned(kernels), {.bias = nullptr, .added = nullptr, .clamp = clamp_of(Activation::kNone)});
    }
    if (context->needs_input_grad(kWeight))
      result[kWeight] = weight_gradient(x, dy).to(static_cast<at::ScalarType>(data["weight_type"].toInt()));
    if (data.count("bias_type") > 0 && context->needs_input_grad(kBias)) {
      result[kBias] = channel_sums(dy).to(static_cast<at::ScalarType>(data["bias_type"].toInt()));
    }
    if (data["added"].toBool()) result[kAdded] = dy;
    return result;
  }
};

}  // namespace

bool suits_winograd(const ConvolutionShape& shape) {
  // AMX, for which alone LibTorch packs, multiplies so fast that the transforms would not pay.
  static const bool has = has_winograd_kernels() && !at::native::cpublas::could_pack(at::kBFloat16) && can_multiply();
  const auto suits = [](std::int64_t channels) { return channels % kSlice == 0 && channels <= kMostChannels; };
  return has && shape.kernel == 3 && shape.stride == 1 && shape.groups == 1 && suits(shape.in) && suits(shape.out);
}

bool can_convolve_winograd(const at::Tensor& x, const ConvolutionShape& shape) {
  if (!suits_winograd(shape) || !has_bfloat16_rows(x) || x.size(1) != shape.in) return false;
  const TileGrid grid = grid_of(x);
  return 16 * grid.rows() * grid.columns() * 5 <= 9 * grid.height * grid.width * 4;  // a fifth fewer multiplications
}

at::Tensor winograd_convolve(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& added,
                             Activation activation) {
  return WinogradFunction::apply(x, weight, optional_of(bias),
                                 optional_of(added.defined() ? added.contiguous(at::MemoryFormat::ChannelsLast) : added), activation);
}

at::Tensor winograd_weight(const at::Tensor& weight) {
  const at::Tensor plain = weight.detach().to(at::kFloat).contiguous();
  const std::size_t in = size_of(weight, 1), slices = size_of(weight, 0) / kWinogradChannels, place_stride = in * kWinogradChannels;
  at::Tensor kernels = at::empty({weight.size(0) / kSlice, kPlaces, weight.size(1) / 2, kSlice, 2}, at::kBFloat16);
  const float* const from = plain.const_data_ptr<float>();
  std::uint16_t* const into = writable_bits(kernels);
  constexpr std::size_t kPairs = 16;  // a part's; inputs are a multiple of twice as many
  const std::size_t parts = in / (2 * kPairs);
  in_parallel(slices * parts, [&](std::size_t i) {
    const std::size_t slice = i / parts, pair = i % parts * kPairs;
    transform_kernels(from + (slice * kWinogradChannels * in + 2 * pair) * 9, 9 * in, kPairs, place_stride,
                      into + slice * kTilePlaces * place_stride + pair * 2 * kWinogradChannels);
  });
  return kernels;
}

at::Tensor winograd_convolve_transformed(const at::Tensor& x, const at::Tensor& transformed, const at::Tensor& bias,
                                         const at::Tensor& added, Activation activation) {
  const at::Tensor shift = bias.defined() ? bias.detach().to(at::kFloat).contiguous() : bias;
  return output(x, transformed,
                {.bias = shift.defined() ? shift.const_data_ptr<float>() : nullptr, .added = bits(added), .clamp = clamp_of(activation)});
}

}  // namespace headstart
