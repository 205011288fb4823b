#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "data/loader.h"
#include "data/sampler.h"
#include "headstart/error.h"
#include "model/folding.h"
#include "train/frozen_prefix.h"
#include "train/prefix_outputs.h"
#include "train/workload.h"

namespace headstart {
namespace {

LoaderOptions loader_options(const Catalog& catalog, const ResolvedOptions& options, std::int64_t batch_size,
                             std::shared_ptr<DecodedPhotos> decoded) {
  return {.root = catalog.root,
          .preprocessing = options.preprocessing,
          .augmentation = options.augmentation,
          .batch_size = static_cast<int>(batch_size),
          .threads = options.threads,
          .batches_ahead = options.accumulate + 2,
          .seed = options.seed,
          .decoded = std::move(decoded)};
}

// This rank's share of each batch, one after the other. Of full batches it is always as large; only that of the last may be shorter.
std::vector<std::uint32_t> own_photos(const std::vector<std::uint32_t>& order, std::int64_t batch_size, const Group& group) {
  std::vector<std::uint32_t> own;
  for (std::int64_t begin = 0; begin < std::ssize(order); begin += batch_size) {
    const Share share = group.share(std::min(batch_size, std::ssize(order) - begin));
    own.insert(own.end(), order.begin() + begin + share.begin, order.begin() + begin + share.end);
  }
  return own;
}

// One text of bytes a photo: 'r' and its probabilities as float32, or 'u', the reason and a zero.
std::string packed(const ScoredSamples& scored, std::span<const Sample> samples) {
  std::string bytes;
  auto photo = scored.photos.begin();
  auto problem = scored.unreadable.begin();
  for (const Sample& sample : samples) {
    if (photo != scored.photos.end() && photo->path == sample.path) {
      const std::span<const std::byte> row = std::as_bytes(std::span(photo->probabilities));
      bytes.append("r").append(reinterpret_cast<const char*>(row.data()), row.size());
      ++photo;
    } else {
      bytes.append("u").append(problem->reason.c_str(), problem->reason.size() + 1);
      ++problem;
    }
  }
  return bytes;
}

ScoredSamples unpacked(const std::string& bytes, std::span<const Sample> samples, std::size_t classes) {
  ScoredSamples scored;
  const char* at = bytes.data();
  for (const Sample& sample : samples) {
    if (*at++ == 'r') {
      std::vector<float> probabilities(classes);
      std::memcpy(probabilities.data(), at, classes * sizeof(float));
      at += classes * sizeof(float);
      scored.photos.push_back({.path = sample.path, .label = sample.label, .probabilities = std::move(probabilities)});
    } else {
      scored.unreadable.push_back({.path = sample.path, .reason = at});
      at += scored.unreadable.back().reason.size() + 1;
    }
  }
  return scored;
}

// Photos, augmented, through the whole network. What frozen stages give is computed once where it is asked for again: for the validation
// photos, and for training photos with a fixed number of views. Several processes see other photos in each epoch and run these stages each
// time.
class PhotoWorkload final : public Workload {
 public:
  PhotoWorkload(Network& network, const Catalog& catalog, const ResolvedOptions& options, SharedInputs::Impl& shared, const Group& group)
      : network_(network),
        catalog_(catalog),
        options_(options),
        group_(group),
        sum_([group](at::Tensor& tensor) { group.sum(tensor); }),
        device_(options.device),
        loader_(catalog.train, loader_options(catalog, options, group.share(options.batch_size).size(), shared.decoded)),
        shared_(shared),
        frozen_(frozen_stages(network, options.freeze_until)) {
    if (frozen_ > 0) prefix_.emplace(network, frozen_, options);
  }

