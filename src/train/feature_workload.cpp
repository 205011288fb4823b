#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <span>
#include <utility>

#include "data/loader.h"
#include "data/sampler.h"
#include "headstart/error.h"
#include "train/workload.h"

namespace headstart {
namespace {

constexpr int kFeatureBatch = 32;

// Features of the photos of a split, or of a rank's share of it, computed in evaluation mode.
struct Features {
  std::string readable;  // 'r' or 'u' a photo
  at::Tensor rows;       // float32 [readable photos, F]
  std::vector<Problem> unreadable;
};

// Those of a whole split.
struct FeatureTable {
  at::Tensor rows;                       // float32 [readable photos, F], on the device
  std::vector<std::int64_t> labels;      // [readable photos]
  std::vector<std::uint32_t> sample_of;  // [readable photos], index into the split
  std::vector<std::int64_t> row_of;      // [photos of the split]; -1: not readable
  std::vector<Problem> unreadable;
};

struct FeatureProgress {
  std::function<void(std::int64_t photos)> advance;
  std::function<bool()> should_stop;
};

Features compute_features(Network& network, std::span<const Sample> samples, const std::filesystem::path& root,
                          const ResolvedOptions& options, const FeatureProgress& progress) {
  Loader loader(samples, {.root = root, .preprocessing = options.preprocessing, .batch_size = kFeatureBatch, .threads = options.threads});
  loader.start(identity_order(samples.size()), 0);
  Features features{.readable = std::string(samples.size(), 'u'), .rows = {}, .unreadable = {}};
  std::vector<at::Tensor> parts = {at::empty({0, network.feature_count()}, at::Device(options.device))};
  while (std::optional<Batch> batch = loader.next()) {
    if (progress.should_stop && progress.should_stop()) throw Error(ErrorCategory::kInterrupted, "stopped while computing features");
    if (batch->count > 0) {
      const at::Tensor input = to_input(batch->pixels, batch->count, options.preprocessing, options.precision, at::Device(options.device));
      parts.push_back(network.features(input, NormMode::kRunningStatistics).to(at::kFloat));
    }
    for (const std::uint32_t index : batch->sample_indices) features.readable[index] = 'r';
    progress.advance(batch->requested);
    loader.recycle(std::move(*batch));
  }
  features.unreadable = loader.skipped();
  features.rows = at::cat(parts);
  return features;
}

// Those of all ranks, whose shares follow each other.
Features gathered(const Group& group, Features own) {
  if (group.alone()) return own;
  const at::Tensor rows = own.rows.to(at::kCPU).contiguous();
  const auto* const bytes = reinterpret_cast<const char*>(rows.const_data_ptr<float>());
  std::vector<at::Tensor> parts;
  for (const std::string& part : group.gather({bytes, rows.nbytes()})) {
    at::Tensor values = at::empty({static_cast<std::int64_t>(part.size() / sizeof(float)) / rows.size(1), rows.size(1)}, at::kFloat);
    std::memcpy(values.mutable_data_ptr<float>(), part.data(), part.size());
    parts.push_back(std::move(values));
  }
  Features all{.readable = {}, .rows = at::cat(parts).to(own.rows.device()), .unreadable = gather_problems(group, own.unreadable)};
  for (const std::string& part : group.gather(own.readable)) all.readable += part;
  return all;
}

FeatureTable feature_table(Network& network, const Catalog& catalog, Split split, const ResolvedOptions& options,
                           const FeatureProgress& progress, const Group& group) {
  const c10::NoGradGuard no_gradients;
  const std::vector<Sample>& samples = catalog.samples(split);
  const Share share = group.share(std::ssize(samples));
  const std::span<const Sample> own =
      std::span(samples).subspan(static_cast<std::size_t>(share.begin), static_cast<std::size_t>(share.size()));
  const Features features = gathered(group, compute_features(network, own, catalog.root, options, progress));
  check_unreadable(features.unreadable, samples.size(), split, options);
  FeatureTable table{.rows = features.rows, .labels = {}, .sample_of = {}, .row_of = {}, .unreadable = features.unreadable};
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const bool readable = features.readable[i] == 'r';
    table.row_of.push_back(readable ? std::ssize(table.labels) : -1);
    if (!readable) continue;
    table.sample_of.push_back(static_cast<std::uint32_t>(i));
    table.labels.push_back(samples[i].label);
  }
  return table;
}

// Stored features through the head.
class FeatureWorkload final : public Workload {
 public:
  FeatureWorkload(Network& network, const Catalog& catalog, const ResolvedOptions& options, const TrainCallbacks& callbacks,
                  const Group& group)
      : network_(network), catalog_(catalog), options_(options) {
    const std::int64_t total = group.share(std::ssize(catalog.train)).size() + group.share(std::ssize(catalog.validation)).size();
    std::int64_t done = 0;
    const FeatureProgress progress{.advance =
                                       [&](std::int64_t photos) {
                                         done += photos;
                                         if (callbacks.on_stage) callbacks.on_stage(Stage::kFeatures, done, total);
                                       },
                                   .should_stop = callbacks.should_stop};
    train_ = feature_table(network, catalog, Split::kTrain, options, progress, group);
    validation_ = feature_table(network, catalog, Split::kValidation, options, progress, group);
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
                                                const TrainCallbacks& callbacks, const Group& group) {
  return std::make_unique<FeatureWorkload>(network, catalog, options, callbacks, group);
}

}  // namespace headstart
