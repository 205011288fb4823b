// Features of photos, each photo's computed once for a backbone, however many runs, splits and seeds ask for it.
//
// Thread-safety: one thread. Errors: kInterrupted when should_stop says so; a photo that cannot be read is data.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "headstart/train.h"
#include "model/network.h"
#include "train/distributed.h"

namespace headstart {

// Features of one split, computed in evaluation mode: of the photos' evaluation views, or of each augmented view, one after the other.
struct FeatureTable {
  at::Tensor rows;                       // float32 [readable views, F], on the device
  std::vector<std::int64_t> labels;      // [readable views]
  std::vector<std::uint32_t> sample_of;  // [readable views], index into the split
  std::vector<std::int64_t> row_of;      // [views * photos of the split]; -1: not readable
  std::vector<Problem> unreadable;
};

// Views of a photo of that split that a table has: the options' of a training photo, where they name a number; else 1.
std::int64_t feature_views(const ResolvedOptions& options, Split split);

struct FeatureProgress {
  std::function<void(std::int64_t photos)> advance;  // so many more of the split have their features
  std::function<bool()> should_stop;
};

struct FeatureRequest;  // one view of a split's photos

class FeatureStore {
 public:
  // Those of the network's frozen backbone. What they depend on is told from the options: source weights (from scratch the seed),
  // preprocessing, precision, device, and for augmented views what these depend on. The backbone must be as the source left it. The ranks
  // divide the photos; all of them have the whole table then. In memory all of them: what is fitted to them needs them there.
  FeatureTable table(Network& network, const Catalog& catalog, Split split, const ResolvedOptions& options, const FeatureProgress& progress,
                     const Group& group);
  std::int64_t computed() const { return computed_; }

 private:
  struct Photo {
    std::int64_t row = -1;  // into Backbone::rows; -1: not readable
    std::string reason;     // why it is not
    std::uint64_t bytes = 0;
    std::int64_t mtime_ns = 0;  // both of the sample: another value is another photo
  };
  struct Backbone {
    at::Tensor rows;  // float32 [photos, F]; undefined before the first
    std::map<std::string, Photo> photos;
  };
  static const Photo* find(const Backbone& backbone, const Sample& sample);
  // `missing`: indices into the samples, ascending.
  void compute(Backbone& backbone, const FeatureRequest& request, const std::vector<std::uint32_t>& missing);
  void add_view(FeatureTable& table, const FeatureRequest& request, std::vector<at::Tensor>& rows);

  std::map<std::string, Backbone> backbones_;
  std::int64_t computed_ = 0;
};

}  // namespace headstart
