// Convolution, addition and activation in one pass over the output: oneDNN's own, which LibTorch registers for its compiler as
// mkldnn::_convolution_pointwise. Thread-safety: as the layers (model/layers.h).
#pragma once

#include <ATen/core/Tensor.h>

#include "model/layers.h"

namespace headstart {

// activation(convolution(input) + added), without gradients; `added` may be undefined. The weight is packed
// (at::mkldnn_reorder_conv2d_weight) or plain, everything in the dtype of the input: float32 or bfloat16, on the CPU.
at::Tensor convolve_in_one_pass(const PaddedInput& input, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& added,
                                const ConvolutionShape& shape, Activation activation);

// Whether convolve_in_one_pass takes this dtype on this processor: float32; bfloat16 where oneDNN has it (AVX-512 and the like).
bool one_pass_takes(at::ScalarType dtype);

// Whether fused_convolve takes x: bfloat16 on such a CPU, channels_last, not empty.
bool can_fuse_convolution(const at::Tensor& x);

// The same with gradients to x, weight, bias and added; weight float32 or bfloat16 [out, in / groups, K, K], bias [out] alike. The
// activation's gradient is told by the output, so that nothing between the two is kept.
at::Tensor fused_convolve(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& added,
                          const ConvolutionShape& shape, Activation activation);

}  // namespace headstart
