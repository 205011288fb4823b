// What the frozen stages give for a run's photos, computed once: for a validation photo, and for a training photo in each of its views.
//
// Photos are computed in blocks that depend on nothing but their place in the catalogue, so that their outputs do not depend on the order
// in which an epoch asks for them, nor on where a run was stopped. Kept in the run's precision, in memory up to a bound and past it in a
// file of the run folder (train/activation_cache.h). Thread-safety: one thread. Ownership: borrows prefix and catalogue. Errors: kFile,
// kInterrupted when should_stop says so; a photo that cannot be read is data.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "data/decoded_photos.h"
#include "train/activation_cache.h"
#include "train/feature_store.h"
#include "train/frozen_prefix.h"

namespace headstart {

// One look at the photos of a split.
struct SplitView {
  Split split = Split::kTrain;
  std::uint32_t number = 0;  // of the training photos' views; 0 for validation photos, which have one
  friend auto operator<=>(const SplitView&, const SplitView&) = default;
};

class PrefixOutputs {
 public:
  // `views` of each training photo, 0: none, besides the validation photos' one. `memory_bytes`: of all that is kept in memory.
  PrefixOutputs(const FrozenPrefix& prefix, const Catalog& catalog, const ResolvedOptions& options, int views, std::int64_t memory_bytes,
                std::shared_ptr<DecodedPhotos> decoded);

  // Computes what is not there yet.
  void prepare(const SplitView& view, const FeatureProgress& progress);

  struct Rows {
    at::Tensor x;                       // [N, C, H, W] channels_last on the run's device; undefined when N is 0
    std::vector<std::uint32_t> photos;  // [N], those asked for that could be read
  };
  // After prepare(); `photos` are indices into the split.
  Rows rows(const SplitView& view, std::span<const std::uint32_t> photos) const;

  // Photos of a split that could not be read, as far as it was prepared.
  std::vector<Problem> unreadable(Split split) const;

 private:
  std::int64_t first_record(const SplitView& view) const;
  std::vector<std::uint32_t> missing_blocks(const SplitView& view) const;

  const FrozenPrefix& prefix_;
  const Catalog& catalog_;
  const ResolvedOptions options_;
  std::shared_ptr<DecodedPhotos> decoded_;
  std::int64_t record_bytes_;
  ActivationCache cache_;
  std::set<SplitView> prepared_;
  std::map<Split, std::vector<Problem>> unreadable_;
};

}  // namespace headstart
