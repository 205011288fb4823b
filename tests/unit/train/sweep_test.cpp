// Runs that share their inputs, runs that a second call goes on with, and sweeps of them.
#include "headstart/sweep.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/file.h"
#include "support/errors.h"
#include "support/temp_dir.h"
#include "tiny_run.h"

namespace headstart {
namespace {

using test::differing_tensors;
using test::expect_contains;
using test::message_of;
using test::read_model_tensors;
using test::stop_after;
using test::TempDir;
using test::tiny_options;

TrainOptions head_options(const TempDir& folder, const std::string& name) {
  TrainOptions options = tiny_options(folder.path(), {.name = name});
  options.recipe = Recipe::kHead;
  return options;
}

void expect_equal_models(const std::filesystem::path& a, const std::filesystem::path& b) {
  EXPECT_TRUE(differing_tensors(read_model_tensors(a), read_model_tensors(b)).empty());
  EXPECT_EQ(read_text_file(a / "predictions.csv"), read_text_file(b / "predictions.csv"));
}

// A photo's features depend by rounding on the batch that it was in, which another seed composes otherwise.
void expect_near(const Evaluation& a, const Evaluation& b) {
  ASSERT_EQ(a.photos.size(), b.photos.size());
  for (std::size_t i = 0; i < a.photos.size(); ++i) {
    EXPECT_EQ(a.photos[i].path, b.photos[i].path);
    for (std::size_t c = 0; c < a.photos[i].probabilities.size(); ++c) {
      // 1e-5: features of float32 differ in their last digits, 1e-7 of them, and ten steps of training add up what that changes.
      EXPECT_TRUE(std::abs(a.photos[i].probabilities[c] - b.photos[i].probabilities[c]) <= 1e-5F) << a.photos[i].path;
    }
  }
}

TEST(SharedInputs, RunsOfTheHeadComputeFeaturesOnceAndEndAsAlone) {
  const TempDir folder;
  test::make_tiny_dataset(folder / "photos/train", 2, 10);
  test::make_tiny_dataset(folder / "photos/test", 2, 4, 9);
  const auto shared = std::make_shared<SharedInputs>();
  for (const std::uint64_t seed : {0, 1}) {
    TrainOptions alone = head_options(folder, "alone-" + std::to_string(seed));
    alone.seed = seed;
    const TrainResult expected = train(alone);
    TrainOptions together = head_options(folder, "together-" + std::to_string(seed));
    together.seed = seed;
    together.shared = shared;
    const TrainResult result = train(together);
    if (seed == 0) expect_equal_models(alone.out, together.out);
    expect_near(expected.validation, result.validation);
    expect_near(*expected.test, *result.test);
    EXPECT_EQ(result.test->photos.size(), 8U);
  }
  // Every photo once, although the two seeds set other photos aside and the final figures look at all of them again.
  EXPECT_EQ(shared->features_computed(), 28);
  TrainOptions other_pixels = head_options(folder, "other-pixels");
  other_pixels.shared = shared;
  other_pixels.preprocessing = Preprocessing{.resize_size = 40, .crop_size = 32};
  train(other_pixels);
  EXPECT_EQ(shared->features_computed(), 56);
}

// The figures that headstart eval would give of the model file, bit for bit.
TEST(SharedInputs, TheHeadsFinalFiguresAreThoseOfItsModelFile) {
  const TempDir folder;
  const TrainResult result = train(head_options(folder, "run"));
  const Classifier classifier = Classifier::open(result.model_file, {.device = "cpu", .threads = 1});
  const Catalog catalog = scan_photos(folder / "photos");
  const Evaluation evaluation = evaluate(classifier, catalog, Split::kValidation);
  ASSERT_EQ(evaluation.photos.size(), result.validation.photos.size());
  for (std::size_t i = 0; i < evaluation.photos.size(); ++i) {
    EXPECT_EQ(evaluation.photos[i].path, result.validation.photos[i].path);
    EXPECT_EQ(evaluation.photos[i].probabilities, result.validation.photos[i].probabilities);
  }
}

TEST(SharedInputs, RunsOfAllLayersEndAsAlone) {
  const TempDir folder;
  const auto shared = std::make_shared<SharedInputs>();
  for (const bool exact : {false, true}) {
    const auto options = [&](const std::string& name) {
      TrainOptions one = tiny_options(folder.path(), {.name = name + (exact ? "-exact" : "-fast")});
      one.augmentation = Augmentation{.fast_decode = !exact};
      return one;
    };
    const TrainOptions alone = options("alone");
    train(alone);
    for (const std::string name : {"first", "second"}) {
      TrainOptions together = options(name);
      together.shared = shared;
      train(together);
      expect_equal_models(alone.out, together.out);
    }
  }
}

TEST(TrainOrResume, GoesOnWithTheRunAndRefusesOtherOptionsByName) {
  const TempDir folder;
  TrainOptions options = tiny_options(folder.path());
  message_of(ErrorCategory::kInterrupted, [&] { train_or_resume(options, stop_after(3)); });
  TrainOptions other = options;
  other.lr = 0.02;
  other.label_smoothing = 0.1;
  const std::string message = message_of(ErrorCategory::kUsage, [&] { train_or_resume(other); });
  expect_contains(message, "lr (run: 0.01, asked: 0.02)");
  expect_contains(message, "label_smoothing (run: 0.0, asked: 0.1)");
  const TrainResult result = train_or_resume(options);
  const TrainOptions straight = tiny_options(folder.path(), {.name = "straight"});
  train(straight);
  expect_equal_models(options.out, straight.out);
  // Finished: the result is read, nothing is computed.
  const TrainResult again = train_or_resume(options, stop_after(0));
  EXPECT_EQ(again.validation.metrics.top1, result.validation.metrics.top1);
}

SweepOptions tiny_sweep(const TempDir& folder, const std::vector<double>& rates) {
  SweepOptions options{.axes = {{.name = "lr", .values = {}, .log = true}}, .cases = {}, .out = folder / "sweep"};
  for (const double rate : rates) {
    const std::string text = std::to_string(rate);
    TrainOptions one = tiny_options(folder.path());
    one.lr = rate;
    options.axes[0].values.push_back(text);
    options.cases.push_back({.values = {text}, .options = one});
  }
  return options;
}

TEST(Sweep, KeepsWhatDivergesAsAResultAndChoosesTheBest) {
  const TempDir folder;
  const SweepResult result = sweep(tiny_sweep(folder, {1e-6, 0.01, 1e30}));
  ASSERT_EQ(result.outcomes.size(), 3U);
  ASSERT_TRUE(result.outcomes[2].runs[0].diverged.has_value());
  EXPECT_GE(result.outcomes[2].runs[0].diverged->step, 1);
  EXPECT_EQ(result.outcomes[2].runs[0].diverged->epoch, 1);
  ASSERT_TRUE(result.best.has_value());
  EXPECT_EQ(result.best, best_outcome(result.outcomes));
  EXPECT_LT(*result.best, 2U);
  for (const char* const file : {"sweep.json", "sweep.html"}) EXPECT_GT(std::filesystem::file_size(result.out / file), 0U) << file;
  EXPECT_TRUE(std::filesystem::exists(result.out / result.outcomes[1].runs[0].folder / "figure.svg"));
}

TEST(Sweep, GoesOnWhereItWasInterruptedAndRepeatsNothing) {
  const TempDir folder;
  const SweepOptions options = tiny_sweep(folder, {1e30, 0.001, 0.01});
  // The first case diverges within its first steps, the second is stopped.
  SweepCallbacks stopping;
  stopping.training = stop_after(10);
  message_of(ErrorCategory::kInterrupted, [&] { sweep(options, stopping); });
  int started = 0;
  SweepCallbacks counting;
  counting.training.on_start = [&](const ResolvedOptions&, const Catalog&) { ++started; };
  const SweepResult result = sweep(options, counting);
  EXPECT_LE(started, 2);  // the diverged case is not trained again
  EXPECT_TRUE(result.outcomes[0].runs[0].diverged.has_value());
  started = 0;
  const SweepResult again = sweep(options, counting);
  EXPECT_EQ(started, 0);
  EXPECT_EQ(again.best, result.best);
  EXPECT_EQ(sweep_to_text(again), sweep_to_text(result));
}

TEST(Sweep, RefusesAnotherGridOrOtherOptionsInItsFolder) {
  const TempDir folder;
  SweepOptions options = tiny_sweep(folder, {0.001});
  options.cases[0].options.epochs = 1;
  sweep(options);
  SweepOptions wider = tiny_sweep(folder, {0.001, 0.01});
  for (SweepCase& one : wider.cases) one.options.epochs = 1;
  expect_contains(message_of(ErrorCategory::kUsage, [&] { sweep(wider); }), "the grid (sweep: lr=0.001000; asked: lr=0.001000,0.010000)");
  options.cases[0].options.batch_size = 2;
  expect_contains(message_of(ErrorCategory::kUsage, [&] { sweep(options); }), "batch_size (run: 4, asked: 2)");
}

TEST(Sweep, NeverChoosesByTestPhotos) {
  const TempDir folder;
  SweepOptions options = tiny_sweep(folder, {0.001});
  options.cases[0].options.score = EpochScore::kTest;
  options.cases[0].options.keep = Keep::kLast;
  expect_contains(message_of(ErrorCategory::kUsage, [&] { sweep(options); }), "score must be validation");
  options.axes[0].name = "refit";
  expect_contains(message_of(ErrorCategory::kUsage, [&] { sweep(options); }), "refit cannot be varied");
  options.cases.clear();
  expect_contains(message_of(ErrorCategory::kUsage, [&] { sweep(options); }), "nothing to vary");
}

}  // namespace
}  // namespace headstart
