// Depthwise convolutions, each channel with a kernel of its own: in training, and for predictions where padding is uneven.
//
// For bfloat16 on the CPU oneDNN has fast forward passes for them, but treats their gradients, at stride 2 or with kernels of 5, as those
// of a dense convolution: two thirds of EfficientNet-Lite0's training step went there (docs/performance.md). Uneven padding costs no copy
// here. Sums are float32, images' shares of a weight's gradient are added up in a fixed order: the same bits for any number of threads.
// Thread-safety: as the layers (model/layers.h).
#pragma once

#include <ATen/core/Tensor.h>

#include "model/layers.h"

namespace headstart {

// Groups, inputs and outputs all equal, a multiple of 8; kernels of 3 or 5, stride 1 or 2.
bool is_depthwise(const ConvolutionShape& shape);

// Whether depthwise_convolve takes x: bfloat16 on the CPU, channels_last, and such a shape.
bool can_convolve_depthwise(const at::Tensor& x, const ConvolutionShape& shape);

// activation(convolution(x)). x [N, C, H, W], weight float32 or bfloat16 [C, 1, K, K], bias [C] of either or undefined → [N, C, H', W']
// bfloat16; with gradients to all three.
at::Tensor depthwise_convolve(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const ConvolutionShape& shape,
                              Activation activation = Activation::kNone);

}  // namespace headstart
