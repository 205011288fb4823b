// The two ways in which Gluon names a network's tensors.
//
// Newer files (save_parameters) name a tensor by its place in the network: "features.5.0.conv1.weight". Older ones (save_params, and
// exported networks to this day) count the layers of a kind as they were made, in each stage anew: "resnetv20_stage1_conv0_weight", with or
// without the network's own prefix "resnetv20_".
// Thread-safety: pure functions.
#pragma once

#include "weights/state_dict.h"

namespace headstart {

// Gives the tensors of a Gluon network with counted names the names of their places, in the network's order. A state dict that is no such
// network (one tensor missing or too many, the output layer aside) is returned as it is.
StateDict with_structural_names(StateDict state);

}  // namespace headstart
