#include "train/feature_table.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cstring>
#include <span>
#include <string>
#include <utility>

#include "data/loader.h"
#include "data/sampler.h"
#include "headstart/error.h"
#include "train/workload.h"

namespace headstart {
namespace {

// Features of a rank's share of the photos.
struct Features {
  std::string readable;  // 'r' or 'u' a photo
  at::Tensor rows;       // float32 [readable photos, F]
  std::vector<Problem> unreadable;
};

Features compute_share(Network& network, std::span<const Sample> samples, const Catalog& catalog, const ResolvedOptions& options,
                       FeatureProgress& progress) {
  constexpr int kBatch = 32;
  Loader loader(samples, {.root = catalog.root, .preprocessing = options.preprocessing, .batch_size = kBatch, .threads = options.threads});
  loader.start(identity_order(samples.size()), 0);
  Features features{.readable = std::string(samples.size(), 'u'), .rows = {}, .unreadable = {}};
  std::vector<at::Tensor> parts = {at::empty({0, network.feature_count()}, at::Device(options.device))};
  while (std::optional<Batch> batch = loader.next()) {
    if (progress.callbacks.should_stop && progress.callbacks.should_stop())
      throw Error(ErrorCategory::kInterrupted, "stopped while computing features");
    if (batch->count > 0) {
      const at::Tensor input = to_input(batch->pixels, batch->count, options.preprocessing, options.precision, at::Device(options.device));
      parts.push_back(network.features(input, NormMode::kRunningStatistics).to(at::kFloat));
    }
    for (const std::uint32_t index : batch->sample_indices) features.readable[index] = 'r';
    progress.done += batch->requested;
    if (progress.callbacks.on_stage) progress.callbacks.on_stage(Stage::kFeatures, progress.done, progress.total);
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

}  // namespace

FeatureTable compute_features(Network& network, const Catalog& catalog, Split split, const ResolvedOptions& options,
                              FeatureProgress& progress, const Group& group) {
  const c10::NoGradGuard no_gradients;
  const std::vector<Sample>& samples = catalog.samples(split);
  const Share share = group.share(std::ssize(samples));
  const std::span<const Sample> own =
      std::span(samples).subspan(static_cast<std::size_t>(share.begin), static_cast<std::size_t>(share.size()));
  const Features features = gathered(group, compute_share(network, own, catalog, options, progress));
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

}  // namespace headstart
