// A believable TrainResult without training: for tests of the report and of the run folder's files.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "core/random.h"
#include "headstart/train.h"

namespace headstart::test {

struct FakeRun {
  int classes = 2;
  int epochs = 5;
  int photos_per_class = 40;  // of the test split, and of validation
  double skill = 0.9;         // share of photos that are named right; 1: all of them
  bool with_test = true;
  std::vector<std::string> names = {};  // of the first classes
};

inline ScoredPhoto fake_photo(RandomStream& random, const FakeRun& run, int label, int index, const std::vector<std::string>& names) {
  const bool right = run.skill >= 1 || random.uniform() < run.skill;
  const auto step = 1 + static_cast<int>(random.below(random.uniform() < 0.7 ? 1 : static_cast<std::uint64_t>(run.classes - 1)));
  const int predicted = right ? label : (label + step) % run.classes;
  ScoredPhoto photo{
      .path = names[static_cast<std::size_t>(label)] + "/photo_" + std::to_string(index) + ".ppm", .label = label, .probabilities = {}};
  const double sure = right ? random.uniform(0.6, 1.0) : random.uniform(0.52, 0.99);
  photo.probabilities.assign(static_cast<std::size_t>(run.classes), static_cast<float>((1 - sure) / std::max(1, run.classes - 1)));
  photo.probabilities[static_cast<std::size_t>(predicted)] = static_cast<float>(sure);
  return photo;
}

inline Evaluation fake_evaluation(const FakeRun& run, std::uint64_t seed, const std::vector<std::string>& names) {
  RandomStream random(seed, Purpose::kTest);
  Evaluation evaluation;
  for (int c = 0; c < run.classes; ++c) {
    for (int i = 0; i < run.photos_per_class; ++i) evaluation.photos.push_back(fake_photo(random, run, c, i, names));
  }
  evaluation.metrics = compute_metrics(evaluation.photos, run.classes);
  return evaluation;
}

inline EpochRecord fake_epoch(const FakeRun& run, int epoch) {
  RandomStream random(7, Purpose::kTest, static_cast<std::uint32_t>(epoch));
  const double done = 1 - std::exp(-3.0 * epoch / std::max(4, run.epochs / 3));
  return {.epoch = epoch,
          .train_loss = 0.08 + 0.9 * (1 - done) + random.uniform(0, 0.02),
          .train_top1 = 0.55 + 0.42 * done + random.uniform(0, 0.01),
          .validation_loss = 0.14 + 0.7 * (1 - done) + random.uniform(0, 0.03) + 0.0015 * epoch,
          .validation_top1 = 0.62 + 0.33 * done + random.uniform(-0.01, 0.01),
          .lr = 0.005 * 0.5 * (1 + std::cos(3.14159265358979 * epoch / run.epochs)),
          .seconds = 51.25 + random.uniform(),
          .validation_seconds = 6.5 + random.uniform(),
          .photos_per_second = 31.5 + random.uniform(-1, 1),
          .loader_wait_share = 0.01 + 0.01 * random.uniform()};
}

inline ResolvedOptions fake_options(const FakeRun& run) {
  ResolvedOptions options{.photos = "photos/my animals", .out = "runs/animals-1", .model = "efficientnet_lite0"};
  options.architecture = "efficientnet_lite0";
  options.model_sha256 = "57934424a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f6071829304152";
  options.epochs = run.epochs;
  options.batch_size = 32;
  options.lr = 0.005;
  options.recipe = Recipe::kFinetune;
  options.head_lr_multiplier = 10;
  options.warmup_epochs = 0.5;
  options.momentum = 0.9;
  options.weight_decay = 1e-4;
  options.precision = Precision::kBFloat16;
  options.device = "cpu";
  options.threads = 2;
  options.seed = 42;
  options.validation_fraction = 0.2;
  options.max_unreadable_share = 0.1;
  return options;
}

inline TrainResult fake_result(const FakeRun& run) {
  static const char* const kNames[] = {"dog",  "cat",   "horse", "golden retriever", "wolf", "fox", "bear", "sheep", "cow",
                                       "goat", "llama", "otter"};
  TrainResult result;
  result.options = fake_options(run);
  for (int c = 0; c < run.classes; ++c) {
    const auto index = static_cast<std::size_t>(c);
    const bool named = index < run.names.size();
    const std::string number = std::to_string(c / 12 + 1);
    result.classes.push_back(named ? run.names[index] : run.classes <= 12 ? kNames[index] : kNames[index % 12] + (" " + number));
  }
  for (int epoch = 1; epoch <= run.epochs; ++epoch) {
    result.history.push_back(fake_epoch(run, epoch));
    if (result.best_epoch == 0 ||
        result.history.back().validation_top1 > result.history[static_cast<std::size_t>(result.best_epoch) - 1].validation_top1) {
      result.best_epoch = epoch;
      result.history.back().best = true;
    }
    result.seconds += result.history.back().seconds + result.history.back().validation_seconds;
  }
  result.validation = fake_evaluation(run, 1, result.classes);
  if (run.with_test) result.test = fake_evaluation(run, 2, result.classes);
  result.unreadable = {{"cat/broken.jpg", "the JPEG data ends early"}, {"dog/vanished.png", "cannot open: No such file or directory"}};
  result.problems = {{"horse/empty", "no photo in this folder"}};
  result.data_fingerprint = "0123456789abcdef";
  result.model_file = "runs/animals-1/model.safetensors";
  result.report_file = "runs/animals-1/report.html";
  return result;
}

inline Catalog fake_catalog(const TrainResult& result, int photos_per_class) {
  Catalog catalog{.root = result.options.photos, .classes = result.classes, .validation_was_split_off = true};
  for (std::size_t c = 0; c < result.classes.size(); ++c) {
    for (int i = 0; i < photos_per_class; ++i) {
      const Sample sample{.path = result.classes[c] + "/photo_" + std::to_string(i) + ".ppm",
                          .label = static_cast<std::int32_t>(c),
                          .bytes = 1000U + static_cast<std::uint64_t>(i),
                          .mtime_ns = 1'700'000'000'123'456'789};
      (i % 5 == 4 ? catalog.validation : catalog.train).push_back(sample);
    }
  }
  return catalog;
}

}  // namespace headstart::test
