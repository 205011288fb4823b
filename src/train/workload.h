// What a recipe learns from and is validated on: photos through the whole network (finetune), or features through its head (head).
//
// Thread-safety: one thread. Ownership: a workload borrows network and catalogue, which must outlive it. Errors: kData when too many photos
// of a split cannot be read, kInterrupted when should_stop says so.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "eval/scoring.h"
#include "headstart/dataset.h"
#include "headstart/train.h"
#include "model/network.h"
#include "train/distributed.h"
#include "train/shared_inputs.h"

namespace headstart {

// A rank's share of a batch, on the device. `requested` counts the photos that the order asked for; those that could not be read are
// missing from the rest.
struct LearningBatch {
  // [N, 3, crop, crop] channels_last, or what the first trained stage takes, or features float32 [N, F]; undefined when N is 0
  at::Tensor input;
  at::Tensor labels;       // int64 [N]; undefined when N is 0
  std::int64_t count = 0;  // N
  std::int64_t requested = 0;
  std::int64_t group_count = 0;  // N of all ranks together; the loop fills it in
};

class Workload {
 public:
  virtual ~Workload() = default;

  // Starts an epoch (0-based) at batch `first_batch` of its order. What is computed once for several epochs is computed here, by stages of
  // Stage::kFeatures.
  virtual void start(std::uint32_t epoch, std::int64_t first_batch, const TrainCallbacks& callbacks) = 0;
  virtual std::optional<LearningBatch> next() = 0;
  // float32 [N, classes], with gradients to what the recipe trains. Sums over the ranks where batch norm is synchronised: then all ranks
  // call it, those without photos too.
  virtual at::Tensor logits(const LearningBatch& batch) = 0;
  // The validation photos scored with the network as it is now; each rank scores a share of them and has the scores of all.
  virtual ScoredSamples validate(const TrainCallbacks& callbacks) = 0;

  virtual std::vector<Problem> skipped() const = 0;  // training photos that could not be read
  virtual double wait_seconds() const = 0;           // spent waiting for photos since start()
};

// Also says which parameters require a gradient: set it up before the optimizer.
std::unique_ptr<Workload> make_photo_workload(Network& network, const Catalog& catalog, const ResolvedOptions& options,
                                              SharedInputs::Impl& shared, const Group& group);

// Takes the features of training and validation photos from the store first: they are computed once, in evaluation mode. The ranks divide
// the photos; all of them have all features then, and what is learned from these is one process's work.
std::unique_ptr<Workload> make_feature_workload(Network& network, const Catalog& catalog, const ResolvedOptions& options,
                                                FeatureStore& features, const TrainCallbacks& callbacks, const Group& group);

std::unique_ptr<Workload> make_workload(Network& network, const Catalog& catalog, const ResolvedOptions& options,
                                        SharedInputs::Impl& shared, const TrainCallbacks& callbacks, const Group& group);

// Batch norm's statistics are summed over the ranks, so that every rank takes part in every batch.
bool shares_statistics(const ResolvedOptions& options, const Group& group);

// Features of a split from the store, by stages of Stage::kFeatures over `total` photos. Throws Error(kData) as check_unreadable().
FeatureProgress stage_progress(const TrainCallbacks& callbacks, std::int64_t total);
FeatureTable checked_features(FeatureStore& features, Network& network, const Catalog& catalog, Split split, const ResolvedOptions& options,
                              const FeatureProgress& progress, const Group& group);

// Photos scored by their features in batches of `batch_size`, as a network that is given their pixels in such batches scores them.
std::vector<ScoredPhoto> score_features(const Network& network, const FeatureTable& table, const std::vector<Sample>& samples,
                                        std::int64_t batch_size);

// Which parameters learn under the options' recipe and batch norm policy, the first stages frozen; the rest stays bit-equal.
bool is_trained(const NamedParameter& parameter, const ResolvedOptions& options, std::size_t frozen_stages);

// The view of the training photos that an epoch sees: one of a fixed number, or its own.
std::uint32_t view_of_epoch(const ResolvedOptions& options, std::uint32_t epoch);

// How photos are scored during the run: in its precision, on its device.
ScoringOptions scoring_options(const ResolvedOptions& options, const TrainCallbacks& callbacks);

// Throws Error(kData) naming the first few when more than the options' share of a split's photos cannot be read.
void check_unreadable(const std::vector<Problem>& unreadable, std::size_t photos, Split split, const ResolvedOptions& options);

// Adds the photos that are not among the known ones yet.
void add_unreadable(std::vector<Problem>& known, const std::vector<Problem>& more);

// The problems of all ranks, each photo once.
std::vector<Problem> gather_problems(const Group& group, const std::vector<Problem>& own);

}  // namespace headstart
