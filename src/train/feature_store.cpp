#include "train/feature_store.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cstring>
#include <span>
#include <utility>

#include "data/loader.h"
#include "headstart/error.h"
#include "model/folding.h"
#include "report/run_files.h"
#include "train/workload.h"

namespace headstart {
namespace {

constexpr int kFeatureBatch = 32;

// Everything that a photo's features depend on, as text.
std::string backbone_key(const ResolvedOptions& options) {
  ResolvedOptions key;
  key.photos = options.photos;
  key.model = options.model;
  key.model_sha256 = options.model_sha256;
  key.architecture = options.architecture;
  key.scratch = options.scratch;
  if (options.scratch) key.seed = options.seed;  // random weights
  key.scratch_init = options.scratch_init;
  key.preprocessing = options.preprocessing;
  key.precision = options.precision;
  key.device = options.device;
  return options_to_json(key);
}

// Features of a rank's share of the photos.
struct Features {
  std::string readable;  // 'r' or 'u' a photo
  at::Tensor rows;       // float32 [readable photos, F]
  std::vector<Problem> unreadable;
};

Features features_of(std::span<const Sample> samples, const FoldedNetwork& backbone, const std::filesystem::path& root,
                     const ResolvedOptions& options, const FeatureProgress& progress) {
  Loader loader(samples, {.root = root, .preprocessing = options.preprocessing, .batch_size = kFeatureBatch, .threads = options.threads});
  loader.start(identity_order(samples.size()), 0);
  Features features{.readable = std::string(samples.size(), 'u'), .rows = {}, .unreadable = {}};
  std::vector<at::Tensor> parts = {
      at::empty({0, backbone.network().feature_count()}, at::TensorOptions().device(at::Device(options.device)))};
  while (std::optional<Batch> batch = loader.next()) {
    if (progress.should_stop && progress.should_stop()) throw Error(ErrorCategory::kInterrupted, "stopped while computing features");
    if (batch->count > 0) {
      const at::Tensor input = to_input(batch->pixels, batch->count, options.preprocessing, options.precision, at::Device(options.device));
      parts.push_back(backbone.features(input).to(at::kFloat));
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

}  // namespace

const FeatureStore::Photo* FeatureStore::find(const Backbone& backbone, const Sample& sample) {
  const auto found = backbone.photos.find(sample.path);
  if (found == backbone.photos.end()) return nullptr;
  const Photo& photo = found->second;
  return photo.bytes == sample.bytes && photo.mtime_ns == sample.mtime_ns ? &photo : nullptr;
}

void FeatureStore::compute(Backbone& backbone, Network& network, const std::filesystem::path& root, const std::vector<Sample>& missing,
                           const ResolvedOptions& options, const FeatureProgress& progress, const Group& group) {
  const c10::NoGradGuard no_gradients;
  const std::span<const Sample> own = group.part_of<Sample>(missing);
  const Features features = gathered(group, features_of(own, FoldedNetwork(network, dtype_of(options.precision)), root, options, progress));
  if (own.size() < missing.size()) progress.advance(static_cast<std::int64_t>(missing.size() - own.size()));
  std::int64_t row = backbone.rows.defined() ? backbone.rows.size(0) : 0;
  for (std::size_t i = 0; i < missing.size(); ++i) {
    const bool readable = features.readable[i] == 'r';
    backbone.photos[missing[i].path] = {
        .row = readable ? row++ : -1, .reason = {}, .bytes = missing[i].bytes, .mtime_ns = missing[i].mtime_ns};
  }
  for (const Problem& problem : features.unreadable) backbone.photos[problem.path].reason = problem.reason;
  backbone.rows = backbone.rows.defined() ? at::cat({backbone.rows, features.rows}) : features.rows;
  computed_ += features.rows.size(0);
}

FeatureTable FeatureStore::table(Network& network, const Catalog& catalog, Split split, const ResolvedOptions& options,
                                 const FeatureProgress& progress, const Group& group) {
  Backbone& backbone = backbones_[backbone_key(options)];
  const std::vector<Sample>& samples = catalog.samples(split);
  std::vector<Sample> missing;
  for (const Sample& sample : samples) {
    if (find(backbone, sample) == nullptr) missing.push_back(sample);
  }
  if (missing.size() < samples.size()) progress.advance(static_cast<std::int64_t>(samples.size() - missing.size()));
  if (!missing.empty()) compute(backbone, network, catalog.root, missing, options, progress, group);
  FeatureTable table;
  std::vector<std::int64_t> rows;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const Photo& photo = *find(backbone, samples[i]);
    table.row_of.push_back(photo.row < 0 ? -1 : static_cast<std::int64_t>(rows.size()));
    if (photo.row < 0) {
      table.unreadable.push_back({samples[i].path, photo.reason});
      continue;
    }
    rows.push_back(photo.row);
    table.labels.push_back(samples[i].label);
    table.sample_of.push_back(static_cast<std::uint32_t>(i));
  }
  if (rows.empty()) {
    table.rows = at::empty({0, network.feature_count()}, at::TensorOptions().device(at::Device(options.device)));
  } else {
    table.rows = backbone.rows.index_select(0, at::tensor(rows, at::kLong).to(backbone.rows.device()));
  }
  return table;
}

}  // namespace headstart
