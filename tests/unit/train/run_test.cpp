// Whole runs: what they write, what they learn, what they leave alone.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <set>

#include "core/file.h"
#include "eval/calibration.h"
#include "headstart/classifier.h"
#include "headstart/train.h"
#include "support/temp_dir.h"
#include "support/tensor_compare.h"
#include "tiny_run.h"

namespace headstart {
namespace {

using test::differing_tensors;
using test::message_of;
using test::read_model_tensors;
using test::tiny_options;

TEST(Run, WritesItsFolderAndReturnsWhatIsInIt) {
  const test::TempDir folder;
  const TrainResult result = train(tiny_options(folder.path()));
  for (const char* name :
       {"model.safetensors", "checkpoint.safetensors", "log.csv", "run.json", "dataset.csv", "predictions.csv", "report.html"}) {
    EXPECT_GT(std::filesystem::file_size(folder / "run" / name), 0U) << name;
  }
  EXPECT_EQ(result.history.size(), 2U);
  EXPECT_EQ(result.validation.photos.size(), 4U);
  EXPECT_FALSE(result.test.has_value());
  EXPECT_EQ(result.model_file, folder / "run" / "model.safetensors");
  EXPECT_GT(result.seconds, 0);
  const ModelInfo info = read_model_info(result.model_file);
  EXPECT_EQ(info.architecture, test::kTinyArchitecture);
  EXPECT_EQ(info.classes, result.classes);
  EXPECT_EQ(info.preprocessing.crop_size, 32);
  EXPECT_EQ(info.metrics.at("validation_top1"), result.validation.metrics.top1);
  for (const char* key : {"source_model", "source_sha256", "headstart_version", "seed", "date", "data_fingerprint", "recipe", "epoch"}) {
    EXPECT_TRUE(info.provenance.contains(key)) << key;
  }
}

TEST(Run, KeepsTheBestEpochAndSaysWhichItIs) {
  const test::TempDir folder;
  TrainOptions options = tiny_options(folder.path());
  options.epochs = 4;
  const TrainResult result = train(options);
  const EpochRecord& best = result.history.at(result.best_epoch - 1);
  EXPECT_TRUE(best.best);
  for (const EpochRecord& record : result.history) {
    EXPECT_LE(record.validation_top1, best.validation_top1);
    if (record.validation_top1 == best.validation_top1) {
      EXPECT_GE(record.validation_loss, best.validation_loss);
    }
  }
  // The final figures come from the model file in float32, as did the epoch's: the same kernels on batches of the same photos. The model
  // file's temperature was fitted to these very photos.
  EXPECT_EQ(result.validation.metrics.top1, best.validation_top1);
  EXPECT_NE(result.temperature, 1);
  EXPECT_EQ(read_model_info(result.model_file).temperature, result.temperature);
  EXPECT_LT(result.validation.metrics.mean_loss, best.validation_loss);
  Evaluation without = result.validation;
  apply_temperature(without, 1 / result.temperature);
  EXPECT_NEAR(without.metrics.mean_loss, best.validation_loss, 1e-5);
}

TEST(Run, LearnsToTellTheTinyPhotosApart) {
  for (const Recipe recipe : {Recipe::kFinetune, Recipe::kHead}) {
    const test::TempDir folder;
    TrainOptions options = tiny_options(folder.path(), {.classes = 3, .photos_per_class = 15});
    options.recipe = recipe;
    options.epochs = recipe == Recipe::kHead ? 40 : 6;
    const TrainResult result = train(options);
    EXPECT_LT(result.history.back().train_loss, result.history.front().train_loss);
    EXPECT_GE(result.validation.metrics.top1, 0.8);
  }
}

TEST(Run, TheSameSeedGivesTheSameBytesAndAnotherSeedDoesNot) {
  const test::TempDir folder;
  const auto run = [&](const char* name, std::uint64_t seed, int threads, Recipe recipe) {
    TrainOptions options = tiny_options(folder.path(), {.name = name});
    options.seed = seed;
    options.threads = threads;
    options.recipe = recipe;
    options.epochs = 1;
    train(options);
    return read_model_tensors(options.out);
  };
  const StateDict first = run("first", 1, 2, Recipe::kFinetune);
  EXPECT_TRUE(differing_tensors(first, run("second", 1, 2, Recipe::kFinetune)).empty());
  EXPECT_FALSE(differing_tensors(first, run("third", 2, 1, Recipe::kFinetune)).empty());
  EXPECT_TRUE(differing_tensors(run("head1", 1, 1, Recipe::kHead), run("head2", 1, 1, Recipe::kHead)).empty());
}

TEST(Run, TrainsInBFloat16ReproduciblyAndCloseToFloat32) {
  const test::TempDir folder;
  const auto run = [&](const char* name, Precision precision) {
    TrainOptions options = tiny_options(folder.path(), {.name = name});
    options.precision = precision;
    return train(options);
  };
  const TrainResult first = run("first", Precision::kBFloat16);
  const TrainResult second = run("second", Precision::kBFloat16);
  EXPECT_TRUE(differing_tensors(read_model_tensors(folder / "first"), read_model_tensors(folder / "second")).empty());
  const TrainResult exact = run("exact", Precision::kFloat32);
  // bfloat16 keeps 8 bits (relative error 2^-8 a rounding); over a network's depth some hundredths of the loss remain.
  EXPECT_NEAR(first.history.front().train_loss, exact.history.front().train_loss, 0.15 * exact.history.front().train_loss);
}

// The tensors of the source whose names `keep` accepts must come out bit-equal, and at least one other must not.
void expect_only_others_changed(const std::filesystem::path& run, const StateDict& source,
                                const std::function<bool(const std::string&)>& keep) {
  const std::vector<std::string> differing = differing_tensors(read_model_tensors(run), source);
  bool others = false;
  for (const std::string& name : differing) {
    EXPECT_FALSE(keep(name)) << name << " was to stay as it is";
    others = others || !keep(name);
  }
  EXPECT_TRUE(others);
}

TEST(Run, WhatIsFrozenStaysBitEqual) {
  const test::TempDir folder;
  const StateDict source = read_weights(test::write_source_weights(folder.path()));
  const auto is_head = [](const std::string& name) { return name.starts_with("_fc."); };
  const auto is_statistic = [](const std::string& name) { return name.find("running_") != std::string::npos; };
  const auto is_norm = [&](const std::string& name) { return is_statistic(name) || name.find("_bn") != std::string::npos; };
  const auto run = [&](const char* name, const std::function<void(TrainOptions&)>& change) {
    TrainOptions options = tiny_options(folder.path(), {.name = name});
    options.epochs = 1;
    change(options);
    train(options);
    return options.out;
  };
  expect_only_others_changed(run("statistics", [](auto& o) { o.batch_norm = BatchNormPolicy::kFrozenStatistics; }), source, is_statistic);
  expect_only_others_changed(run("norms", [](auto& o) { o.batch_norm = BatchNormPolicy::kFrozen; }), source, is_norm);
  expect_only_others_changed(run("head", [](auto& o) { o.recipe = Recipe::kHead; }), source,
                             [&](const auto& name) { return !is_head(name); });

  const std::vector<std::string> all =
      differing_tensors(read_model_tensors(run("train", [](auto& o) { o.batch_norm = BatchNormPolicy::kTrain; })), source);
  const std::set<std::string> changed(all.begin(), all.end());
  for (const auto& [name, tensor] : source.tensors) EXPECT_TRUE(changed.contains(name)) << name << " was to be trained";
}

// Accumulated micro-batches equal one batch of their size: 13 training photos in batches of 2 x 4 against 8, short last group included.
TEST(Run, AccumulatedBatchesEqualOneLargeBatch) {
  const test::TempDir folder;
  const auto run = [&](const char* name, int batch_size, int accumulate, Imbalance imbalance) {
    TrainOptions options = tiny_options(folder.path(), {.photos_per_class = 8, .name = name});
    options.batch_size = batch_size;
    options.accumulate = accumulate;
    options.imbalance = imbalance;
    options.batch_norm = BatchNormPolicy::kFrozenStatistics;
    options.clip_norm = 1;
    options.label_smoothing = 0.1;
    const TrainResult result = train(options);
    return std::pair(result, read_model_tensors(options.out));
  };
  for (const Imbalance imbalance : {Imbalance::kNone, Imbalance::kClassWeights}) {
    const std::string suffix = std::to_string(static_cast<int>(imbalance));
    const auto [large, large_weights] = run(("large" + suffix).c_str(), 8, 1, imbalance);
    const auto [small, small_weights] = run(("small" + suffix).c_str(), 2, 4, imbalance);
    // Float32 sums in another order: about 1e-6 of a weight a step, a few of them, through the network's depth.
    EXPECT_NEAR(small.history.back().train_loss, large.history.back().train_loss, 1e-4);
    for (const auto& [name, tensor] : large_weights.tensors) {
      EXPECT_TRUE(test::tensors_close(to_engine(*small_weights.find(name)), to_engine(tensor), {.relative = 1e-4, .absolute = 1e-4}))
          << name;
    }
  }
}

TEST(Run, ReportsStepsStagesAndEpochs) {
  const test::TempDir folder;
  TrainCallbacks callbacks;
  int starts = 0, steps = 0;
  std::int64_t last_done = 0;
  std::vector<int> epochs;
  std::set<Stage> stages;
  callbacks.on_start = [&](const ResolvedOptions& options, const Catalog& catalog) {
    ++starts;
    EXPECT_EQ(options.epochs, 2);
    EXPECT_EQ(catalog.train.size(), 16U);
  };
  callbacks.on_step = [&](const StepProgress& progress) {
    ++steps;
    last_done = progress.photos_done;
    EXPECT_EQ(progress.photos_total, 16);
    EXPECT_TRUE(std::isfinite(progress.train_loss));
  };
  callbacks.on_epoch = [&](const EpochRecord& record) { epochs.push_back(record.epoch); };
  callbacks.on_stage = [&](Stage stage, std::int64_t done, std::int64_t total) {
    stages.insert(stage);
    EXPECT_LE(done, total);
  };
  train(tiny_options(folder.path()), callbacks);
  EXPECT_EQ(starts, 1);
  EXPECT_EQ(steps, 8);
  EXPECT_EQ(last_done, 16);
  EXPECT_EQ(epochs, (std::vector<int>{1, 2}));
  EXPECT_EQ(stages, (std::set<Stage>{Stage::kScan, Stage::kValidate, Stage::kReport}));
}

TEST(Run, TheHeadRecipeComputesEveryFeatureOnce) {
  const test::TempDir folder;
  TrainOptions options = tiny_options(folder.path());
  options.recipe = Recipe::kHead;
  options.epochs = 5;
  std::int64_t done_last = 0, total_last = 0;
  TrainCallbacks callbacks;
  callbacks.on_stage = [&](Stage stage, std::int64_t done, std::int64_t total) {
    if (stage != Stage::kFeatures) return;
    EXPECT_GT(done, done_last) << "a photo was seen again";
    done_last = done;
    total_last = total;
  };
  train(options, callbacks);
  EXPECT_EQ(done_last, 20);
  EXPECT_EQ(total_last, 20);
}

TEST(Run, ATestFolderIsScoredOnceAtTheEnd) {
  const test::TempDir folder;
  test::make_tiny_dataset(folder / "photos" / "train", 2, 8, /*seed=*/1);
  test::make_tiny_dataset(folder / "photos" / "test", 2, 3, /*seed=*/2);
  bool trained = false;
  int finished_passes = 0;
  TrainCallbacks callbacks;
  callbacks.on_epoch = [&](const EpochRecord& record) { trained = record.epoch == 2; };
  callbacks.on_stage = [&](Stage stage, std::int64_t done, std::int64_t total) {
    if (stage != Stage::kTest) return;
    EXPECT_TRUE(trained);
    if (done == total) ++finished_passes;
  };
  const TrainResult result = train(tiny_options(folder.path()), callbacks);
  ASSERT_TRUE(result.test.has_value());
  EXPECT_EQ(result.test->metrics.photos, 6);
  EXPECT_EQ(finished_passes, 1);
  EXPECT_EQ(read_model_info(result.model_file).metrics.at("test_top1"), result.test->metrics.top1);
}

TEST(Run, ImbalanceOptionsAndAdamWTrain) {
  const test::TempDir folder;
  for (const auto& [name, imbalance] :
       {std::pair("weights", Imbalance::kClassWeights), std::pair("sampler", Imbalance::kBalancedSampler)}) {
    TrainOptions options = tiny_options(folder.path(), {.name = name});
    std::filesystem::remove(folder / "photos" / "class_0" / "photo_000.ppm");
    options.imbalance = imbalance;
    options.optimizer = OptimizerKind::kAdamW;
    options.lr = 1e-3;
    EXPECT_TRUE(std::isfinite(train(options).history.back().train_loss)) << name;
  }
}

TEST(Run, SkipsAndListsUnreadablePhotosUpToTheShare) {
  const test::TempDir folder;
  TrainOptions options = tiny_options(folder.path(), {.photos_per_class = 20});
  std::ofstream(folder / "photos" / "class_1" / "photo_003.ppm", std::ios::binary) << "P6\n40 40\n255\ncut off";
  for (const Recipe recipe : {Recipe::kFinetune, Recipe::kHead}) {
    options.recipe = recipe;
    options.out = folder / (recipe == Recipe::kHead ? "head" : "finetune");
    options.max_unreadable_share = 0.2;
    const TrainResult result = train(options);
    ASSERT_EQ(result.unreadable.size(), 1U);
    EXPECT_EQ(result.unreadable[0].path, "class_1/photo_003.ppm");

    options.out = folder / (recipe == Recipe::kHead ? "head-strict" : "finetune-strict");
    options.max_unreadable_share = 0.01;
    const std::string message = message_of(ErrorCategory::kData, [&] { train(options); });
    EXPECT_NE(message.find("class_1/photo_003.ppm"), std::string::npos) << message;
    EXPECT_NE(message.find("max_unreadable_share"), std::string::npos) << message;
  }
}

TEST(Run, ADivergingLossEndsWithWhereItHappenedAndWhatToTry) {
  const test::TempDir folder;
  TrainOptions options = tiny_options(folder.path());
  options.lr = 1e30;
  const std::string message = message_of(ErrorCategory::kTraining, [&] { train(options); });
  for (const char* part : {"epoch 1", "step", "lr", "lower"}) EXPECT_NE(message.find(part), std::string::npos) << message;
}

TEST(Run, StartsFromAHeadstartModelFileWithItsPreprocessing) {
  const test::TempDir folder;
  TrainOptions options = tiny_options(folder.path());
  options.epochs = 1;
  const TrainResult first = train(options);
  options.model = first.model_file.string();
  options.out = folder / "second";
  options.preprocessing.reset();
  options.batch_norm = BatchNormPolicy::kFrozenStatistics;
  EXPECT_EQ(source_preprocessing(options).crop_size, 32);
  const TrainResult second = train(options);
  EXPECT_EQ(second.options.preprocessing.crop_size, 32);
  EXPECT_EQ(second.options.architecture, test::kTinyArchitecture);
  const StateDict a = read_model_tensors(folder / "run"), b = read_model_tensors(folder / "second");
  EXPECT_EQ(*a.find("_bn0.running_mean")->bytes, *b.find("_bn0.running_mean")->bytes);
}

TEST(Run, RefusesSourcesThatItCannotUse) {
  const test::TempDir folder;
  TrainOptions options = tiny_options(folder.path());
  options.model = "resnet19";
  EXPECT_NE(message_of(ErrorCategory::kUsage, [&] { train(options); }).find("resnet18"), std::string::npos);
  options.model = (folder / "missing.pth").string();
  EXPECT_NE(message_of(ErrorCategory::kFile, [&] { train(options); }).find("missing.pth"), std::string::npos);
  StateDict other;
  const std::vector<float> values = {1, 2};
  other.tensors.emplace_back("something.weight", make_tensor({2}, values));
  write_safetensors(folder / "other.safetensors", other);
  options.model = (folder / "other.safetensors").string();
  EXPECT_NE(message_of(ErrorCategory::kModel, [&] { train(options); }).find("other.safetensors"), std::string::npos);
}

TEST(Run, RefusesAFolderThatHoldsARunOrCannotBeWritten) {
  const test::TempDir folder;
  TrainOptions options = tiny_options(folder.path());
  options.epochs = 1;
  train(options);
  EXPECT_NE(message_of(ErrorCategory::kUsage, [&] { train(options); }).find("--resume"), std::string::npos);
  std::ofstream(folder / "file") << "in the way";
  options.out = folder / "file" / "run";
  EXPECT_NE(message_of(ErrorCategory::kFile, [&] { train(options); }).find("file/run"), std::string::npos);
}

}  // namespace
}  // namespace headstart
