// A batch norm's statistics and gradients in training, from passes over bfloat16 rows (model/norm_kernels.h) on LibTorch's threads: what
// model/fused_norm.h and model/fused_pool.h share. Chunks are summed in float32 and added up in float64 in a fixed order: the same bits for
// any number of threads. Thread-safety: as the layers (model/layers.h).
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "model/layers.h"
#include "model/norm_kernels.h"
#include "model/parallel.h"

namespace headstart {

// The rows of x [N, C, H, W], channels_last, in chunks whose borders do not depend on the number of threads.
struct Chunks {
  explicit Chunks(const at::Tensor& x);

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

// The rows of a norm's constants, float32 [kRowCount, C]: what its passes need of the statistics.
enum Row : std::int64_t { kMean, kInverseDeviation, kScale, kShift, kRowCount };

// Of the batch x, bfloat16 [N, C, H, W] as can_fuse_norm takes it; the norm's running statistics are updated.
at::Tensor batch_constants(const at::Tensor& x, const BatchNorm& norm);

// activation(norm(x)) with such constants, which have to outlive it.
Normalise affine(const at::Tensor& constants, Activation activation);

// By channel: the gradients of shift and scale, and what makes x's.
struct NormGradients {
  at::Tensor bias, weight;                             // float32 [C]
  std::vector<float> by_gradient, by_input, constant;  // InputGradient

  InputGradient factors() const { return {.by_gradient = by_gradient.data(), .by_input = by_input.data(), .constant = constant.data()}; }
};

// bfloat16 tensors of one shape [N, C, H', W'], channels_last.
struct PassedGradient {
  at::Tensor dy, x;
  at::Tensor y;       // tells what the activation passed; undefined: x tells
  at::Tensor passed;  // where it is written; undefined: nowhere
};

// count: the values a channel that the statistics were taken of.
NormGradients norm_gradients(const PassedGradient& gradient, const at::Tensor& constants, Activation activation, std::size_t count);

}  // namespace headstart
