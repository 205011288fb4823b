// Between plain bytes and engine tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include "weights/state_dict.h"

namespace headstart {

bool is_floating_point(Dtype dtype);

// A tensor over the host tensor's own bytes, which must outlive it; never written to. Throws Error(kModel) when there are no bytes or their
// number is not that of dtype and shape.
at::Tensor engine_view(const HostTensor& tensor);

}  // namespace headstart
