#include "model/fused_norm.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "model/bfloat16_bits.h"
#include "model/norm_kernels.h"
#include "model/parallel.h"

namespace headstart {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr std::size_t kChunkValues = std::size_t{1} << 15;  // 64 KiB of bfloat16: a chunk and its output stay in a core's own cache
constexpr std::size_t kFewestRows = 64;                     // so that joining the chunks' sums, on one thread, stays a small part

// The rows of x [N, C, H, W], channels_last, in chunks whose borders do not depend on the number of threads.
struct Chunks {
  explicit Chunks(const at::Tensor& x)
      : channels(static_cast<std::size_t>(x.size(1))),
        rows(static_cast<std::size_t>(x.numel()) / channels),
        rows_each(std::max(kChunkValues / channels, kFewestRows)),
        count((rows + rows_each - 1) / rows_each) {}

  // work(chunk, its first value, its rows), on LibTorch's threads.
  template <typename Work>
  void for_each(const Work& work) const {
    in_parallel(count, [&](std::size_t i) {
      const std::size_t first = i * rows_each;
      work(i, first * channels, Rows{.count = std::min(rows_each, rows - first), .channels = channels});
    });
  }

  std::size_t channels, rows, rows_each, count;
};

// Two sums a channel for each chunk.
class PartialSums {
 public:
  explicit PartialSums(const Chunks& chunks) : channels_(chunks.channels), values_(2 * chunks.count * chunks.channels) {}
  float* first(std::size_t chunk) { return values_.data() + 2 * chunk * channels_; }
  float* second(std::size_t chunk) { return first(chunk) + channels_; }

