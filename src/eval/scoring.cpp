#include "eval/scoring.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include <utility>

#include "core/thread_pool.h"
#include "eval/calibration.h"
#include "eval/photo_batches.h"

namespace headstart {

std::vector<float> softmax_rows(const at::Tensor& logits) {
  const c10::NoGradGuard no_grad;
  const at::Tensor shares = at::softmax(logits.to(at::kFloat), -1).to(at::kCPU).contiguous();
  const float* values = shares.const_data_ptr<float>();
  return {values, values + shares.numel()};
}

std::vector<float> score_pixels(const FoldedNetwork& network, std::span<const std::uint8_t> pixels, int count,
                                const ScoringOptions& options) {
  if (count == 0) return {};
  // A thread of the caller's own knows nothing of LibTorch's thread count until it is told.
  at::internal::lazy_init_num_threads();
  const at::Tensor input = to_input(pixels, count, options.preprocessing, options.precision, options.device);
  std::vector<float> probabilities = softmax_rows(network.forward(input));
  const auto classes = static_cast<std::size_t>(network.network().classes());
  for (std::span<float> rest = probabilities; !rest.empty(); rest = rest.subspan(classes)) {
    apply_temperature(rest.first(classes), options.temperature);
  }
  return probabilities;
}

void score_stream(const FoldedNetwork& network, const std::function<std::optional<std::filesystem::path>()>& next,
                  const std::function<void(const PhotoPrediction&)>& sink, const ScoringOptions& options) {
  PhotoBatches batches(
      next, {.preprocessing = options.preprocessing, .batch_size = options.batch_size, .threads = resolve_threads(options.threads)});
  const auto classes = static_cast<std::size_t>(network.network().classes());
  while (const PreparedBatch* batch = batches.next(options.should_stop)) {
    const std::vector<float> probabilities = score_pixels(network, batch->pixels, batch->readable, options);
    auto row = probabilities.begin();
    for (const PreparedPhoto& photo : batch->photos) {
      PhotoPrediction answer{.path = photo.path, .probabilities = {}, .error = photo.error};
      if (photo.error.empty()) {
        answer.probabilities.assign(row, row + static_cast<std::ptrdiff_t>(classes));
        row += static_cast<std::ptrdiff_t>(classes);
      }
      sink(answer);
    }
  }
}

ScoredSamples collect_scores(const PhotoStream& stream, const std::filesystem::path& root, std::span<const Sample> samples,
                             const std::function<void(std::int64_t done, std::int64_t total)>& on_progress) {
  ScoredSamples scored;
  scored.photos.reserve(samples.size());
  std::size_t pulled = 0;    // used by the background thread of the stream
  std::size_t answered = 0;  // used by this thread
  const auto next = [&]() -> std::optional<std::filesystem::path> {
    if (pulled == samples.size()) return std::nullopt;
    return root / samples[pulled++].path;
  };
  const auto sink = [&](const PhotoPrediction& answer) {
    const Sample& sample = samples[answered++];
    if (answer.error.empty()) {
      scored.photos.push_back({.path = sample.path, .label = sample.label, .probabilities = answer.probabilities});
    } else {
      scored.unreadable.push_back({.path = sample.path, .reason = answer.error});
    }
    if (on_progress) on_progress(static_cast<std::int64_t>(answered), static_cast<std::int64_t>(samples.size()));
  };
  stream(next, sink);
  return scored;
}

ScoredSamples score_samples(const FoldedNetwork& network, const std::filesystem::path& root, std::span<const Sample> samples,
                            const ScoringOptions& options, const std::function<void(std::int64_t done, std::int64_t total)>& on_progress) {
  const PhotoStream stream = [&](const auto& next, const auto& sink) { score_stream(network, next, sink, options); };
  return collect_scores(stream, root, samples, on_progress);
}

}  // namespace headstart
