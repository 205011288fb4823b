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
  FeatureWorkload(Network& network, const Catalog& catalog, const ResolvedOptions& options, const TrainCallbacks& callbacks)
      : network_(network), catalog_(catalog), options_(options) {
    FeatureProgress progress{.callbacks = callbacks, .total = std::ssize(catalog.train) + std::ssize(catalog.validation)};
    train_ = compute_features(network, catalog, Split::kTrain, options, progress);
    validation_ = compute_features(network, catalog, Split::kValidation, options, progress);
  }

  void start(std::uint32_t epoch, std::int64_t first_batch) override {
    const int classes = static_cast<int>(catalog_.classes.size());
    order_ = epoch_order(catalog_.train, classes, options_.imbalance, options_.seed, epoch);
    cursor_ = std::min(static_cast<std::size_t>(first_batch) * options_.batch_size, order_.size());
  }

  std::optional<LearningBatch> next() override {
    if (cursor_ == order_.size()) return std::nullopt;
    const std::size_t end = std::min(cursor_ + options_.batch_size, order_.size());
    std::vector<std::int64_t> rows, labels;
    for (const std::uint32_t sample : std::span(order_).subspan(cursor_, end - cursor_)) {
      const std::int64_t row = train_.row_of[sample];
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
    const c10::NoGradGuard no_gradients;
    ScoredSamples scored{.photos = {}, .unreadable = validation_.unreadable};
    const std::vector<float> probabilities = softmax_rows(network_.head(validation_.rows));
    const std::size_t classes = catalog_.classes.size();
    for (std::size_t row = 0; row < validation_.labels.size(); ++row) {
      const Sample& sample = catalog_.validation[validation_.sample_of[row]];
      const auto first = probabilities.begin() + static_cast<std::ptrdiff_t>(row * classes);
      scored.photos.push_back({sample.path, sample.label, std::vector<float>(first, first + static_cast<std::ptrdiff_t>(classes))});
    }
    return scored;
  }

  FeatureTable train_features(const TrainCallbacks&) override { return train_; }
  std::vector<Problem> skipped() const override { return train_.unreadable; }
  double wait_seconds() const override { return 0; }

 private:
  Network& network_;
  const Catalog& catalog_;
  const ResolvedOptions options_;
  FeatureTable train_, validation_;
  std::vector<std::uint32_t> order_;
  std::size_t cursor_ = 0;  // into order_
};

}  // namespace

std::unique_ptr<Workload> make_feature_workload(Network& network, const Catalog& catalog, const ResolvedOptions& options,
                                                const TrainCallbacks& callbacks) {
  return std::make_unique<FeatureWorkload>(network, catalog, options, callbacks);
}

}  // namespace headstart
