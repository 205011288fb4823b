// A run that is stopped, killed or out of disk goes on to the same bytes as one that was never stopped.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <random>
#include <thread>

#include "child_run.h"
#include "core/file.h"
#include "equal_runs.h"
#include "headstart/train.h"
#include "small_disk.h"
#include "support/temp_dir.h"
#include "tiny_run.h"
#include "train/checkpoint.h"

namespace headstart {
namespace {

using test::expect_equal_runs;
using test::message_of;
using test::SmallDisk;
using test::stop_after;
using test::tiny_options;
using test::train_in_sittings;

TEST(Resume, ARunInSittingsEqualsOneThatWasNeverStopped) {
  const test::TempDir folder;
  train(tiny_options(folder.path(), {.name = "straight"}));  // 2 epochs of 4 steps
  for (const int steps : {1, 3, 4, 7}) {
    SCOPED_TRACE(steps);
    const TrainOptions options = tiny_options(folder.path(), {.name = "sittings-" + std::to_string(steps)});
    train_in_sittings(options, steps);
    expect_equal_runs(folder / "straight", options.out);
  }
}

TEST(Resume, HoldsForAdamWAccumulationAndTheBalancedSampler) {
  const test::TempDir folder;
  const auto change = [](TrainOptions options) {
    options.optimizer = OptimizerKind::kAdamW;
    options.lr = 1e-3;
    options.batch_size = 3;
    options.accumulate = 2;
    options.imbalance = Imbalance::kBalancedSampler;
    options.precision = Precision::kBFloat16;
    return options;
  };
  train(change(tiny_options(folder.path(), {.name = "straight"})));
  const TrainOptions options = change(tiny_options(folder.path(), {.name = "sittings"}));
  train_in_sittings(options, 2);
  expect_equal_runs(folder / "straight", options.out);
}

TEST(Resume, HoldsForTheHeadRecipe) {
  const test::TempDir folder;
  const auto change = [](TrainOptions options) {
    options.recipe = Recipe::kHead;
    options.epochs = 5;
    return options;
  };
  train(change(tiny_options(folder.path(), {.name = "straight"})));
  const TrainOptions options = change(tiny_options(folder.path(), {.name = "sittings"}));
  train_in_sittings(options, 7);
  expect_equal_runs(folder / "straight", options.out);
}

TEST(Resume, AStopDuringValidationKeepsTheEpochsSteps) {
  const test::TempDir folder;
  train(tiny_options(folder.path(), {.name = "straight"}));
  const TrainOptions options = tiny_options(folder.path());
  bool validating = false;
  TrainCallbacks callbacks;
  callbacks.on_step = [&](const StepProgress& progress) { validating = progress.photos_done == progress.photos_total; };
  int polls = 0;
  // The first poll after an epoch's last step is the loop's, the second the scoring's.
  callbacks.should_stop = [&] { return validating && ++polls > 1; };
  message_of(ErrorCategory::kInterrupted, [&] { train(options, callbacks); });
  const Checkpoint checkpoint = read_checkpoint(options.out / "checkpoint.safetensors");
  EXPECT_EQ(checkpoint.position, (Position{.epoch = 0, .batch = 4}));
  resume_training({.run = options.out});
  expect_equal_runs(folder / "straight", options.out);
}

TEST(Resume, AFinishedRunReturnsItsResultAtOnce) {
  const test::TempDir folder;
  const TrainResult first = train(tiny_options(folder.path()));
  TrainCallbacks callbacks;
  callbacks.on_step = [](const StepProgress&) { FAIL() << "a finished run was trained again"; };
  const TrainResult again = resume_training({.run = folder / "run"}, callbacks);
  EXPECT_EQ(again.best_epoch, first.best_epoch);
  EXPECT_EQ(again.history.size(), first.history.size());
  EXPECT_EQ(again.validation.metrics.top1, first.validation.metrics.top1);
  EXPECT_EQ(again.validation.photos.size(), first.validation.photos.size());
  EXPECT_EQ(again.model_file, first.model_file);
  EXPECT_EQ(again.data_fingerprint, first.data_fingerprint);
}

TEST(Resume, ARunWithoutACheckpointStartsFromItsBeginning) {
  const test::TempDir folder;
  train(tiny_options(folder.path(), {.name = "straight"}));
  const TrainOptions options = tiny_options(folder.path());
  message_of(ErrorCategory::kInterrupted, [&] { train(options, stop_after(1)); });
  std::filesystem::remove(options.out / "checkpoint.safetensors");
  message_of(ErrorCategory::kUsage, [&] { train(options); });  // it is a run already
  resume_training({.run = options.out});
  expect_equal_runs(folder / "straight", options.out);
}

TEST(Resume, TheModelFileIsRestoredFromTheCheckpoint) {
  const test::TempDir folder;
  train(tiny_options(folder.path(), {.name = "straight"}));
  const TrainOptions options = tiny_options(folder.path());
  message_of(ErrorCategory::kInterrupted, [&] { train(options, stop_after(6)); });
  std::filesystem::remove(options.out / "model.safetensors");
  resume_training({.run = options.out});
  expect_equal_runs(folder / "straight", options.out);
}

TEST(Resume, WorksAfterRunAndPhotosWereMoved) {
  const test::TempDir folder;
  train(tiny_options(folder.path(), {.name = "straight"}));
  const TrainOptions options = tiny_options(folder.path());
  message_of(ErrorCategory::kInterrupted, [&] { train(options, stop_after(3)); });
  std::filesystem::rename(options.out, folder / "moved-run");
  std::filesystem::rename(options.photos, folder / "moved-photos");
  resume_training({.run = folder / "moved-run", .photos = folder / "moved-photos"});
  expect_equal_runs(folder / "straight", folder / "moved-run");
}

TEST(Resume, RefusesChangedPhotosNamingThem) {
  const test::TempDir folder;
  const TrainOptions options = tiny_options(folder.path());
  message_of(ErrorCategory::kInterrupted, [&] { train(options, stop_after(1)); });
  const auto expect_named = [&](const char* name) {
    const std::string message = message_of(ErrorCategory::kData, [&] { resume_training({.run = options.out}); });
    EXPECT_NE(message.find(name), std::string::npos) << message;
  };
  const std::filesystem::path photo = folder / "photos" / "class_0" / "photo_002.ppm";
  const auto written = std::filesystem::last_write_time(photo);
  std::filesystem::last_write_time(photo, written + std::chrono::hours(1));
  expect_named("photo_002.ppm");
  std::filesystem::last_write_time(photo, written);
  test::write_ppm(folder / "photos" / "class_1" / "new.ppm", 8, 8, std::vector<std::uint8_t>(192));
  expect_named("new.ppm");
  std::filesystem::remove(folder / "photos" / "class_1" / "new.ppm");
  resume_training({.run = options.out});
}

TEST(Resume, RefusesOtherOptionsNamingThem) {
  const test::TempDir folder;
  const TrainOptions options = tiny_options(folder.path());
  message_of(ErrorCategory::kInterrupted, [&] { train(options, stop_after(1)); });
  const std::string message = message_of(ErrorCategory::kUsage, [&] {
    resume_training({.run = options.out, .expected = {{"epochs", "7"}, {"batch_size", "4"}}});
  });
  EXPECT_NE(message.find("epochs"), std::string::npos) << message;
  EXPECT_NE(message.find("7"), std::string::npos) << message;
  EXPECT_EQ(message.find("batch_size"), std::string::npos) << message;
}

TEST(Resume, RefusesChangedSourceWeightsWhereTheyAreStillNeeded) {
  const test::TempDir folder;
  const TrainOptions options = tiny_options(folder.path());
  message_of(ErrorCategory::kInterrupted, [&] { train(options, stop_after(1)); });
  std::filesystem::remove(options.out / "checkpoint.safetensors");
  write_safetensors(options.model, make_network(test::kTinyArchitecture, 4, /*seed=*/4)->state());
  EXPECT_NE(message_of(ErrorCategory::kModel, [&] { resume_training({.run = options.out}); }).find("SHA-256"), std::string::npos);
}

TEST(Resume, RefusesAFolderWithoutARun) {
  const test::TempDir folder;
  message_of(ErrorCategory::kUsage, [&] { resume_training({.run = folder.path()}); });
}

TEST(Resume, AFullDiskLeavesTheLastCheckpointAndNoDebris) {
  const test::TempDir folder;
  train(tiny_options(folder.path(), {.name = "straight"}));
  const TrainOptions options = tiny_options(folder.path());
  std::string checkpoint;
  std::unique_ptr<SmallDisk> disk;
  TrainCallbacks callbacks;
  callbacks.on_epoch = [&](const EpochRecord&) {
    checkpoint = read_text_file(options.out / "checkpoint.safetensors");
    disk = std::make_unique<SmallDisk>(1 << 20);
  };
  const std::string message = message_of(ErrorCategory::kFile, [&] { train(options, callbacks); });
  disk.reset();
  EXPECT_NE(message.find("safetensors"), std::string::npos) << message;
  EXPECT_TRUE(read_text_file(options.out / "checkpoint.safetensors") == checkpoint);
  for (const auto& entry : std::filesystem::directory_iterator(options.out)) {
    EXPECT_EQ(entry.path().filename().string().find("tmp"), std::string::npos) << entry.path();
  }
  resume_training({.run = options.out});
  expect_equal_runs(folder / "straight", options.out);
}

// Waits for a child at most `longest`; kills it then. True: it ended by itself, well.
bool ended_well_before(pid_t child, std::chrono::milliseconds longest) {
  const auto deadline = std::chrono::steady_clock::now() + longest;
  int status = 0;
  while (waitpid(child, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() >= deadline) {
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "the child failed by itself, status " << status;
  return true;
}

class KilledRun : public testing::TestWithParam<test::ChildRun> {};

TEST_P(KilledRun, StillEndsWithTheSameBytes) {
  const test::TempDir folder;
  constexpr int kEpochs = 6;
  const auto start = [&](const char* name) { return test::start_child_run(folder / name, kEpochs, GetParam()); };
  const auto began = std::chrono::steady_clock::now();
  ASSERT_TRUE(ended_well_before(start("straight"), std::chrono::minutes(5)));
  const auto whole = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began);
  std::mt19937 random(20260124);  // its seed decides where the kills fall, as far as the machine's timing lets it
  bool done = false;
  int kills = 0;
  for (int sitting = 0; !done && sitting < 8; ++sitting) {
    const std::chrono::milliseconds longest = whole * (20 + random() % 60) / 100;
    done = ended_well_before(start("killed"), longest);
    kills += done ? 0 : 1;
  }
  if (!done) {
    ASSERT_TRUE(ended_well_before(start("killed"), std::chrono::minutes(5)));
  }
  EXPECT_GT(kills, 0);
  expect_equal_runs(folder / "straight", folder / "killed");
}

INSTANTIATE_TEST_SUITE_P(Resume, KilledRun, testing::Values(test::ChildRun::kPlain, test::ChildRun::kFrozenStages));

}  // namespace
}  // namespace headstart
