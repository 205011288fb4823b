// Naming photos with a network that is in memory: what prediction, evaluation and training's validation have in common.
//
// Networks are used folded (model/folding.h), as they were when they were folded; a network that is on the GPU stays there.
// Determinism: the photos of batch b are photos [b * batch_size, (b + 1) * batch_size) of the input, whatever the number of threads, so the
// same input gives bit-equal answers on the same machine and thread count. An unreadable photo leaves its batch one shorter.
// A photo's answer hardly depends on its neighbours: with LibTorch 2.15 on an x86 CPU logits were bit-equal in batches of 2 to 32 and at
// any place in them; alone in a batch they differ by rounding (up to 7e-7 at logits of about 2), as the engine multiplies one row another
// way. Thread-safety: any number of threads may call these functions at the same time, also with one network, while nobody trains it.
// Errors: an unreadable photo is an answer, not an exception; kInterrupted when should_stop says so; kDevice from the engine.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "headstart/classifier.h"
#include "headstart/dataset.h"
#include "headstart/evaluate.h"
#include "headstart/preprocess.h"
#include "model/folding.h"

namespace headstart {

struct ScoringOptions {
  Preprocessing preprocessing;
  Precision precision = Precision::kFloat32;  // never kAuto
  at::Device device = at::kCPU;               // where the network is
  double temperature = 1;                     // of the probabilities (eval/calibration.h)
  int batch_size = 32;
  int threads = 0;                    // that read and decode; 0: all cores
  std::function<bool()> should_stop;  // polled before every batch, on the calling thread; true ends with Error(kInterrupted)
};

// Softmax in float32 over the last dimension of logits [N, classes] (any float dtype and device): host values, row-major [N * classes].
std::vector<float> softmax_rows(const at::Tensor& logits);

// Probabilities, row-major [count * classes], of pictures u8 [count, crop, crop, 3] that are prepared as render_evaluation_view does.
// Uses preprocessing, precision, device and temperature of the options.
std::vector<float> score_pixels(const FoldedNetwork& network, std::span<const std::uint8_t> pixels, int count,
                                const ScoringOptions& options);

// Names a stream of photo files in bounded memory. `next` yields paths until nullopt and is called from one background thread; `sink` gets
// the answers in input order on the calling thread. An exception from `next`, `sink` or a worker ends the stream and reaches the caller.
void score_stream(const FoldedNetwork& network, const std::function<std::optional<std::filesystem::path>()>& next,
                  const std::function<void(const PhotoPrediction&)>& sink, const ScoringOptions& options);

struct ScoredSamples {
  std::vector<ScoredPhoto> photos;  // in the order of the samples, without the unreadable ones
  std::vector<Problem> unreadable;  // path relative to the root, and why
};

// A function that names a stream of photos: score_stream() or Classifier::predict_stream() with all but the ends bound.
using PhotoStream = std::function<void(const std::function<std::optional<std::filesystem::path>()>& next,
                                       const std::function<void(const PhotoPrediction&)>& sink)>;

// Sends samples through a stream and sorts the answers into scored photos and unreadable ones.
ScoredSamples collect_scores(const PhotoStream& stream, const std::filesystem::path& root, std::span<const Sample> samples,
                             const std::function<void(std::int64_t done, std::int64_t total)>& on_progress);

// Scores samples whose paths are relative to `root`. on_progress (optional) comes on the calling thread, after every photo.
ScoredSamples score_samples(const FoldedNetwork& network, const std::filesystem::path& root, std::span<const Sample> samples,
                            const ScoringOptions& options,
                            const std::function<void(std::int64_t done, std::int64_t total)>& on_progress = {});

}  // namespace headstart
