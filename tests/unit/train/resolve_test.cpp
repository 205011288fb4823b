#include "train/resolve.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "headstart/error.h"
#include "model/network.h"
#include "tiny_run.h"

namespace headstart {
namespace {

TrainOptions valid_options() {
  TrainOptions options;
  options.recipe = Recipe::kFinetune;
  options.photos = "photos";
  options.device = "cpu";
  return options;
}

Source source_of(const char* architecture) {
  Source source;
  source.architecture = &find_architecture(architecture);
  source.preprocessing = source.architecture->preprocessing;
  source.model = architecture;
  source.sha256 = "abc";
  return source;
}

TEST(Resolve, FillsEveryGap) {
  const ResolvedOptions r = resolve_options(valid_options(), source_of("resnet18"));
  EXPECT_TRUE(r.photos.is_absolute());
  EXPECT_EQ(r.out.parent_path().filename(), "runs");
  EXPECT_EQ(r.out.filename(), "photos-1");
  EXPECT_EQ(r.architecture, "resnet18");
  EXPECT_EQ(r.model_sha256, "abc");
  EXPECT_EQ(r.epochs, 5);
  EXPECT_EQ(r.batch_size, 32);
  EXPECT_EQ(r.head_lr_multiplier, 10);
  EXPECT_EQ(r.momentum, 0.9);
  EXPECT_EQ(r.weight_decay, 1e-4);
  EXPECT_GT(r.lr, 0);
  EXPECT_NE(r.precision, Precision::kAuto);
  EXPECT_EQ(r.device, "cpu");
  EXPECT_GE(r.threads, 1);
}

TEST(Resolve, TheHeadRecipeFreezesNormsAndHasOneRate) {
  TrainOptions options = valid_options();
  options.recipe = Recipe::kHead;
  const ResolvedOptions r = resolve_options(options, source_of("resnet18"));
  EXPECT_EQ(r.batch_norm, BatchNormPolicy::kFrozen);
  EXPECT_EQ(r.head_lr_multiplier, 1);
  EXPECT_EQ(r.warmup_epochs, 0);
  EXPECT_EQ(r.epochs, 0);
  EXPECT_EQ(r.head_init, HeadInit::kProbe);
}

TEST(Resolve, TheHeadRecipeTakesStepsWhereStepsAreAskedFor) {
  const std::vector<std::function<void(TrainOptions&)>> asked = {[](auto& o) { o.lr = 0.1; },
                                                                 [](auto& o) { o.optimizer = OptimizerKind::kAdamW; },
                                                                 [](auto& o) { o.batch_size = 8; },
                                                                 [](auto& o) { o.accumulate = 2; },
                                                                 [](auto& o) { o.label_smoothing = 0.1; },
                                                                 [](auto& o) { o.head_init = HeadInit::kZero; },
                                                                 [](auto& o) { o.decay = DecayScope::kAll; }};
  for (const auto& ask : asked) {
    TrainOptions options = valid_options();
    options.recipe = Recipe::kHead;
    ask(options);
    const ResolvedOptions r = resolve_options(options, source_of("resnet18"));
    EXPECT_EQ(r.epochs, 30);
    EXPECT_NE(r.head_init, HeadInit::kProbe);
  }
}

TEST(Resolve, TheBooksTracksAreTheChapters) {
  TrainOptions options = valid_options();
  options.recipe = Recipe::kBookPytorch;
  ResolvedOptions r = resolve_options(options, source_of("resnet18"));
  EXPECT_EQ(r.lr, 5e-5);
  EXPECT_EQ(r.lr * r.head_lr_multiplier, 5e-4);
  EXPECT_EQ(r.loss, LossReduction::kSum);
  EXPECT_EQ(r.momentum, 0);
  EXPECT_EQ(r.weight_decay, 1e-3);
  EXPECT_EQ(r.decay, DecayScope::kAll);
  EXPECT_EQ(r.schedule, LearningRateShape::kConstant);
  EXPECT_EQ(r.warmup_epochs, 0);
  EXPECT_EQ(r.batch_size, 128);
  EXPECT_EQ(r.batch_norm, BatchNormPolicy::kTrain);
  EXPECT_EQ(r.head_bias, HeadBias::kUniform);
  EXPECT_EQ(r.precision, Precision::kFloat32);
  EXPECT_EQ(r.preprocessing.resize_mode, ResizeMode::kShorterSide);
  EXPECT_FALSE(r.augmentation.fast_decode);
  EXPECT_EQ(r.augmentation.min_area, 0.08);
  EXPECT_EQ(source_name(options), "resnet18");

  options.scratch = true;
  r = resolve_options(options, source_of("resnet18"));
  EXPECT_EQ(r.lr, 5e-4);
  EXPECT_EQ(r.head_lr_multiplier, 1);
  EXPECT_EQ(r.scratch_init, ScratchInit::kTorchvision);

  options.recipe = Recipe::kBookGluon;
  r = resolve_options(options, source_of("resnet18"));
  EXPECT_EQ(r.lr, 0.1);
  EXPECT_EQ(r.loss, LossReduction::kMean);
  EXPECT_EQ(r.scratch_init, ScratchInit::kXavier);
  EXPECT_EQ(r.preprocessing.resize_mode, ResizeMode::kSquash);
}

TEST(Resolve, TestPhotosChooseNothing) {
  TrainOptions options = valid_options();
  options.score = EpochScore::kTest;
  EXPECT_THROW(resolve_options(options, source_of("resnet18")), Error);
  options.keep = Keep::kLast;
  EXPECT_EQ(resolve_options(options, source_of("resnet18")).score, EpochScore::kTest);
}

TEST(Resolve, DividesBatchAndCoresAmongTheProcesses) {
  TrainOptions options = valid_options();
  options.batch_size = 8;
  options.distributed = Distributed{.rank = 1, .world_size = 8, .local_rank = 1, .local_world_size = 100'000};
  const ResolvedOptions r = resolve_options(options, source_of("resnet18"));
  EXPECT_EQ(r.processes, 8);
  EXPECT_EQ(r.batch_size, 8);  // of all of them
  EXPECT_EQ(r.threads, 1);
  options.threads = 3;
  EXPECT_EQ(resolve_options(options, source_of("resnet18")).threads, 3);
  options.distributed->world_size = 9;
  const std::string message = test::message_of(ErrorCategory::kUsage, [&] { resolve_options(options, source_of("resnet18")); });
  EXPECT_NE(message.find("batch_size (8) must be 9 or more"), std::string::npos) << message;
}

TEST(Resolve, SynchronisedBatchNormNeedsBatchStatistics) {
  TrainOptions options = valid_options();
  options.sync_batch_norm = true;
  EXPECT_TRUE(resolve_options(options, source_of("resnet18")).sync_batch_norm);
  options.batch_norm = BatchNormPolicy::kFrozenStatistics;
  EXPECT_THROW(resolve_options(options, source_of("resnet18")), Error);
}

TEST(Resolve, AdamWHasItsOwnRateAndDecayAndNoMomentum) {
  TrainOptions options = valid_options();
  options.optimizer = OptimizerKind::kAdamW;
  const ResolvedOptions r = resolve_options(options, source_of("resnet18"));
  EXPECT_EQ(r.momentum, 0);
  EXPECT_EQ(r.weight_decay, 0.05);
  EXPECT_LT(r.lr, resolve_options(valid_options(), source_of("resnet18")).lr);
}

TEST(Resolve, WhatAPersonSaysWins) {
  TrainOptions options = valid_options();
  options.epochs = 2;
  options.lr = 0.5;
  options.batch_norm = BatchNormPolicy::kFrozen;
  options.decode = DecodeOptions{.apply_exif_orientation = false};
  const ResolvedOptions r = resolve_options(options, source_of("efficientnet_lite0"));
  EXPECT_EQ(r.epochs, 2);
  EXPECT_EQ(r.lr, 0.5);
  EXPECT_EQ(r.batch_norm, BatchNormPolicy::kFrozen);
  EXPECT_FALSE(r.preprocessing.decode.apply_exif_orientation);
}

TEST(Resolve, RefusesWhatCannotBeMeantPrintingOptionAndValue) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  struct Case {
    const char* option;
    const char* value;
    std::function<void(TrainOptions&)> spoil;
  };
  const std::vector<Case> cases = {
      {"epochs", "-1", [](auto& o) { o.epochs = -1; }},
      {"batch_size", "-3", [](auto& o) { o.batch_size = -3; }},
      {"lr", "0", [](auto& o) { o.lr = 0.0; }},
      {"lr", "nan", [=](auto& o) { o.lr = nan; }},
      {"head_lr_multiplier", "-1", [](auto& o) { o.head_lr_multiplier = -1; }},
      {"stage_lr_decay", "0", [](auto& o) { o.stage_lr_decay = 0; }},
      {"weight_average", "1", [](auto& o) { o.weight_average = 1; }},
      {"patience", "-1", [](auto& o) { o.patience = -1; }},
      {"budget", "-5", [](auto& o) { o.budget = -5; }},
      {"warmup_epochs", "-0.5", [](auto& o) { o.warmup_epochs = -0.5; }},
      {"momentum", "1", [](auto& o) { o.momentum = 1.0; }},
      {"weight_decay", "-0.1", [](auto& o) { o.weight_decay = -0.1; }},
      {"label_smoothing", "1", [](auto& o) { o.label_smoothing = 1; }},
      {"label_smoothing", "nan", [=](auto& o) { o.label_smoothing = nan; }},
      {"accumulate", "0", [](auto& o) { o.accumulate = 0; }},
      {"clip_norm", "-2", [](auto& o) { o.clip_norm = -2; }},
      {"views", "-3", [](auto& o) { o.views = -3; }},
      {"freeze_until", "recipe head", [](auto& o) { o.freeze_until = "stem", o.recipe = Recipe::kHead; }},
      {"freeze_until", "scratch", [](auto& o) { o.freeze_until = "stem", o.scratch = true; }},
      {"freeze_until", "budget", [](auto& o) { o.freeze_until = "stem", o.recipe = Recipe::kAuto, o.budget = 60, o.views = 2; }},
      {"threads", "-1", [](auto& o) { o.threads = -1; }},
      {"validation_fraction", "1", [](auto& o) { o.validation_fraction = 1; }},
      {"max_unreadable_share", "1.5", [](auto& o) { o.max_unreadable_share = 1.5; }},
      {"min_area", "0", [](auto& o) { o.augmentation = Augmentation{.min_area = 0}; }},
      {"flip_probability", "2", [](auto& o) { o.augmentation = Augmentation{.flip_probability = 2}; }},
      {"crop_size", "0", [](auto& o) { o.preprocessing = Preprocessing{.crop_size = 0}; }},
      {"momentum", "0.5", [](auto& o) { o.optimizer = OptimizerKind::kAdamW, o.momentum = 0.5; }},
      {"head_lr_multiplier", "10", [](auto& o) { o.recipe = Recipe::kHead, o.head_lr_multiplier = 10; }},
      {"batch_norm", "frozen", [](auto& o) { o.recipe = Recipe::kHead, o.batch_norm = BatchNormPolicy::kTrain; }},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.option);
    TrainOptions options = valid_options();
    check_options(options);
    c.spoil(options);
    try {
      check_options(options);
      FAIL() << "taken: " << c.value;
    } catch (const Error& error) {
      EXPECT_EQ(error.category(), ErrorCategory::kUsage);
      EXPECT_NE(std::string(error.what()).find(c.option), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find(c.value), std::string::npos) << error.what();
    }
  }
}

TEST(Resolve, AutoIsTheDefaultAndStartsFromAFittedHead) {
  TrainOptions options = valid_options();
  options.recipe = TrainOptions().recipe;
  const ResolvedOptions r = resolve_options(options, source_of("resnet18"));
  EXPECT_EQ(r.recipe, Recipe::kAuto);
  EXPECT_EQ(r.head_init, HeadInit::kProbe);
  EXPECT_EQ(r.batch_norm, BatchNormPolicy::kFrozenStatistics);
  EXPECT_LT(r.stage_lr_decay, 1);
  EXPECT_GT(r.weight_average, 0);
  EXPECT_GT(r.patience, 0);
  EXPECT_TRUE(r.choose_resize);
  EXPECT_EQ(r.refit, Refit::kHead);
  Source squashed = source_of("resnet18");  // as Gluon's: it has seen whole photos already
  squashed.preprocessing.resize_mode = ResizeMode::kSquash;
  EXPECT_FALSE(resolve_options(options, squashed).choose_resize);
  options.preprocessing = Preprocessing{};
  EXPECT_FALSE(resolve_options(options, source_of("resnet18")).choose_resize);
  options.scratch = true;  // nothing to fit a head to
  EXPECT_EQ(resolve_options(options, source_of("resnet18")).head_init, HeadInit::kXavier);
}

TEST(Resolve, ARefitNeedsAFirstFit) {
  TrainOptions options = valid_options();
  options.recipe = Recipe::kFinetune;
  const Source source = source_of("resnet18");
  EXPECT_EQ(resolve_options(options, source).refit, Refit::kNone);
  options.refit = Refit::kHead;
  EXPECT_THROW(resolve_options(options, source), Error);
  options.head_init = HeadInit::kProbe;
  EXPECT_THROW(resolve_options(options, source), Error);
  options.recipe = Recipe::kHead;
  EXPECT_EQ(resolve_options(options, source).refit, Refit::kHead);
  options.refit.reset();
  options.head_init.reset();  // kProbe is this recipe's own
  EXPECT_EQ(resolve_options(options, source).refit, Refit::kHead);
  options.lr = 0.1;  // by steps: there is no fit that a second could differ from
  EXPECT_EQ(resolve_options(options, source).refit, Refit::kNone);
  options.lr.reset();
  options.refit = Refit::kHead;
  options.views = 2;
  EXPECT_THROW(resolve_options(options, source), Error);
  options.recipe = Recipe::kAuto;
  options.refit.reset();
  EXPECT_EQ(resolve_options(options, source).refit, Refit::kNone);
  options.views.reset();
  EXPECT_EQ(resolve_options(options, source).refit, Refit::kHead);
  options.score = EpochScore::kTest;
  options.keep = Keep::kLast;
  EXPECT_EQ(resolve_options(options, source).refit, Refit::kNone);
  options.refit = Refit::kHead;
  EXPECT_THROW(resolve_options(options, source), Error);
  options.refit.reset();
  options.score.reset();
  options.head_init = HeadInit::kZero;
  EXPECT_EQ(resolve_options(options, source).refit, Refit::kNone);
}

TEST(Resolve, FrozenStagesAreNamedAsTheArchitectureNamesThem) {
  TrainOptions options = valid_options();
  options.freeze_until = "layer3";
  options.views = 4;
  const ResolvedOptions r = resolve_options(options, source_of("resnet18"));
  EXPECT_EQ(r.freeze_until, "layer3");
  EXPECT_EQ(r.views, 4);
  const std::string message = test::message_of(ErrorCategory::kUsage, [&] { resolve_options(options, source_of("efficientnet_lite0")); });
  for (const char* part : {"freeze_until", "efficientnet_lite0", "stem", "stage7", "top", "layer3"}) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  }
}

TEST(Resolve, ABudgetBelongsToAuto) {
  TrainOptions options = valid_options();
  options.budget = 120;
  EXPECT_NE(test::message_of(ErrorCategory::kUsage, [&] { check_options(options); }).find("budget"), std::string::npos);
  options.recipe = Recipe::kAuto;
  EXPECT_NO_THROW(check_options(options));
}

}  // namespace
}  // namespace headstart
