#include "train/feature_store.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <utility>

#include "data/loader.h"
#include "headstart/error.h"
#include "report/run_files.h"

namespace headstart {
namespace {

constexpr int kFeatureBatch = 32;

// Everything that a photo's features depend on, as text.
std::string group_key(const ResolvedOptions& options) {
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

}  // namespace

const FeatureStore::Photo* FeatureStore::find(const Group& group, const Sample& sample) {
  const auto found = group.photos.find(sample.path);
  if (found == group.photos.end()) return nullptr;
  const Photo& photo = found->second;
  return photo.bytes == sample.bytes && photo.mtime_ns == sample.mtime_ns ? &photo : nullptr;
}

void FeatureStore::compute(Group& group, Network& network, const std::filesystem::path& root, const std::vector<Sample>& missing,
                           const ResolvedOptions& options, const FeatureProgress& progress) {
  const c10::NoGradGuard no_gradients;
  Loader loader(missing, {.root = root, .preprocessing = options.preprocessing, .batch_size = kFeatureBatch, .threads = options.threads});
  loader.start(identity_order(missing.size()), 0);
  std::vector<at::Tensor> parts;
  if (group.rows.defined()) parts.push_back(group.rows);
  std::int64_t row = group.rows.defined() ? group.rows.size(0) : 0;
  std::map<std::string, Photo> photos;
  while (std::optional<Batch> batch = loader.next()) {
    if (progress.should_stop && progress.should_stop()) throw Error(ErrorCategory::kInterrupted, "stopped while computing features");
    if (batch->count > 0) {
      const at::Tensor input = to_input(batch->pixels, batch->count, options.preprocessing, options.precision, at::Device(options.device));
      parts.push_back(network.features(input, NormMode::kRunningStatistics).to(at::kFloat));
    }
    for (const std::uint32_t index : batch->sample_indices) {
      const Sample& sample = missing[index];
      photos[sample.path] = {.row = row++, .reason = {}, .bytes = sample.bytes, .mtime_ns = sample.mtime_ns};
    }
    computed_ += batch->count;
    progress.advance(batch->requested);
    loader.recycle(std::move(*batch));
  }
  for (const Sample& sample : missing) {
    if (!photos.contains(sample.path)) photos[sample.path] = {.bytes = sample.bytes, .mtime_ns = sample.mtime_ns};
  }
  for (Problem& problem : loader.skipped()) photos[problem.path].reason = std::move(problem.reason);
  for (auto& [path, photo] : photos) group.photos[path] = std::move(photo);
  if (!parts.empty()) group.rows = at::cat(parts);
}

FeatureTable FeatureStore::table(Network& network, const Catalog& catalog, Split split, const ResolvedOptions& options,
                                 const FeatureProgress& progress) {
  Group& group = groups_[group_key(options)];
  const std::vector<Sample>& samples = catalog.samples(split);
  std::vector<Sample> missing;
  for (const Sample& sample : samples) {
    if (find(group, sample) == nullptr) missing.push_back(sample);
  }
  if (missing.size() < samples.size()) progress.advance(static_cast<std::int64_t>(samples.size() - missing.size()));
  if (!missing.empty()) compute(group, network, catalog.root, missing, options, progress);
  FeatureTable table;
  std::vector<std::int64_t> rows;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const Photo& photo = *find(group, samples[i]);
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
    table.rows = group.rows.index_select(0, at::tensor(rows, at::kLong).to(group.rows.device()));
  }
  return table;
}

}  // namespace headstart
