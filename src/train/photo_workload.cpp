#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "data/loader.h"
#include "data/sampler.h"
#include "train/workload.h"

namespace headstart {
namespace {

LoaderOptions loader_options(const Catalog& catalog, const ResolvedOptions& options, std::shared_ptr<DecodedPhotos> decoded) {
  return {.root = catalog.root,
          .preprocessing = options.preprocessing,
          .augmentation = options.augmentation,
          .batch_size = options.batch_size,
          .threads = options.threads,
          .batches_ahead = options.accumulate + 2,
          .seed = options.seed,
          .decoded = std::move(decoded)};
}

// Photos, augmented, through the whole network.
class PhotoWorkload final : public Workload {
 public:
  PhotoWorkload(Network& network, const Catalog& catalog, const ResolvedOptions& options, SharedInputs::Impl& shared)
      : network_(network),
        catalog_(catalog),
        options_(options),
        device_(options.device),
        loader_(catalog.train, loader_options(catalog, options, shared.decoded)),
        features_(shared.features) {}

  void start(std::uint32_t epoch, std::int64_t first_batch) override {
    const int classes = static_cast<int>(catalog_.classes.size());
    loader_.start(epoch_order(catalog_.train, classes, options_.imbalance, options_.seed, epoch), epoch, first_batch);
  }

  std::optional<LearningBatch> next() override {
    std::optional<Batch> photos = loader_.next();
    if (!photos) return std::nullopt;
    LearningBatch batch{.count = photos->count, .requested = photos->requested};
    if (photos->count > 0) {
      batch.input = to_input(photos->pixels, photos->count, options_.preprocessing, options_.precision, device_);
      batch.labels = at::tensor(photos->labels, at::kLong).to(device_);
    }
    loader_.recycle(std::move(*photos));
    if (batch.count < batch.requested) check_unreadable(loader_.skipped(), catalog_.train.size(), Split::kTrain, options_);
    return batch;
  }

  // A lone photo (an epoch's last batch) has no batch statistics worth the name; at 1x1 activations they are undefined.
  at::Tensor logits(const LearningBatch& batch) override {
    const bool batch_statistics = options_.batch_norm == BatchNormPolicy::kTrain && batch.count > 1;
    return network_.forward(batch.input, batch_statistics ? NormMode::kBatchStatistics : NormMode::kRunningStatistics);
  }

  ScoredSamples validate(const TrainCallbacks& callbacks) override {
    const auto on_progress = [&callbacks](std::int64_t done, std::int64_t total) {
      if (callbacks.on_stage) callbacks.on_stage(Stage::kValidate, done, total);
    };
    return score_samples(network_, catalog_.root, catalog_.validation, scoring_options(options_, callbacks), on_progress);
  }

  FeatureTable train_features(const TrainCallbacks& callbacks) override {
    const FeatureProgress progress = stage_progress(callbacks, std::ssize(catalog_.train));
    return checked_features(features_, network_, catalog_, Split::kTrain, options_, progress);
  }

  std::vector<Problem> skipped() const override { return loader_.skipped(); }
  double wait_seconds() const override { return loader_.wait_seconds(); }

 private:
  Network& network_;
  const Catalog& catalog_;
  const ResolvedOptions options_;
  const at::Device device_;
  Loader loader_;
  FeatureStore& features_;
};

}  // namespace

std::unique_ptr<Workload> make_photo_workload(Network& network, const Catalog& catalog, const ResolvedOptions& options,
                                              SharedInputs::Impl& shared) {
  return std::make_unique<PhotoWorkload>(network, catalog, options, shared);
}

}  // namespace headstart
