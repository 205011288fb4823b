#include "train/feature_store.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>
#include <utility>

#include "data/loader.h"
#include "headstart/error.h"
#include "model/folding.h"
#include "report/run_files.h"
#include "train/workload.h"

namespace headstart {

struct FeatureRequest {
  Network& network;
  const Catalog& catalog;
  const std::vector<Sample>& samples;
  const ResolvedOptions& options;
  const FeatureProgress& progress;
  const Group& group;
  std::optional<std::uint32_t> view;  // of the augmented ones; none: the evaluation view
};

namespace {

constexpr int kFeatureBatch = 32;

// Everything that a photo's features depend on, as text. Of augmented views also what decides which photo of the folder is the split's
// i-th.
std::string backbone_key(const FeatureRequest& request) {
  const ResolvedOptions& options = request.options;
  const std::optional<std::uint32_t> view = request.view;
  ResolvedOptions key;
  key.photos = options.photos;
  key.model = options.model;
  key.model_sha256 = options.model_sha256;
  key.architecture = options.architecture;
  key.scratch = options.scratch;
  if (options.scratch || view) key.seed = options.seed;  // random weights, or crops
  key.scratch_init = options.scratch_init;
  key.preprocessing = options.preprocessing;
  key.precision = options.precision;
  key.device = options.device;
  if (!view) return options_to_json(key);
  key.augmentation = options.augmentation;
  key.validation_fraction = options.validation_fraction;
  key.score = options.score;
  return fmt::format("{}{} of {}", options_to_json(key), *view, request.samples.size());
}

// Features of a rank's share of the photos.
struct Features {
  std::string readable;  // 'r' or 'u' a photo
  at::Tensor rows;       // float32 [readable photos, F]
  std::vector<Problem> unreadable;
};

// `order`: of the samples, ascending.
Features features_of(const FeatureRequest& request, std::span<const std::uint32_t> order) {
  const ResolvedOptions& options = request.options;
  const FeatureProgress& progress = request.progress;
  const FoldedNetwork backbone(request.network, dtype_of(options.precision));
  LoaderOptions how{.root = request.catalog.root,
                    .preprocessing = options.preprocessing,
                    .batch_size = kFeatureBatch,
                    .threads = options.threads,
                    .seed = options.seed,
                    .kept_file_bytes = 0};
  if (request.view) how.augmentation = options.augmentation;
  Loader loader(request.samples, std::move(how));
  loader.start({order.begin(), order.end()}, request.view.value_or(0));
  Features features{.readable = {}, .rows = {}, .unreadable = {}};
  std::vector<at::Tensor> parts = {
      at::empty({0, backbone.network().feature_count()}, at::TensorOptions().device(at::Device(options.device)))};
  std::vector<std::uint32_t> readable;
  while (std::optional<Batch> batch = loader.next()) {
    if (progress.should_stop && progress.should_stop()) throw Error(ErrorCategory::kInterrupted, "stopped while computing features");
    if (batch->count > 0) {
      const at::Tensor input = to_input(batch->pixels, batch->count, options.preprocessing, options.precision, at::Device(options.device));
      parts.push_back(backbone.features(input).to(at::kFloat));
    }
    readable.insert(readable.end(), batch->sample_indices.begin(), batch->sample_indices.end());
    progress.advance(batch->requested);
    loader.recycle(std::move(*batch));
  }
  for (const std::uint32_t index : order) features.readable += std::binary_search(readable.begin(), readable.end(), index) ? 'r' : 'u';
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

void FeatureStore::compute(Backbone& backbone, const FeatureRequest& request, const std::vector<std::uint32_t>& missing) {
  const c10::NoGradGuard no_gradients;
  const std::span<const std::uint32_t> own = request.group.part_of<std::uint32_t>(missing);
  const Features features = gathered(request.group, features_of(request, own));
  if (own.size() < missing.size()) request.progress.advance(static_cast<std::int64_t>(missing.size() - own.size()));
  std::int64_t row = backbone.rows.defined() ? backbone.rows.size(0) : 0;
  for (std::size_t i = 0; i < missing.size(); ++i) {
    const Sample& sample = request.samples[missing[i]];
    const bool readable = features.readable[i] == 'r';
    backbone.photos[sample.path] = {.row = readable ? row++ : -1, .reason = {}, .bytes = sample.bytes, .mtime_ns = sample.mtime_ns};
  }
  for (const Problem& problem : features.unreadable) backbone.photos[problem.path].reason = problem.reason;
  backbone.rows = backbone.rows.defined() ? at::cat({backbone.rows, features.rows}) : features.rows;
  computed_ += features.rows.size(0);
}

// Adds to all of the table but its rows, which are what all views' `rows` are together.
void FeatureStore::add_view(FeatureTable& table, const FeatureRequest& request, std::vector<at::Tensor>& rows) {
  Backbone& backbone = backbones_[backbone_key(request)];
  const std::vector<Sample>& samples = request.samples;
  std::vector<std::uint32_t> missing;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    if (find(backbone, samples[i]) == nullptr) missing.push_back(static_cast<std::uint32_t>(i));
  }
  if (missing.size() < samples.size()) request.progress.advance(static_cast<std::int64_t>(samples.size() - missing.size()));
  if (!missing.empty()) compute(backbone, request, missing);
  std::vector<std::int64_t> own_rows;
  std::vector<Problem> unreadable;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const Photo& photo = *find(backbone, samples[i]);
    table.row_of.push_back(photo.row < 0 ? -1 : std::ssize(table.labels));
    if (photo.row < 0) {
      unreadable.push_back({samples[i].path, photo.reason});
      continue;
    }
    own_rows.push_back(photo.row);
    table.labels.push_back(samples[i].label);
    table.sample_of.push_back(static_cast<std::uint32_t>(i));
  }
  add_unreadable(table.unreadable, unreadable);
  if (!own_rows.empty()) rows.push_back(backbone.rows.index_select(0, at::tensor(own_rows, at::kLong).to(backbone.rows.device())));
}

std::int64_t feature_views(const ResolvedOptions& options, Split split) {
  return split == Split::kTrain && options.views > 0 ? options.views : 1;
}

FeatureTable FeatureStore::table(Network& network, const Catalog& catalog, Split split, const ResolvedOptions& options,
                                 const FeatureProgress& progress, const Group& group) {
  FeatureRequest request{.network = network,
                         .catalog = catalog,
                         .samples = catalog.samples(split),
                         .options = options,
                         .progress = progress,
                         .group = group,
                         .view = std::nullopt};
  const bool augmented = split == Split::kTrain && options.views > 0;
  FeatureTable table;
  std::vector<at::Tensor> rows;
  for (std::int64_t view = 0; view < feature_views(options, split); ++view) {
    if (augmented) request.view = static_cast<std::uint32_t>(view);
    add_view(table, request, rows);
  }
  if (rows.empty()) rows.push_back(at::empty({0, network.feature_count()}, at::TensorOptions().device(at::Device(options.device))));
  table.rows = rows.size() == 1 ? rows.front() : at::cat(rows);
  return table;
}

}  // namespace headstart