 private:
  std::size_t channels_;
  std::vector<float> values_;
};

// By channel.
struct Moments {
  std::vector<double> mean, squares;  // squares: Σ (x - mean)²
};

// Chunks are summed about their own first row, which keeps float32 exact enough far from zero, and joined as in Chan, Golub & LeVeque
// (1983).
Moments moments(const at::Tensor& x, const Chunks& chunks) {
  const std::uint16_t* const values = bits(x);
  PartialSums sums(chunks);
  const auto shift_of = [values](std::size_t at) { return static_cast<float>(c10::BFloat16(values[at], c10::BFloat16::from_bits())); };
  chunks.for_each([&](std::size_t chunk, std::size_t first, Rows rows) {
    std::vector<float> shift(rows.channels);
    for (std::size_t c = 0; c < rows.channels; ++c) shift[c] = shift_of(first + c);
    add_moments(values + first, rows, shift.data(), sums.first(chunk), sums.second(chunk));
  });
  Moments all{.mean = std::vector<double>(chunks.channels), .squares = std::vector<double>(chunks.channels)};
  double seen = 0;
  for (std::size_t chunk = 0; chunk < chunks.count; ++chunk) {
    const std::size_t first_row = chunk * chunks.rows_each;
    const auto count = static_cast<double>(std::min(chunks.rows_each, chunks.rows - first_row));
    const float *const sum = sums.first(chunk), *const squares = sums.second(chunk);
    const double share = count / (seen + count);
    for (std::size_t c = 0; c < chunks.channels; ++c) {
      const double own = sum[c] / count;
      const double apart = shift_of(first_row * chunks.channels + c) + own - all.mean[c];
      all.mean[c] += apart * share;
      all.squares[c] += squares[c] - own * sum[c] + apart * apart * seen * share;
    }
    seen += count;
  }
  for (double& squares : all.squares) squares = std::max(squares, 0.0);  // rounding
  return all;
}

void update_running(at::Tensor running_mean, at::Tensor running_var, const Moments& batch, double count, double momentum) {
  auto* const mean = running_mean.mutable_data_ptr<float>();
  auto* const variance = running_var.mutable_data_ptr<float>();
  for (std::size_t c = 0; c < batch.mean.size(); ++c) {
    mean[c] += static_cast<float>(momentum * (batch.mean[c] - mean[c]));
    variance[c] += static_cast<float>(momentum * (batch.squares[c] / (count - 1) - variance[c]));
  }
}

// float32 [4, C]: what backward needs of the statistics, a row each.
enum Row : std::int64_t { kMean, kInverseDeviation, kScale, kShift, kRowCount };

at::Tensor constants(const Moments& batch, double count, double eps, const std::optional<at::Tensor>& weight, const at::Tensor& bias) {
  const auto channels = static_cast<std::int64_t>(batch.mean.size());
  at::Tensor rows = at::empty({kRowCount, channels}, at::kFloat);
  auto* const values = rows.mutable_data_ptr<float>();
  const float* const scales = weight ? weight->const_data_ptr<float>() : nullptr;
  const float* const shifts = bias.const_data_ptr<float>();
  for (std::int64_t c = 0; c < channels; ++c) {
    const double mean = batch.mean[static_cast<std::size_t>(c)];
    const double inverse = 1 / std::sqrt(batch.squares[static_cast<std::size_t>(c)] / count + eps);
    const double scale = (scales != nullptr ? scales[c] : 1) * inverse;
    values[kMean * channels + c] = static_cast<float>(mean);
    values[kInverseDeviation * channels + c] = static_cast<float>(inverse);
    values[kScale * channels + c] = static_cast<float>(scale);
    values[kShift * channels + c] = static_cast<float>(shifts[c] - mean * scale);
  }
  return rows;
}

Normalise affine(const at::Tensor& rows, Activation activation) {
  const auto* const values = rows.const_data_ptr<float>();
  return {.scale = values + kScale * rows.size(1), .shift = values + kShift * rows.size(1), .clamp = clamp_of(activation)};
}

// By channel: the gradients of shift and scale, and what makes x's.
struct Gradients {
  at::Tensor bias, weight;                             // float32 [C]
  std::vector<float> by_gradient, by_input, constant;  // InputGradient
};

// With g the gradient of the norm's output and M values a channel: dx = scale * (g - Σg / M - (x - mean) * inverse² * Σ(g (x - mean)) / M)
// (Ioffe & Szegedy 2015, section 3).
Gradients gradients(const Chunks& chunks, PartialSums& sums, const at::Tensor& rows) {
  const auto channels = static_cast<std::int64_t>(chunks.channels);
  Gradients result{.bias = at::empty({channels}, at::kFloat),
                   .weight = at::empty({channels}, at::kFloat),
                   .by_gradient = std::vector<float>(chunks.channels),
                   .by_input = std::vector<float>(chunks.channels),
                   .constant = std::vector<float>(chunks.channels)};
  const auto count = static_cast<double>(chunks.rows);
  const auto* const values = rows.const_data_ptr<float>();
  auto *const bias = result.bias.mutable_data_ptr<float>(), *const weight = result.weight.mutable_data_ptr<float>();
  std::vector<double> all_sums(chunks.channels), all_products(chunks.channels);
  for (std::size_t chunk = 0; chunk < chunks.count; ++chunk) {
    const float *const sum = sums.first(chunk), *const products = sums.second(chunk);
    for (std::size_t c = 0; c < chunks.channels; ++c) {
      all_sums[c] += sum[c];
      all_products[c] += products[c];
    }
  }
  for (std::size_t c = 0; c < chunks.channels; ++c) {
    const double sum = all_sums[c], products = all_products[c];
    const auto row = [&](Row which) { return static_cast<double>(values[static_cast<std::size_t>(which) * chunks.channels + c]); };
    const double inverse = row(kInverseDeviation), scale = row(kScale);
    const double by_input = -scale * inverse * inverse * products / count;
    bias[c] = static_cast<float>(sum);
    weight[c] = static_cast<float>(products * inverse);
    result.by_gradient[c] = static_cast<float>(scale);
    result.by_input[c] = static_cast<float>(by_input);
    result.constant[c] = static_cast<float>(-scale * sum / count - by_input * row(kMean));
  }
  return result;
}

// The arguments of forward with gradients, in their order.
enum Argument : std::size_t { kX, kAdded, kWeight, kBias, kAll = 6 };

struct NormFunction : torch::autograd::Function<NormFunction> {
  // NOLINTNEXTLINE(readability-function-size): autograd asks for one argument a tensor
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const std::optional<at::Tensor>& added,
                            const std::optional<at::Tensor>& weight, const at::Tensor& bias, const BatchNorm& norm, Activation activation) {
    const Chunks chunks(x);
    const Moments batch = moments(x, chunks);
    const auto count = static_cast<double>(chunks.rows);
    update_running(norm.running_mean, norm.running_var, batch, count, norm.options.momentum);
    const at::Tensor rows = constants(batch, count, norm.options.eps, weight, bias);
    const Normalise affine_norm = affine(rows, activation);
    at::Tensor y = at::empty_like(x);
    chunks.for_each([&](std::size_t, std::size_t first, Rows part) {
      normalise(bits(x) + first, added ? bits(*added) + first : nullptr, part, affine_norm, writable_bits(y) + first);
    });
    const bool needs_output = added && activation != Activation::kNone;  // else x tells what was passed
    context->save_for_backward({x, needs_output ? y : at::Tensor(), rows});
    context->saved_data["activation"] = static_cast<std::int64_t>(activation);
    context->saved_data["added"] = added.has_value();
    context->saved_data["scaled"] = weight.has_value();
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& outputs) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &y = saved[1], &rows = saved[2];
    const auto activation = static_cast<Activation>(context->saved_data["activation"].toInt());
    const at::Tensor dy = outputs[0].contiguous(at::MemoryFormat::ChannelsLast);
    const Normalise norm = affine(rows, activation);
    const Chunks chunks(x);
    PartialSums sums(chunks);
    const at::Tensor passed = y.defined() ? at::empty_like(x) : at::Tensor();
    chunks.for_each([&](std::size_t chunk, std::size_t first, Rows part) {
      const GradientSums into{
          .mean = rows.const_data_ptr<float>() + kMean * rows.size(1), .sum = sums.first(chunk), .products = sums.second(chunk)};
      add_gradients(bits(dy) + first, bits(x) + first, y.defined() ? bits(y) + first : nullptr, part, norm, into,
                    passed.defined() ? writable_bits(passed) + first : nullptr);
    });
    const Gradients found = gradients(chunks, sums, rows);
    variable_list result(kAll);
    if (context->needs_input_grad(kX)) {
      const InputGradient factors{
          .by_gradient = found.by_gradient.data(), .by_input = found.by_input.data(), .constant = found.constant.data()};
      const at::Tensor& gradient = passed.defined() ? passed : dy;
      const Normalise to_x = affine(rows, passed.defined() ? Activation::kNone : activation);
      at::Tensor dx = at::empty_like(x);
      chunks.for_each([&](std::size_t, std::size_t first, Rows part) {
        input_gradients(bits(gradient) + first, bits(x) + first, part, to_x, factors, writable_bits(dx) + first);
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
  return has_bfloat16_rows(x) && x.size(1) == norm.bias.numel() && x.size(1) % static_cast<std::int64_t>(kChannelStep) == 0 &&
         x.numel() > x.size(1) && (!added.defined() || (added.scalar_type() == x.scalar_type() && added.sizes() == x.sizes()));
}

at::Tensor fused_norm(const at::Tensor& x, const at::Tensor& added, const BatchNorm& norm, Activation activation) {
  const auto optional = [](const at::Tensor& tensor) { return tensor.defined() ? std::optional(tensor) : std::nullopt; };
  return NormFunction::apply(x, optional(added.defined() ? added.contiguous(at::MemoryFormat::ChannelsLast) : added), optional(norm.weight),
                             norm.bias, norm, activation);
}

}  // namespace headstart