  void start(std::uint32_t epoch, std::int64_t first_batch, const TrainCallbacks& callbacks) override {
    const int classes = static_cast<int>(catalog_.classes.size());
    order_ = epoch_order(catalog_.train, classes, options_.imbalance, options_.seed, epoch);
    next_batch_ = first_batch;
    view_ = {.split = Split::kTrain, .number = view_of_epoch(options_, epoch)};
    if (keeps_outputs(Split::kTrain)) return prepare(view_, callbacks);
    loader_.start(own_photos(order_, options_.batch_size, group_), view_.number, first_batch);
  }

  std::optional<LearningBatch> next() override {
    const std::int64_t begin = next_batch_ * options_.batch_size;
    if (begin >= std::ssize(order_)) return std::nullopt;
    ++next_batch_;
    if (!keeps_outputs(Split::kTrain)) return read_batch();
    const std::int64_t count = std::min<std::int64_t>(options_.batch_size, std::ssize(order_) - begin);
    return kept_batch(std::span(order_).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(count)));
  }

  // A lone photo (an epoch's last batch) has no batch statistics worth the name; at 1x1 activations they are undefined.
  at::Tensor logits(const LearningBatch& batch) override {
    const bool shared = shares_statistics(options_, group_);
    const bool batch_statistics = options_.batch_norm == BatchNormPolicy::kTrain && (shared ? batch.group_count : batch.count) > 1;
    return logits_of(batch.count > 0 ? batch.input : no_photos(),
                     {batch_statistics ? NormMode::kBatchStatistics : NormMode::kRunningStatistics, shared ? &sum_ : nullptr});
  }

  ScoredSamples validate(const TrainCallbacks& callbacks) override {
    if (keeps_outputs(Split::kValidation)) return score_kept(callbacks);
    const auto on_progress = [&callbacks](std::int64_t done, std::int64_t total) {
      if (callbacks.on_stage) callbacks.on_stage(Stage::kValidate, done, total);
    };
    // Where each rank has statistics of its own photos, rank 0's count, as they are the ones that are saved.
    std::vector<at::Tensor> statistics;
    for (const NamedBuffer& buffer : network_.buffers()) statistics.push_back(buffer.tensor);
    group_.broadcast(statistics);
    const std::span<const Sample> all = catalog_.validation;
    const std::span<const Sample> own = group_.part_of(all);
    ScoredSamples scored = score_samples(FoldedNetwork(network_, dtype_of(options_.precision)), catalog_.root, own,
                                         scoring_options(options_, callbacks), on_progress);
    if (group_.alone()) return scored;
    std::string bytes;
    for (const std::string& part : group_.gather(packed(scored, own))) bytes += part;
    return unpacked(bytes, all, catalog_.classes.size());
  }

  std::vector<Problem> skipped() const override {
    return keeps_outputs(Split::kTrain) && outputs_ ? outputs_->unreadable(Split::kTrain) : loader_.skipped();
  }
  double wait_seconds() const override { return loader_.wait_seconds(); }

 private:
  // x: what the first trained stage takes.
  at::Tensor logits_of(const at::Tensor& x, NormPass norm) const {
    return network_.head(Network::pool(network_.run_stages(x, frozen_, network_.stages().size(), norm)));
  }

  at::Tensor no_photos() const {
    const std::int64_t side = options_.preprocessing.crop_size;
    std::vector<std::int64_t> sizes = prefix_ ? prefix_->shape() : std::vector<std::int64_t>{3, side, side};
    sizes.insert(sizes.begin(), 0);
    return at::empty(sizes, at::TensorOptions(dtype_of(options_.precision)).device(device_).memory_format(at::MemoryFormat::ChannelsLast));
  }

  LearningBatch read_batch() {
    std::optional<Batch> photos = loader_.next();
    if (!photos) return {};  // the last batch has fewer photos than ranks
    LearningBatch batch{.count = photos->count, .requested = photos->requested};
    if (photos->count > 0) {
      batch.input = to_input(photos->pixels, photos->count, options_.preprocessing, options_.precision, device_);
      if (prefix_) batch.input = prefix_->run(batch.input);
      batch.labels = at::tensor(photos->labels, at::kLong).to(device_);
    }
    loader_.recycle(std::move(*photos));
    return batch;
  }

