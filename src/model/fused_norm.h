// Batch norm in training, the addition behind it and the activation as one function: fewer passes over the activations than one after the
// other.
//
// Forward: the statistics in one pass over x, the output in one more. Backward: the sums in one pass, x's gradient in one more. The norm's
// own output is never written; the activation's gradient only where something is added, whose gradient it is. Reading and writing count as
// a pass each: 3 forward and 5 backward (4 and 7 with an addition) in the place of 6 and 8 (9 and 8) by LibTorch's functions in turn, and
// memory is what these layers wait for (docs/performance.md). The arithmetic is float32, sums of chunks are added up in float64 in a fixed
// order: the same bits for any number of threads. Thread-safety: as the layers (model/layers.h).
#pragma once

#include <ATen/core/Tensor.h>

#include "model/layers.h"

namespace headstart {

// Whether fused_norm takes them: x bfloat16 on the CPU, channels_last, the norm's channels, a multiple of 8, two values a channel or more;
// added alike.
bool can_fuse_norm(const at::Tensor& x, const at::Tensor& added, const BatchNorm& norm);

// activation(norm(x) + added) with the statistics of the batch, which update the running ones; `added` may be undefined. With gradients to
// x, added and the norm's parameters. x, added [N, C, H, W] → the same shape.
at::Tensor fused_norm(const at::Tensor& x, const at::Tensor& added, const BatchNorm& norm, Activation activation);

}  // namespace headstart
