#include "model/norm_statistics.h"

#include <ATen/ATen.h>

#include <cmath>

#include "model/bfloat16_bits.h"

namespace headstart {
namespace {

constexpr std::size_t kChunkValues = std::size_t{1} << 15;  // 64 KiB of bfloat16: a chunk and its output stay in a core's own cache
constexpr std::size_t kFewestRows = 64;                     // so that joining the chunks' sums, on one thread, stays a small part

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

// With g the gradient of the norm's output and M values a channel: dx = scale * (g - Σg / M - (x - mean) * inverse² * Σ(g (x - mean)) / M)
// (Ioffe & Szegedy 2015, section 3).
NormGradients from_sums(const Chunks& chunks, PartialSums& sums, const at::Tensor& constants, double count) {
  const auto channels = static_cast<std::int64_t>(chunks.channels);
  NormGradients result{.bias = at::empty({channels}, at::kFloat),
                       .weight = at::empty({channels}, at::kFloat),
                       .by_gradient = std::vector<float>(chunks.channels),
                       .by_input = std::vector<float>(chunks.channels),
                       .constant = std::vector<float>(chunks.channels)};
  const auto* const values = constants.const_data_ptr<float>();
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

}  // namespace

Chunks::Chunks(const at::Tensor& x)
    : channels(static_cast<std::size_t>(x.size(1))),
      rows(static_cast<std::size_t>(x.numel()) / channels),
      rows_each(std::max(kChunkValues / channels, kFewestRows)),
      count((rows + rows_each - 1) / rows_each) {}

at::Tensor batch_constants(const at::Tensor& x, const BatchNorm& norm) {
  const Chunks chunks(x);
  const Moments batch = moments(x, chunks);
  const auto count = static_cast<double>(chunks.rows);
  update_running(norm.running_mean, norm.running_var, batch, count, norm.options.momentum);
  const auto channels = static_cast<std::int64_t>(chunks.channels);
  at::Tensor rows = at::empty({kRowCount, channels}, at::kFloat);
  auto* const values = rows.mutable_data_ptr<float>();
  const float* const scales = norm.weight.defined() ? norm.weight.const_data_ptr<float>() : nullptr;
  const float* const shifts = norm.bias.const_data_ptr<float>();
  for (std::int64_t c = 0; c < channels; ++c) {
    const double mean = batch.mean[static_cast<std::size_t>(c)];
    const double inverse = 1 / std::sqrt(batch.squares[static_cast<std::size_t>(c)] / count + norm.options.eps);
    const double scale = (scales != nullptr ? scales[c] : 1) * inverse;
    values[kMean * channels + c] = static_cast<float>(mean);
    values[kInverseDeviation * channels + c] = static_cast<float>(inverse);
    values[kScale * channels + c] = static_cast<float>(scale);
    values[kShift * channels + c] = static_cast<float>(shifts[c] - mean * scale);
  }
  return rows;
}

Normalise affine(const at::Tensor& constants, Activation activation) {
  const auto* const values = constants.const_data_ptr<float>();
  const std::int64_t channels = constants.size(1);
  return {.scale = values + kScale * channels, .shift = values + kShift * channels, .clamp = clamp_of(activation)};
}

NormGradients norm_gradients(const PassedGradient& gradient, const at::Tensor& constants, Activation activation, std::size_t count) {
  const Chunks chunks(gradient.x);
  PartialSums sums(chunks);
  const Normalise norm = affine(constants, activation);
  const auto* const values = constants.const_data_ptr<float>();
  chunks.for_each([&](std::size_t chunk, std::size_t first, Rows part) {
    const GradientSums into{.mean = values + kMean * part.channels, .sum = sums.first(chunk), .products = sums.second(chunk)};
    const auto at = [first](auto* tensor) { return tensor == nullptr ? nullptr : tensor + first; };
    add_gradients(at(bits(gradient.dy)), at(bits(gradient.x)), at(bits(gradient.y)), part, norm, into, at(writable_bits(gradient.passed)));
  });
  return from_sums(chunks, sums, constants, static_cast<double>(count));
}

}  // namespace headstart
