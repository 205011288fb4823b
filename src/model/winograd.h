// 3x3 convolutions of stride 1 by Winograd's minimal filtering (model/winograd_kernels.h): 2.25 times fewer multiplications, for the output
// and for the gradients of input and weight alike. The products of matrices are oneDNN's, through LibTorch (cpublas::brgemm).
//
// For bfloat16 on CPUs that multiply it in AVX-512: there a ResNet's step is bound by multiplications. Transformed inputs and weights are
// rounded to bfloat16, sums are float32; an output's error is that of oneDNN's bfloat16 convolution and about as much again
// (docs/performance.md). The bits do not depend on the number of threads. Thread-safety: as the layers (model/layers.h).
#pragma once

#include <ATen/core/Tensor.h>

#include "model/layers.h"

namespace headstart {

// Whether x, convolved with such a shape, is computed here: 3x3, stride 1, channels multiples of 64, the image large enough for the tiles
// to pay, the processor and x as above, in channels_last.
bool can_convolve_winograd(const at::Tensor& x, const ConvolutionShape& shape);
// The part of it that does not depend on x's size.
bool suits_winograd(const ConvolutionShape& shape);

// activation(convolution(x) + added). x [N, in, H, W], weight float32 or bfloat16 [out, in, 3, 3], bias [out] of either or undefined, added
// [N, out, H, W] or undefined → [N, out, H, W] bfloat16; with gradients to all four.
at::Tensor winograd_convolve(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& added,
                             Activation activation);

// Weights transformed once, for predictions: bfloat16 [out / 64, 16, in / 2, 64, 2].
at::Tensor winograd_weight(const at::Tensor& weight);

// winograd_convolve by such weights, without gradients.
at::Tensor winograd_convolve_transformed(const at::Tensor& x, const at::Tensor& transformed, const at::Tensor& bias,
                                         const at::Tensor& added, Activation activation);

}  // namespace headstart