  // ---- outputs of the frozen stages that are kept

  bool keeps_outputs(Split split) const { return prefix_ && group_.alone() && (split == Split::kValidation || options_.views > 0); }

  // Made when the first photo is asked for: a run that trains nothing needs none.
  void prepare(const SplitView& view, const TrainCallbacks& callbacks) {
    const int views = std::min(options_.views, options_.epochs);
    if (!outputs_) outputs_.emplace(*prefix_, catalog_, options_, views, shared_.prefix_bytes, shared_.decoded);
    outputs_->prepare(view, stage_progress(callbacks, std::ssize(catalog_.samples(view.split))));
  }

  LearningBatch kept_batch(std::span<const std::uint32_t> photos) const {
    const PrefixOutputs::Rows rows = outputs_->rows(view_, photos);
    LearningBatch batch{.input = rows.x, .count = std::ssize(rows.photos), .requested = std::ssize(photos)};
    std::vector<std::int64_t> labels;
    for (const std::uint32_t photo : rows.photos) labels.push_back(catalog_.train[photo].label);
    if (batch.count > 0) batch.labels = at::tensor(labels, at::kLong).to(device_);
    return batch;
  }

  // In batches as score_samples() makes them, so that the scores are its.
  ScoredSamples score_kept(const TrainCallbacks& callbacks) {
    const c10::NoGradGuard no_gradients;
    const SplitView view{.split = Split::kValidation};
    prepare(view, callbacks);
    const std::vector<Sample>& samples = catalog_.validation;
    const std::shared_ptr<const FoldedWeights> folded = network_.fold(dtype_of(options_.precision));
    const std::vector<std::uint32_t> order = identity_order(samples.size());
    const auto batch = static_cast<std::size_t>(scoring_options(options_, callbacks).batch_size);
    const std::size_t classes = catalog_.classes.size();
    ScoredSamples scored{.photos = {}, .unreadable = outputs_->unreadable(Split::kValidation)};
    for (std::size_t begin = 0; begin < order.size(); begin += batch) {
      if (callbacks.should_stop && callbacks.should_stop()) throw Error(ErrorCategory::kInterrupted, "validation was stopped");
      const std::size_t end = std::min(begin + batch, order.size());
      const PrefixOutputs::Rows rows = outputs_->rows(view, std::span(order).subspan(begin, end - begin));
      std::vector<float> probabilities;
      if (!rows.photos.empty()) probabilities = softmax_rows(logits_of(rows.x, *folded));
      auto row = probabilities.begin();
      for (const std::uint32_t photo : rows.photos) {
        const auto next = row + static_cast<std::ptrdiff_t>(classes);
        scored.photos.push_back({.path = samples[photo].path, .label = samples[photo].label, .probabilities = {row, next}});
        row = next;
      }
      if (callbacks.on_stage) callbacks.on_stage(Stage::kValidate, static_cast<std::int64_t>(end), std::ssize(samples));
    }
    return scored;
  }

  Network& network_;
  const Catalog& catalog_;
  const ResolvedOptions options_;
  const Group group_;
  const SumOverProcesses sum_;
  const at::Device device_;
  Loader loader_;
  SharedInputs::Impl& shared_;
  const std::size_t frozen_;  // stages
  std::optional<FrozenPrefix> prefix_;
  std::optional<PrefixOutputs> outputs_;
  // The epoch under way.
  std::vector<std::uint32_t> order_;
  SplitView view_;
  std::int64_t next_batch_ = 0;
};

}  // namespace

std::unique_ptr<Workload> make_photo_workload(Network& network, const Catalog& catalog, const ResolvedOptions& options,
                                              SharedInputs::Impl& shared, const Group& group) {
  return std::make_unique<PhotoWorkload>(network, catalog, options, shared, group);
}

}  // namespace headstart
