// The backbone's features of a split's photos, as the recipe head and the output layer's first values use them.
//
// Thread-safety: one thread. Errors: kData when too many photos of the split cannot be read, kInterrupted when should_stop says so.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "headstart/dataset.h"
#include "headstart/train.h"
#include "model/network.h"

namespace headstart {

struct FeatureTable {
  at::Tensor rows;                       // float32 [readable photos, F], on the device
  std::vector<std::int64_t> labels;      // [readable photos]
  std::vector<std::uint32_t> sample_of;  // [readable photos], index into the split
  std::vector<std::int64_t> row_of;      // [photos of the split]; -1: not readable
  std::vector<Problem> unreadable;
};

// How far Stage::kFeatures is, over all the splits that it computes.
struct FeatureProgress {
  const TrainCallbacks& callbacks;
  std::int64_t total = 0;
  std::int64_t done = 0;
};

// Computed in evaluation mode, in the run's precision, from the evaluation view of each photo.
FeatureTable compute_features(Network& network, const Catalog& catalog, Split split, const ResolvedOptions& options,
                              FeatureProgress& progress);

}  // namespace headstart
