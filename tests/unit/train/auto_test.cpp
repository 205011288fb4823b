// The recipe auto: the head first, then fine-tuning for as long as it pays.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "equal_runs.h"
#include "headstart/train.h"
#include "support/errors.h"
#include "support/temp_dir.h"
#include "support/tensor_compare.h"
#include "tiny_run.h"
#include "train/budget.h"
#include "train/weight_average.h"

namespace headstart {
namespace {

// As many photos as it takes to judge: 2 classes of 50, two fifths of them to validate.
TrainOptions auto_options(const std::filesystem::path& folder, const char* name, int photos_per_class = 50) {
  const bool is_new = !std::filesystem::exists(folder / "photos");
  TrainOptions options = test::tiny_options(folder, {.photos_per_class = photos_per_class, .name = name});
  if (is_new) test::swap_some_photos(options.photos);
  options.recipe = Recipe::kAuto;
  options.epochs = 3;
  options.patience = 0;
  options.validation_fraction = 0.4;
  options.lr = 0.002;
  return options;
}

TEST(Auto, NeverEndsWorseThanTheHeadAlone) {
  const test::TempDir folder;
  for (const double lr : {0.002, 100.0}) {  // the second ruins every weight, or diverges
    TrainOptions options = auto_options(folder.path(), lr < 1 ? "gentle" : "wild");
    options.lr = lr;
    options.clip_norm = 1;
    try {
      const TrainResult result = train(options);
      ASSERT_TRUE(result.start.has_value());
      EXPECT_LT(result.start->validation_top1, 1);
      EXPECT_EQ(result.history.size(), 3U);
      EXPECT_GE(result.validation.metrics.top1, result.start->validation_top1);
    } catch (const DivergedError&) {  // then the head, which was saved before, is what there is
      EXPECT_NO_THROW(Classifier::open(options.out / "model.safetensors"));
    }
  }
}

TEST(Auto, TooFewPhotosToJudgeLeaveTheHead) {
  const test::TempDir folder;
  std::string said;
  TrainOptions options = auto_options(folder.path(), "few", 30);
  options.log = [&said](LogLevel, std::string_view text) { said += text; };
  const TrainResult result = train(options);
  EXPECT_TRUE(result.history.empty());
  EXPECT_EQ(result.best_epoch, 0);
  EXPECT_NE(said.find("too few to tell"), std::string::npos) << said;
}

TEST(Auto, ChoosesTheResizeByPhotosThatTheHeadHasNotSeenAndShipsIt) {
  const test::TempDir folder;
  TrainOptions options = auto_options(folder.path(), "views");
  options.preprocessing.reset();
  options.epochs = 0;
  const TrainResult result = train(options);
  ASSERT_GE(result.resize_trials.size(), 3U);
  EXPECT_EQ(result.resize_trials[0].mode, ResizeMode::kShorterSide);
  const int side = result.resize_trials[1].resize_size;
  for (std::size_t i = 1; i < result.resize_trials.size(); ++i) {
    EXPECT_EQ(result.resize_trials[i].mode, ResizeMode::kSquash);
    EXPECT_EQ(result.resize_trials[i].resize_size, side * static_cast<int>(6 + i) / 7);
  }
  const auto third_is_best = result.resize_trials[2].loss < std::min(result.resize_trials[0].loss, result.resize_trials[1].loss);
  EXPECT_EQ(result.resize_trials.size(), third_is_best ? 4U : 3U) << "a larger square where the one before it was the best";
  const ResizeTrial* chosen = nullptr;
  double lowest = std::numeric_limits<double>::infinity();
  for (const ResizeTrial& trial : result.resize_trials) {
    lowest = std::min(lowest, trial.loss);
    if (!trial.chosen) continue;
    EXPECT_EQ(chosen, nullptr) << "two are chosen";
    chosen = &trial;
  }
  ASSERT_NE(chosen, nullptr);
  EXPECT_EQ(chosen->loss, lowest);
  constexpr int kPhotos = 100, kValidationPhotos = 40;
  const auto are_shares_of = [&result](int photos) {
    const auto is_whole = [photos](double share) { return std::abs(share * photos - std::round(share * photos)) < 1e-9; };
    return std::ranges::all_of(result.resize_trials, is_whole, &ResizeTrial::top1);
  };
  EXPECT_TRUE(are_shares_of(kPhotos));
  EXPECT_FALSE(are_shares_of(kValidationPhotos)) << "one of all photos has made a difference in none";
  for (const Preprocessing& shipped : {read_model_info(result.model_file).preprocessing, result.options.preprocessing}) {
    EXPECT_EQ(shipped.resize_mode, chosen->mode);
    EXPECT_EQ(shipped.resize_size, chosen->resize_size);
    if (chosen->mode == ResizeMode::kSquash) {
      EXPECT_EQ(shipped.crop_size, chosen->resize_size);
    }
  }
}

// 38 photos cannot tell views apart whose losses are a few percent from each other: then auto is the head.
TEST(Auto, WithAHandfulOfPhotosItIsTheHead) {
  const test::TempDir folder;
  TrainOptions options = auto_options(folder.path(), "auto", /*photos_per_class=*/19);
  options.preprocessing.reset();
  test::ask_for_no_steps(options);
  EXPECT_TRUE(train(options).resize_trials.empty());
  TrainOptions head = options;
  head.recipe = Recipe::kHead;
  head.out = folder / "head";
  EXPECT_TRUE(train(head).refitted);
  EXPECT_EQ(test::differing_tensors(test::read_model_tensors(options.out), test::read_model_tensors(head.out)), std::vector<std::string>());
}

at::Tensor head_change(const TrainOptions& from, const TrainOptions& to) {
  const StateDict before = test::read_model_tensors(from.out), after = test::read_model_tensors(to.out);
  return to_engine(*after.find("_fc.weight")) - to_engine(*before.find("_fc.weight"));
}

// The figures are those of the model before it; what it changes is the output layer, by the same whether anything was fine-tuned.
TEST(Auto, TheRefitLearnsFromTheValidationPhotosOnceTheyWereScored) {
  const test::TempDir folder;
  const auto finished = [&](const char* name, Refit refit, int epochs) {
    TrainOptions options = auto_options(folder.path(), name);
    options.refit = refit;
    options.epochs = epochs;
    options.keep = Keep::kLast;
    const TrainResult result = train(options);
    EXPECT_EQ(result.refitted, refit == Refit::kHead);
    return std::pair(options, result);
  };
  const auto [plain, plain_result] = finished("plain", Refit::kNone, 2);
  const auto [refit, refit_result] = finished("refit", Refit::kHead, 2);
  const auto [plain_head, plain_head_result] = finished("plain_head", Refit::kNone, 0);
  const auto [refit_head, refit_head_result] = finished("refit_head", Refit::kHead, 0);
  EXPECT_EQ(refit_result.validation.metrics.mean_loss, plain_result.validation.metrics.mean_loss);
  EXPECT_EQ(refit_result.temperature, plain_result.temperature);
  EXPECT_EQ(test::differing_tensors(test::read_model_tensors(plain.out), test::read_model_tensors(refit.out)),
            (std::vector<std::string>{"_fc.weight", "_fc.bias"}));
  // Two roundings of numbers below 1 to float32.
  EXPECT_TRUE(test::tensors_close(head_change(plain, refit), head_change(plain_head, refit_head), {.absolute = 2e-7}));
  EXPECT_GT(head_change(plain, refit).abs().max().item<float>(), 1e-3F);
  const Classifier shipped = Classifier::open(refit_head_result.model_file);
  const Catalog catalog = scan_photos(refit_head.photos, {.validation_fraction = refit_head.validation_fraction, .seed = refit_head.seed});
  EXPECT_LT(evaluate(shipped, catalog, Split::kValidation).metrics.mean_loss, refit_head_result.validation.metrics.mean_loss);
}

TEST(Auto, TestFiguresAreOfTheFileWithItsRefit) {
  const test::TempDir folder;
  test::make_tiny_dataset(folder / "photos/train", 2, 25);
  test::swap_some_photos(folder / "photos/train");
  test::make_tiny_dataset(folder / "photos/test", 2, 25, /*seed=*/9);
  for (const Recipe recipe : {Recipe::kAuto, Recipe::kHead}) {
    TrainOptions options = auto_options(folder.path(), recipe == Recipe::kAuto ? "auto" : "head");
    options.recipe = recipe;
    options.refit = Refit::kHead;
    test::ask_for_no_steps(options);
    options.epochs = 0;
    const TrainResult result = train(options);
    EXPECT_TRUE(result.refitted);
    ASSERT_TRUE(result.test.has_value());
    const Evaluation again = evaluate(Classifier::open(result.model_file), scan_photos(options.photos), Split::kTest);
    // The recipe head's features come in other batches than the file's answers: float32 rounding.
    EXPECT_NEAR(result.test->metrics.mean_loss, again.metrics.mean_loss, 1e-5);
  }
}

TEST(Auto, PhotosOfAValidationFolderAreNeverLearnedFrom) {
  const test::TempDir folder;
  test::make_tiny_dataset(folder / "photos/train", 2, 25);
  test::make_tiny_dataset(folder / "photos/val", 2, 25, /*seed=*/9);
  TrainOptions options = auto_options(folder.path(), "whole");
  options.epochs = 0;
  ASSERT_FALSE(train(options).refitted);
  TrainOptions without = options;
  without.out = folder / "without";
  without.refit = Refit::kNone;
  train(without);
  EXPECT_EQ(test::differing_tensors(test::read_model_tensors(options.out), test::read_model_tensors(without.out)),
            std::vector<std::string>());
}

TEST(Auto, EndsWhenNothingGetsBetterForAWhile) {
  const test::TempDir folder;
  TrainOptions options = auto_options(folder.path(), "patience");
  options.epochs = 8;
  options.patience = 2;
  options.lr = 1e-9;  // nothing changes
  std::string said;
  options.log = [&said](LogLevel, std::string_view text) { said += text; };
  const TrainResult result = train(options);
  EXPECT_EQ(static_cast<int>(result.history.size()), result.best_epoch + 2);
  EXPECT_NE(said.find("no better one since"), std::string::npos) << said;
}

TEST(Auto, GoesOnWhereItWasStoppedWithTheSameAverages) {
  const test::TempDir folder;
  const TrainOptions whole = auto_options(folder.path(), "whole");
  train(whole);
  TrainOptions parts = auto_options(folder.path(), "parts");
  std::atomic<int> steps = 0;
  TrainCallbacks callbacks;
  callbacks.on_step = [&](const StepProgress&) { ++steps; };
  callbacks.should_stop = [&] { return steps == 20; };  // in the second epoch of 15 steps
  test::message_of(ErrorCategory::kInterrupted, [&] { train(parts, callbacks); });
  resume_training({.run = parts.out});
  EXPECT_EQ(test::differing_tensors(test::read_model_tensors(whole.out), test::read_model_tensors(parts.out)), std::vector<std::string>());
}

// The refit is in the model file by then, and must not be added to it once more.
TEST(Auto, GoesOnWhereItWasStoppedAmongTheTestPhotos) {
  const test::TempDir folder;
  test::make_tiny_dataset(folder / "photos/train", 2, 25);
  test::swap_some_photos(folder / "photos/train");
  test::make_tiny_dataset(folder / "photos/test", 2, 25, /*seed=*/9);
  const auto options_of = [&](const char* name) {
    TrainOptions options = auto_options(folder.path(), name);
    options.refit = Refit::kHead;
    options.epochs = 1;
    return options;
  };
  const TrainOptions whole = options_of("whole"), parts = options_of("parts");
  EXPECT_TRUE(train(whole).refitted);
  std::atomic<bool> tests = false;
  TrainCallbacks callbacks;
  callbacks.on_stage = [&](Stage stage, std::int64_t, std::int64_t) { tests = tests || stage == Stage::kTest; };
  callbacks.should_stop = [&] { return tests.load(); };
  test::message_of(ErrorCategory::kInterrupted, [&] { train(parts, callbacks); });
  resume_training({.run = parts.out});
  test::expect_equal_runs(parts.out, whole.out);
}

TEST(Auto, ABudgetEndsTheRunAndPlansItsSteps) {
  const test::TempDir folder;
  TrainOptions options = auto_options(folder.path(), "budget");
  options.epochs = 10000;
  options.budget = 8;
  const TrainResult result = train(options);
  EXPECT_GT(result.planned_steps, 0);
  EXPECT_LT(result.history.size(), 10000U);
  EXPECT_GE(result.validation.metrics.top1, result.start->validation_top1);
}

TEST(Auto, ABudgetThatIsTooShortForAllPhotosLeavesSomeOut) {
  const test::TempDir folder;
  TrainOptions options = auto_options(folder.path(), "hurried");
  options.budget = 1;  // less than the report alone is given
  std::atomic<bool> scores = false;
  TrainCallbacks callbacks;
  callbacks.on_stage = [&](Stage stage, std::int64_t, std::int64_t) { scores = scores || stage == Stage::kValidate; };
  callbacks.should_stop = [&] { return scores.load(); };
  test::message_of(ErrorCategory::kInterrupted, [&] { train(options, callbacks); });
  const TrainResult result = resume_training({.run = options.out});
  EXPECT_LT(result.photo_share, 1);
  EXPECT_EQ(result.planned_steps, 0);
  EXPECT_TRUE(result.history.empty());
  EXPECT_EQ(result.validation.photos.size(), 4U);  // two of each class
  ASSERT_EQ(result.problems.size(), 1U);
  EXPECT_NE(result.problems[0].reason.find("time for 4 of 60 training photos"), std::string::npos) << result.problems[0].reason;
}

TEST(Auto, AClassThatIsManyTimesSmallerIsNamed) {
  const test::TempDir folder;
  std::string said;
  TrainOptions options = auto_options(folder.path(), "small", 30);
  options.epochs = 0;
  options.log = [&said](LogLevel level, std::string_view text) {
    if (level == LogLevel::kWarning) said += text;
  };
  train(options);
  EXPECT_EQ(said, "");
  int kept = 0;
  for (const auto& file : std::filesystem::directory_iterator(options.photos / "class_0")) {
    if (++kept > 2) std::filesystem::remove(file);
  }
  options.out = folder / "smaller";
  train(options);
  EXPECT_NE(said.find("class_0 has 1 training photos, class_1 has 18"), std::string::npos) << said;
  said.clear();
  options.out = folder / "weighted";
  options.imbalance = Imbalance::kClassWeights;
  train(options);
  EXPECT_EQ(said, "");
}

TEST(AffordableSteps, LeaveRoomForValidationAndTheEnd) {
  const BudgetTimes times{.left = 100, .step = 1, .scored_photo = 0.01, .validation = 100, .test = 200, .steps_per_epoch = 10};
  const std::int64_t steps = affordable_steps(times);
  const double spent = static_cast<double>(steps) * (1 + 0.1) + 1 + closing_seconds(times);
  EXPECT_LE(spent, 100);
  EXPECT_GT(spent + 1.1, 100);
  EXPECT_EQ(affordable_steps({.left = 1, .step = 1, .scored_photo = 0.01, .validation = 100}), 0);
  EXPECT_EQ(affordable_steps({.left = -5, .step = 1}), 0);
}

TEST(AffordableShare, IsOfTheTimeThatPhotosTake) {
  const BudgetTimes times{.left = 100, .scored_photo = 0.01, .train = 800, .validation = 200, .test = 1000};
  EXPECT_EQ(affordable_share(times), 1);
  BudgetTimes hurried = times;
  hurried.left = 20;
  const double share = affordable_share(hurried);
  EXPECT_GT(share, 0);
  EXPECT_LT(share, 1);
  hurried.train = static_cast<std::int64_t>(800 * share);
  hurried.validation = static_cast<std::int64_t>(200 * share);
  hurried.test = static_cast<std::int64_t>(1000 * share);
  EXPECT_NEAR(head_seconds(hurried) + closing_seconds(hurried), 20, 0.1);  // photos are whole
  hurried.left = -1;
  EXPECT_EQ(affordable_share(hurried), 0);
}

TEST(WeightAverage, IsTheMeanAtFirstAndForgetsLater) {
  const at::Tensor weight = at::zeros({1}).set_requires_grad(true);
  const std::vector<NamedParameter> parameters = {{.name = "w", .tensor = weight}};
  const auto set = [&](float value) { weight.detach().fill_(value); };
  WeightAverage average(parameters, 0.5);
  set(2);
  average.update();  // (0 + 2) / 2
  set(5);
  average.update();  // a half of the newest: the mean's third would be less than 1 - decay
  set(7);
  average.swap();
  EXPECT_EQ(weight.item<float>(), 3);
  average.swap();
  EXPECT_EQ(weight.item<float>(), 7);
  WeightAverage other(parameters, 0.5);
  other.load(average.state());
  other.update();
  average.update();
  EXPECT_EQ(test::tensors_equal(to_engine(*other.state().find("w")), to_engine(*average.state().find("w"))), true);
  EXPECT_TRUE(WeightAverage(parameters, 0).state().tensors.empty());
}

}  // namespace
}  // namespace headstart
