// Max-pooling with windows of 3x3, stride 2 and a padding of 1 behind a ReLU, and behind a batch norm in training: one pass that writes
// nothing but what is pooled. The gradient goes by a byte an output, its place in the window, in the place of LibTorch's index of eight.
//
// With the norm, the largest input of each window is looked for (the smallest where the norm's scale is negative) and normalised alone. The
// values are those of norm, ReLU and pooling in turn to the bit. So are the gradients' ways but where outputs are equal only as they are
// rounded to bfloat16 between the two: LibTorch sends the gradient to the first of these, this to the largest before it was rounded, as in
// exact arithmetic. The norm's sums of gradients are taken over the outputs, of whose inputs a copy is kept: backward, the only pass over x
// is the one that writes its gradient. The same bits for any number of threads.
// Thread-safety: as the layers (model/layers.h).
#pragma once

#include <ATen/core/Tensor.h>

#include "model/layers.h"

namespace headstart {

// Whether fused_relu_pool takes it: bfloat16 on the CPU, channels_last, channels a multiple of 8, not empty.
bool can_fuse_pool(const at::Tensor& x);

// max_pool(ReLU(x)), with a gradient to x [N, C, H, W] → [N, C, (H + 1) / 2, (W + 1) / 2].
at::Tensor fused_relu_pool(const at::Tensor& x);

// max_pool(ReLU(norm(x))) with the statistics of the batch, which update the running ones, for an x that can_fuse_norm takes
// (model/fused_norm.h). With gradients to x and the norm's parameters.
at::Tensor fused_norm_pool(const at::Tensor& x, const BatchNorm& norm);

}  // namespace headstart
