// Frozen stages: what they hold stays as it is, and what they give is the same whether it is kept or computed each time.
#include "train/frozen_prefix.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "equal_runs.h"
#include "small_disk.h"
#include "support/temp_dir.h"
#include "tiny_run.h"
#include "train/prefix_outputs.h"
#include "train/workload.h"

namespace headstart {
namespace {

using test::expect_equal_runs;
using test::message_of;
using test::stop_after;

constexpr const char* kCacheFile = "frozen_outputs.cache";

// Runs whose kept outputs may take so much memory.
std::shared_ptr<SharedInputs> inputs(std::int64_t prefix_bytes) {
  return std::make_shared<SharedInputs>(MemoryBounds{.pixel_bytes = 0, .prefix_bytes = prefix_bytes});
}

TrainOptions frozen_options(const std::filesystem::path& folder, const char* name) {
  TrainOptions options = test::tiny_options(folder, {.name = name});
  options.freeze_until = "stage4";
  options.views = 2;
  options.epochs = 3;
  options.batch_norm = BatchNormPolicy::kTrain;
  return options;
}

// The stage of every tensor of the tiny network, statistics included; the output layer's is behind the last.
std::map<std::string, std::size_t> stages_of_tensors() {
  const std::unique_ptr<Network> network = make_network(test::kTinyArchitecture, 2);
  const auto layer = [](const std::string& name) { return name.substr(0, name.rfind('.')); };
  std::map<std::string, std::size_t> layers, tensors;
  for (const NamedParameter& parameter : network->parameters()) layers[layer(parameter.name)] = parameter.stage;
  for (const auto& [name, tensor] : network->tensors()) tensors[name] = layers.at(layer(name));
  return tensors;
}

TEST(FrozenPrefix, CountsStagesAndRefusesOtherNames) {
  const std::unique_ptr<Network> network = make_network("resnet18", 2);
  EXPECT_EQ(frozen_stages(*network, ""), 0U);
  EXPECT_EQ(frozen_stages(*network, "stem"), 1U);
  EXPECT_EQ(frozen_stages(*network, "layer4"), 5U);
  const std::string message = message_of(ErrorCategory::kUsage, [&] { frozen_stages(*network, "layer5"); });
  EXPECT_NE(message.find("stem, layer1, layer2, layer3 and layer4"), std::string::npos) << message;
}

// Neither decay nor momentum nor batch statistics reach them; everything behind them learns.
TEST(FrozenPrefix, StaysBitEqualToTheSource) {
  const test::TempDir folder;
  for (const char* const last : {"stem", "stage4", "top"}) {
    SCOPED_TRACE(last);
    TrainOptions options = frozen_options(folder.path(), last);
    options.freeze_until = last;
    options.weight_decay = 0.1;
    options.decay = DecayScope::kAll;
    options.weight_average = 0.9;
    options.keep = Keep::kLast;
    train(options);
    const std::size_t frozen = frozen_stages(*make_network(test::kTinyArchitecture, 2), last);
    const std::vector<std::string> differing =
        test::differing_tensors(test::read_model_tensors(options.out), read_weights(test::write_source_weights(folder.path())));
    for (const auto& [name, stage] : stages_of_tensors()) {
      const bool changed = std::find(differing.begin(), differing.end(), name) != differing.end();
      EXPECT_EQ(changed, stage >= frozen) << name;
    }
  }
}

// With as many views as epochs each view is computed for one epoch, as without views, where every batch runs through the frozen stages.
TEST(FrozenPrefix, KeptOutputsEqualThoseOfEachStepInMemoryAndInAFile) {
  const test::TempDir folder;
  for (const Precision precision : {Precision::kFloat32, Precision::kBFloat16}) {
    const auto run = [&](const std::string& name, int views, std::int64_t prefix_bytes) {
      TrainOptions options = frozen_options(folder.path(), name.c_str());
      options.out += precision == Precision::kFloat32 ? "-float32" : "-bfloat16";
      options.precision = precision;
      options.views = views;
      options.shared = inputs(prefix_bytes);
      train(options);
      EXPECT_FALSE(std::filesystem::exists(options.out / kCacheFile)) << name;
      return options.out;
    };
    const std::filesystem::path each_time = run("each-time", 0, 1 << 30);
    expect_equal_runs(each_time, run("memory", 3, 1 << 30));
    expect_equal_runs(each_time, run("half", 3, 20'000));  // of 32 and 65 kB
    expect_equal_runs(each_time, run("file", 3, 0));
    expect_equal_runs(run("two-memory", 2, 1 << 30), run("two-file", 2, 0));
  }
}

// The views of an epoch are those of view (epoch mod views), with and without frozen stages.
TEST(FrozenPrefix, EpochsTakeTheViewsInTurn) {
  const test::TempDir folder;
  TrainOptions options = test::tiny_options(folder.path());
  options.views = 2;
  const std::unique_ptr<Network> network = make_network(test::kTinyArchitecture, 2);
  for (const char* const last : {"", "stage2"}) {
    options.freeze_until = last;
    const ResolvedOptions resolved = [&] {
      ResolvedOptions r = resolve(options);
      r.epochs = 4;
      return r;
    }();
    std::filesystem::create_directories(resolved.out);
    const Catalog catalog = scan_photos(options.photos);
    SharedInputs shared({.pixel_bytes = 0, .prefix_bytes = 0});
    const std::unique_ptr<Workload> workload = make_workload(*network, catalog, resolved, shared.impl(), {}, Group());
    std::vector<std::map<double, int>> epochs;  // sums of the photos' inputs, which tell views apart
    for (std::uint32_t epoch = 0; epoch < 4; ++epoch) {
      epochs.emplace_back();
      workload->start(epoch, 0, {});
      while (const std::optional<LearningBatch> batch = workload->next()) {
        const at::Tensor sums = batch->input.to(at::kDouble).contiguous().flatten(1).sum(1);
        for (std::int64_t row = 0; row < batch->count; ++row) ++epochs.back()[sums[row].item<double>()];
      }
    }
    EXPECT_EQ(epochs[0].size(), catalog.train.size());
    EXPECT_EQ(epochs[0], epochs[2]);
    EXPECT_EQ(epochs[1], epochs[3]);
    EXPECT_NE(epochs[0], epochs[1]);
  }
}

TEST(FrozenPrefix, ValidationScoresAreThoseOfTheWholeNetwork) {
  const test::TempDir folder;
  TrainOptions options = test::tiny_options(folder.path(), {.photos_per_class = 100});
  options.validation_fraction = 0.4;  // 80 photos: two batches and a half
  for (const Precision precision : {Precision::kFloat32, Precision::kBFloat16}) {
    options.precision = precision;
    const std::unique_ptr<Network> network = make_network(test::kTinyArchitecture, 2);
    std::vector<ScoredSamples> scored;
    for (const char* const last : {"", "stage4"}) {
      options.freeze_until = last;
      const ResolvedOptions resolved = resolve(options);
      const Catalog catalog = scan_photos(options.photos, {.validation_fraction = options.validation_fraction});
      SharedInputs shared;
      scored.push_back(make_workload(*network, catalog, resolved, shared.impl(), {}, Group())->validate({}));
    }
    ASSERT_EQ(scored[0].photos.size(), 80U);
    ASSERT_EQ(scored[1].photos.size(), 80U);
    for (std::size_t i = 0; i < 80; ++i) {
      EXPECT_EQ(scored[0].photos[i].path, scored[1].photos[i].path);
      EXPECT_EQ(scored[0].photos[i].probabilities, scored[1].photos[i].probabilities) << i;
    }
  }
}

TEST(FrozenPrefix, EachViewIsComputedOnce) {
  const test::TempDir folder;
  TrainOptions options = frozen_options(folder.path(), "run");
  options.epochs = 5;
  std::int64_t computed = 0, before = 0;
  TrainCallbacks callbacks;
  callbacks.on_stage = [&](Stage stage, std::int64_t done, std::int64_t) {
    if (stage != Stage::kFeatures) return;
    computed += done - (done > before ? before : 0);
    before = done;
  };
  callbacks.on_epoch = [&](const EpochRecord&) { before = 0; };
  train(options, callbacks);
  EXPECT_EQ(computed, 2 * 16 + 4);
}

TEST(FrozenPrefix, ARunInSittingsEqualsOneThatWasNeverStopped) {
  const test::TempDir folder;
  train(frozen_options(folder.path(), "straight"));
  for (const int steps : {1, 3, 4, 7}) {
    SCOPED_TRACE(steps);
    TrainOptions options = frozen_options(folder.path(), ("sittings-" + std::to_string(steps)).c_str());
    options.shared = inputs(steps == 3 ? 1 << 30 : 20'000);
    test::train_in_sittings(options, steps);
    expect_equal_runs(folder / "straight", options.out);
  }
}

TEST(FrozenPrefix, AStopWhileOutputsAreComputedIsAStopBetweenSteps) {
  const test::TempDir folder;
  train(frozen_options(folder.path(), "straight"));
  TrainOptions options = frozen_options(folder.path(), "run");
  options.shared = inputs(0);
  int epochs = 0, polls = 0;
  TrainCallbacks callbacks;
  callbacks.on_epoch = [&](const EpochRecord&) { ++epochs; };
  callbacks.should_stop = [&] { return epochs == 1 && ++polls > 0; };  // the first poll of the second epoch, whose view is new
  message_of(ErrorCategory::kInterrupted, [&] { train(options, callbacks); });
  EXPECT_EQ(read_checkpoint(options.out / "checkpoint.safetensors").position, (Position{.epoch = 1, .batch = 0}));
  EXPECT_TRUE(std::filesystem::exists(options.out / kCacheFile));
  resume_training({.run = options.out, .shared = options.shared});
  expect_equal_runs(folder / "straight", options.out);
}

TEST(FrozenPrefix, AFullDiskIsNamedAndTheRunGoesOn) {
  const test::TempDir folder;
  train(frozen_options(folder.path(), "straight"));
  TrainOptions options = frozen_options(folder.path(), "run");
  options.shared = inputs(0);
  {
    const test::SmallDisk disk(20'000);  // 36 records of 1,288 bytes are asked for
    const std::string message = message_of(ErrorCategory::kFile, [&] { train(options); });
    EXPECT_NE(message.find(kCacheFile), std::string::npos) << message;
  }
  EXPECT_FALSE(std::filesystem::exists(options.out / kCacheFile));
  resume_training({.run = options.out, .shared = options.shared});
  expect_equal_runs(folder / "straight", options.out);
}

TEST(FrozenPrefix, SkipsAndListsUnreadablePhotos) {
  const test::TempDir folder;
  TrainOptions options = frozen_options(folder.path(), "run");
  options.max_unreadable_share = 0.3;
  for (const char* const name : {"class_0/photo_003.ppm", "class_1/photo_001.ppm", "class_1/photo_008.ppm"}) {
    std::ofstream(options.photos / name, std::ios::binary) << "P6\n40 40\n255\ncut off";
  }
  const TrainResult kept = train(options);
  options.out = folder / "each-time";
  options.views = 0;
  const TrainResult each_time = train(options);
  ASSERT_EQ(kept.unreadable.size(), 3U);
  ASSERT_EQ(each_time.unreadable.size(), 3U);
  for (const Problem& problem : kept.unreadable) EXPECT_FALSE(problem.reason.empty());
  EXPECT_EQ(kept.validation.photos.size(), each_time.validation.photos.size());
  options.out = folder / "strict";
  options.views = 2;
  options.max_unreadable_share = 0.01;
  message_of(ErrorCategory::kData, [&] { train(options); });
}

}  // namespace
}  // namespace headstart
