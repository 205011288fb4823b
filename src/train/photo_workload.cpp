#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "data/loader.h"
#include "data/sampler.h"
#include "model/folding.h"
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

// Photos, augmented, through the whole network.
class PhotoWorkload final : public Workload {
 public:
  PhotoWorkload(Network& network, const Catalog& catalog, const ResolvedOptions& options, SharedInputs::Impl& shared, const Group& group)
      : network_(network),
        catalog_(catalog),
        options_(options),
        group_(group),
        sum_([group](at::Tensor& tensor) { group.sum(tensor); }),
        device_(options.device),
        loader_(catalog.train, loader_options(catalog, options, group.share(options.batch_size).size(), shared.decoded)) {}

  void start(std::uint32_t epoch, std::int64_t first_batch) override {
    const int classes = static_cast<int>(catalog_.classes.size());
    const std::vector<std::uint32_t> order = epoch_order(catalog_.train, classes, options_.imbalance, options_.seed, epoch);
    batches_left_ = (std::ssize(order) + options_.batch_size - 1) / options_.batch_size - first_batch;
    loader_.start(own_photos(order, options_.batch_size, group_), epoch, first_batch);
  }

  std::optional<LearningBatch> next() override {
    if (batches_left_ <= 0) return std::nullopt;
    --batches_left_;
    std::optional<Batch> photos = loader_.next();
    if (!photos) return LearningBatch{};  // the last batch has fewer photos than ranks
    LearningBatch batch{.count = photos->count, .requested = photos->requested};
    if (photos->count > 0) {
      batch.input = to_input(photos->pixels, photos->count, options_.preprocessing, options_.precision, device_);
      batch.labels = at::tensor(photos->labels, at::kLong).to(device_);
    }
    loader_.recycle(std::move(*photos));
    return batch;
  }

  // A lone photo (an epoch's last batch) has no batch statistics worth the name; at 1x1 activations they are undefined.
  at::Tensor logits(const LearningBatch& batch) override {
    const bool shared = shares_statistics(options_, group_);
    const bool batch_statistics = options_.batch_norm == BatchNormPolicy::kTrain && (shared ? batch.group_count : batch.count) > 1;
    return network_.forward(batch.count > 0 ? batch.input : no_photos(),
                            {batch_statistics ? NormMode::kBatchStatistics : NormMode::kRunningStatistics, shared ? &sum_ : nullptr});
  }

  ScoredSamples validate(const TrainCallbacks& callbacks) override {
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

  std::vector<Problem> skipped() const override { return loader_.skipped(); }
  double wait_seconds() const override { return loader_.wait_seconds(); }

 private:
  at::Tensor no_photos() const {
    const std::int64_t side = options_.preprocessing.crop_size;
    return at::empty({0, 3, side, side},
                     at::TensorOptions(dtype_of(options_.precision)).device(device_).memory_format(at::MemoryFormat::ChannelsLast));
  }

  Network& network_;
  const Catalog& catalog_;
  const ResolvedOptions options_;
  const Group group_;
  const SumOverProcesses sum_;
  const at::Device device_;
  std::int64_t batches_left_ = 0;
  Loader loader_;
};

}  // namespace

std::unique_ptr<Workload> make_photo_workload(Network& network, const Catalog& catalog, const ResolvedOptions& options,
                                              SharedInputs::Impl& shared, const Group& group) {
  return std::make_unique<PhotoWorkload>(network, catalog, options, shared, group);
}

}  // namespace headstart
