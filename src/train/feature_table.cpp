#include "train/feature_table.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <utility>

#include "data/loader.h"
#include "data/sampler.h"
#include "headstart/error.h"
#include "train/workload.h"

namespace headstart {

FeatureTable compute_features(Network& network, const Catalog& catalog, Split split, const ResolvedOptions& options,
                              FeatureProgress& progress) {
  constexpr int kBatch = 32;
  const c10::NoGradGuard no_gradients;
  const std::vector<Sample>& samples = catalog.samples(split);
  Loader loader(samples, {.root = catalog.root, .preprocessing = options.preprocessing, .batch_size = kBatch, .threads = options.threads});
  loader.start(identity_order(samples.size()), 0);
  FeatureTable table;
  table.row_of.assign(samples.size(), -1);
  std::vector<at::Tensor> parts;
  while (std::optional<Batch> batch = loader.next()) {
    if (progress.callbacks.should_stop && progress.callbacks.should_stop())
      throw Error(ErrorCategory::kInterrupted, "stopped while computing features");
    if (batch->count > 0) {
      const at::Tensor input = to_input(batch->pixels, batch->count, options.preprocessing, options.precision, at::Device(options.device));
      parts.push_back(network.features(input, NormMode::kRunningStatistics).to(at::kFloat));
    }
    for (int i = 0; i < batch->count; ++i) {
      table.row_of[batch->sample_indices[i]] = static_cast<std::int64_t>(table.labels.size());
      table.sample_of.push_back(batch->sample_indices[i]);
      table.labels.push_back(batch->labels[i]);
    }
    progress.done += batch->requested;
    if (progress.callbacks.on_stage) progress.callbacks.on_stage(Stage::kFeatures, progress.done, progress.total);
    loader.recycle(std::move(*batch));
  }
  table.unreadable = loader.skipped();
  check_unreadable(table.unreadable, samples.size(), split, options);
  table.rows = parts.empty() ? at::empty({0, network.feature_count()}) : at::cat(parts);
  return table;
}

}  // namespace headstart
