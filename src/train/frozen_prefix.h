// The stages of a network that stay as they are, at its front: run folded and fused, without gradients.
//
// Thread-safety: as Network. Ownership: borrows the network. Errors: kUsage (a stage that the network does not have).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "headstart/train.h"
#include "model/network.h"

namespace headstart {

// How many stages stay as they are where `freeze_until` is the last of them; 0 where it is empty.
std::size_t frozen_stages(const Network& network, std::string_view freeze_until);

class FrozenPrefix {
 public:
  // The first `stages` stages, one or more, as they are now.
  FrozenPrefix(const Network& network, std::size_t stages, const ResolvedOptions& options);

  // x [N, 3, crop, crop] → what the first stage that is trained takes, [N, C, H, W] channels_last in the run's precision.
  at::Tensor run(const at::Tensor& x) const;
  // One photo's share of it: [C, H, W].
  const std::vector<std::int64_t>& shape() const { return shape_; }

 private:
  const Network& network_;
  std::size_t stages_;
  std::shared_ptr<const FoldedWeights> weights_;
  std::vector<std::int64_t> shape_;
};

}  // namespace headstart
