#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <span>
#include <utility>

#include "data/sampler.h"
#include "train/workload.h"

namespace headstart {
namespace {

// Stored features through the head.
class FeatureWorkload final : public Workload {
 public:
  FeatureWorkload(Network& network, const Catalog& catalog, const ResolvedOptions& options, FeatureStore& features,
                  const TrainCallbacks& callbacks, const Group& group)
      : network_(network), catalog_(catalog), options_(options) {
    const std::int64_t training = feature_views(options, Split::kTrain) * std::ssize(catalog.train);
    const FeatureProgress progress = stage_progress(callbacks, training + std::ssize(catalog.validation));
    train_ = checked_features(features, network, catalog, Split::kTrain, options, progress, group);
    validation_ = checked_features(features, network, catalog, Split::kValidation, options, progress, group);
  }

  void start(std::uint32_t epoch, std::int64_t first_batch, const TrainCallbacks&) override {
    const int classes = static_cast<int>(catalog_.classes.size());
    order_ = epoch_order(catalog_.train, classes, options_.imbalance, options_.seed, epoch);
    first_row_ = options_.views > 0 ? view_of_epoch(options_, epoch) * catalog_.train.size() : 0;
    cursor_ = std::min(static_cast<std::size_t>(first_batch) * options_.batch_size, order_.size());
  }

  std::optional<LearningBatch> next() override {
    if (cursor_ == order_.size()) return std::nullopt;
    const std::size_t end = std::min(cursor_ + options_.batch_size, order_.size());
    std::vector<std::int64_t> rows, labels;
    for (const std::uint32_t sample : std::span(order_).subspan(cursor_, end - cursor_)) {
      const std::int64_t row = train_.row_of[first_row_ + sample];
      if (row < 0) continue;
      rows.push_back(row);
      labels.push_back(train_.labels[row]);
    }
    LearningBatch batch{.count = static_cast<std::int64_t>(rows.size()), .requested = static_cast<std::int64_t>(end - cursor_)};
    cursor_ = end;
    if (batch.count > 0) {
      batch.input = train_.rows.index_select(0, at::tensor(rows, at::kLong).to(train_.rows.device()));
      batch.labels = at::tensor(labels, at::kLong).to(train_.rows.device());
    }
    return batch;
  }

  at::Tensor logits(const LearningBatch& batch) override { return network_.head(batch.input); }

  ScoredSamples validate(const TrainCallbacks&) override {
    const auto all = std::max<std::int64_t>(std::ssize(validation_.labels), 1);
    return {.photos = score_features(network_, validation_, catalog_.validation, all), .unreadable = validation_.unreadable};
  }

  std::vector<Problem> skipped() const override { return train_.unreadable; }
  double wait_seconds() const override { return 0; }

 private:
  Network& network_;
  const Catalog& catalog_;
  const ResolvedOptions options_;
  FeatureTable train_, validation_;
  std::vector<std::uint32_t> order_;
  std::size_t cursor_ = 0;     // into order_
  std::size_t first_row_ = 0;  // of the epoch's view, in FeatureTable::row_of
};

}  // namespace

std::unique_ptr<Workload> make_feature_workload(Network& network, const Catalog& catalog, const ResolvedOptions& options,
                                                FeatureStore& features, const TrainCallbacks& callbacks, const Group& group) {
  return std::make_unique<FeatureWorkload>(network, catalog, options, features, callbacks, group);
}

std::vector<ScoredPhoto> score_features(const Network& network, const FeatureTable& table, const std::vector<Sample>& samples,
                                        std::int64_t batch_size) {
  const c10::NoGradGuard no_gradients;
  const auto classes = static_cast<std::ptrdiff_t>(network.classes());
  std::vector<ScoredPhoto> photos;
  for (const at::Tensor& rows : table.rows.split(batch_size)) {
    const std::vector<float> probabilities = softmax_rows(network.head(rows));
    for (auto row = probabilities.begin(); row != probabilities.end(); row += classes) {
      const Sample& sample = samples[table.sample_of[photos.size()]];
      photos.push_back({sample.path, sample.label, std::vector<float>(row, row + classes)});
    }
  }
  return photos;
}

}  // namespace headstart
