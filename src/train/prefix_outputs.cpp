#include "train/prefix_outputs.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>

#include "data/loader.h"
#include "headstart/error.h"
#include "report/run_files.h"
#include "train/run_folder.h"
#include "train/workload.h"

namespace headstart {
namespace {

constexpr std::size_t kBlock = 32;

std::int64_t record_bytes(const FrozenPrefix& prefix, const ResolvedOptions& options) {
  const std::vector<std::int64_t>& shape = prefix.shape();
  const auto element = static_cast<std::int64_t>(at::elementSize(dtype_of(options.precision)));
  return std::accumulate(shape.begin(), shape.end(), element, std::multiplies<>());
}

ActivationCache::Layout layout_of(const Catalog& catalog, int views, std::int64_t record_bytes, std::int64_t memory_bytes) {
  return {.records = std::ssize(catalog.validation) + views * std::ssize(catalog.train),
          .record_bytes = record_bytes,
          .memory_bytes = memory_bytes};
}

// Weights, pixels and preprocessing, and what rounds in its own way.
std::string key_of(const Catalog& catalog, const ResolvedOptions& options) {
  ResolvedOptions key;
  key.model_sha256 = options.model_sha256;
  key.architecture = options.architecture;
  key.freeze_until = options.freeze_until;
  key.preprocessing = options.preprocessing;
  key.augmentation = options.augmentation;
  key.seed = options.seed;
  key.precision = options.precision;
  key.device = options.device;
  key.threads = options.threads;
  return options_to_json(key) + fingerprint(catalog) + HEADSTART_VERSION;
}

std::span<std::byte> bytes_of(const at::Tensor& tensor) { return {static_cast<std::byte*>(tensor.mutable_data_ptr()), tensor.nbytes()}; }

}  // namespace

// The validation photos come first: they are asked for in every epoch.
PrefixOutputs::PrefixOutputs(const FrozenPrefix& prefix, const Catalog& catalog, const ResolvedOptions& options, int views,
                             std::int64_t memory_bytes, std::shared_ptr<DecodedPhotos> decoded)
    : prefix_(prefix),
      catalog_(catalog),
      options_(options),
      decoded_(std::move(decoded)),
      record_bytes_(record_bytes(prefix, options)),
      cache_(layout_of(catalog, views, record_bytes_, memory_bytes), options.out / RunFolder::kFrozenOutputs, key_of(catalog, options)) {}

std::int64_t PrefixOutputs::first_record(const SplitView& view) const {
  if (view.split == Split::kValidation) return 0;
  return std::ssize(catalog_.validation) + view.number * std::ssize(catalog_.train);
}

// The photos of every block of which one is missing.
std::vector<std::uint32_t> PrefixOutputs::missing_blocks(const SplitView& view) const {
  const std::size_t photos = catalog_.samples(view.split).size();
  std::vector<std::uint32_t> order;
  for (std::size_t begin = 0; begin < photos; begin += kBlock) {
    std::vector<std::uint32_t> block(std::min(kBlock, photos - begin));
    std::iota(block.begin(), block.end(), static_cast<std::uint32_t>(begin));
    const auto is_there = [&](std::uint32_t photo) { return cache_.holds(first_record(view) + photo); };
    if (!std::all_of(block.begin(), block.end(), is_there)) order.insert(order.end(), block.begin(), block.end());
  }
  return order;
}

void PrefixOutputs::prepare(const SplitView& view, const FeatureProgress& progress) {
  if (prepared_.contains(view)) return;
  const std::vector<Sample>& samples = catalog_.samples(view.split);
  std::vector<std::uint32_t> order = missing_blocks(view);
  progress.advance(std::ssize(samples) - std::ssize(order));
  LoaderOptions how{.root = catalog_.root,
                    .preprocessing = options_.preprocessing,
                    .batch_size = kBlock,
                    .threads = options_.threads,
                    .seed = options_.seed,
                    .kept_file_bytes = 0,
                    .decoded = decoded_};
  if (view.split == Split::kTrain) how.augmentation = options_.augmentation;
  Loader loader(samples, std::move(how));
  loader.start(std::move(order), view.number);
  while (std::optional<Batch> batch = loader.next()) {
    if (progress.should_stop && progress.should_stop()) {
      throw Error(ErrorCategory::kInterrupted, "stopped while computing the outputs of the frozen stages");
    }
    if (batch->count > 0) {
      const at::Device device(options_.device);
      const at::Tensor x = to_input(batch->pixels, batch->count, options_.preprocessing, options_.precision, device);
      const at::Tensor y = prefix_.run(x).to(at::kCPU);
      std::span<const std::byte> rest = bytes_of(y);
      for (const std::uint32_t photo : batch->sample_indices) {
        cache_.put(first_record(view) + photo, rest.first(static_cast<std::size_t>(record_bytes_)));
        rest = rest.subspan(static_cast<std::size_t>(record_bytes_));
      }
    }
    progress.advance(batch->requested);
    loader.recycle(std::move(*batch));
  }
  add_unreadable(unreadable_[view.split], loader.skipped());
  prepared_.insert(view);
}

PrefixOutputs::Rows PrefixOutputs::rows(const SplitView& view, std::span<const std::uint32_t> photos) const {
  Rows rows;
  for (const std::uint32_t photo : photos) {
    if (cache_.holds(first_record(view) + photo)) rows.photos.push_back(photo);
  }
  if (rows.photos.empty()) return rows;
  std::vector<std::int64_t> sizes = prefix_.shape();
  sizes.insert(sizes.begin(), std::ssize(rows.photos));
  const at::Tensor x = at::empty(sizes, at::TensorOptions(dtype_of(options_.precision)).memory_format(at::MemoryFormat::ChannelsLast));
  std::span<std::byte> rest = bytes_of(x);
  for (const std::uint32_t photo : rows.photos) {
    cache_.get(first_record(view) + photo, rest.first(static_cast<std::size_t>(record_bytes_)));
    rest = rest.subspan(static_cast<std::size_t>(record_bytes_));
  }
  rows.x = x.to(at::Device(options_.device));
  return rows;
}

std::vector<Problem> PrefixOutputs::unreadable(Split split) const {
  const auto found = unreadable_.find(split);
  return found == unreadable_.end() ? std::vector<Problem>() : found->second;
}

}  // namespace headstart
