// Whole runs in two and three processes over Gloo on loopback: they equal a run in one process, end together, and go on in another number.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>

#include "child_rank.h"
#include "core/file.h"
#include "headstart/train.h"
#include "report/run_files.h"
#include "support/temp_dir.h"
#include "support/tensor_compare.h"
#include "tiny_run.h"
#include "train/checkpoint.h"

namespace headstart {
namespace {

using test::group_options;
using test::message_of;
using test::rank_error;
using test::RankEvent;
using test::read_model_tensors;
using test::start_ranks;
using test::stop_after;
using test::wait_for;

// Makes photos and weights before several processes want them.
void prepare(const std::filesystem::path& folder) { group_options(folder, "frozen", "none"); }

// Float32 sums in another order, through the network's depth and a few steps.
void expect_nearly_equal(const std::filesystem::path& actual, const std::filesystem::path& expected) {
  const TrainResult a = run_from_json(read_text_file(actual / "run.json")), e = run_from_json(read_text_file(expected / "run.json"));
  ASSERT_EQ(a.history.size(), e.history.size());
  for (std::size_t i = 0; i < e.history.size(); ++i) {
    EXPECT_NEAR(a.history[i].train_loss, e.history[i].train_loss, 1e-4);
    EXPECT_EQ(a.history[i].train_top1, e.history[i].train_top1);
    EXPECT_NEAR(a.history[i].validation_loss, e.history[i].validation_loss, 1e-4);
    EXPECT_EQ(a.history[i].validation_top1, e.history[i].validation_top1);
  }
  EXPECT_EQ(a.unreadable.size(), e.unreadable.size());
  const StateDict weights = read_model_tensors(actual);
  for (const auto& [name, tensor] : read_model_tensors(expected).tensors) {
    EXPECT_TRUE(test::tensors_close(to_engine(*weights.find(name)), to_engine(tensor), {.relative = 1e-4, .absolute = 1e-4})) << name;
  }
}

void expect_all_ended_well(int ranks, const std::filesystem::path& folder, const std::string& set, const std::string& run) {
  EXPECT_EQ(wait_for(start_ranks(ranks, folder, set, run)), std::vector<int>(static_cast<std::size_t>(ranks), 0));
  for (int rank = 0; rank < ranks; ++rank) EXPECT_EQ(rank_error(folder, run, rank), "");
}

TEST(GroupRun, WithSynchronisedBatchNormEqualsARunInOneProcess) {
  const test::TempDir folder;
  train(group_options(folder.path(), "synchronised", "one"));
  for (const int ranks : {2, 3}) {
    const std::string run = fmt::format("of{}", ranks);
    expect_all_ended_well(ranks, folder.path(), "synchronised", run);
    expect_nearly_equal(folder / run, folder / "one");
  }
}

// With a photo that no rank can read, class weights, accumulated batches and clipping.
TEST(GroupRun, WithFrozenStatisticsEqualsARunInOneProcess) {
  const test::TempDir folder;
  prepare(folder.path());
  std::ofstream(folder / "photos" / "class_1" / "photo_003.ppm", std::ios::binary) << "P6\n40 40\n255\ncut off";
  std::filesystem::remove(folder / "photos" / "class_0" / "photo_001.ppm");
  const TrainResult one = train(group_options(folder.path(), "frozen", "one"));
  ASSERT_EQ(one.unreadable.size(), 1U);
  expect_all_ended_well(3, folder.path(), "frozen", "of3");
  expect_nearly_equal(folder / "of3", folder / "one");
}

// One process keeps what the frozen stages give, several compute it in every step.
TEST(GroupRun, WithFrozenStagesEqualsARunInOneProcess) {
  const test::TempDir folder;
  train(group_options(folder.path(), "stages", "one"));
  expect_all_ended_well(3, folder.path(), "stages", "of3");
  expect_nearly_equal(folder / "of3", folder / "one");
}

TEST(GroupRun, OfTheHeadRecipeDividesTheFeatures) {
  const test::TempDir folder;
  train(group_options(folder.path(), "head", "one"));
  expect_all_ended_well(2, folder.path(), "head", "of2");
  expect_nearly_equal(folder / "of2", folder / "one");
}

// The fitted head, the epochs that follow and what the head learns from the validation photos in the end.
TEST(GroupRun, OfAutoWithItsRefitEqualsARunInOneProcess) {
  const test::TempDir folder;
  const TrainOptions options = group_options(folder.path(), "auto", "one");
  test::swap_some_photos(options.photos);
  const TrainResult one = train(options);
  EXPECT_TRUE(one.refitted);
  ASSERT_EQ(one.history.size(), 1U);
  expect_all_ended_well(2, folder.path(), "auto", "of2");
  expect_nearly_equal(folder / "of2", folder / "one");
  EXPECT_TRUE(run_from_json(read_text_file(folder / "of2/run.json")).refitted);
}

TEST(GroupRun, StopsOnAllRanksAfterTheSameStepAndGoesOnInOneProcess) {
  const test::TempDir folder;
  train(group_options(folder.path(), "frozen", "straight"));
  EXPECT_EQ(wait_for(start_ranks(2, folder.path(), "frozen", "run", RankEvent::kStopLast)), (std::vector<int>{130, 130}));
  EXPECT_NE(rank_error(folder.path(), "run", 0).find("can be resumed"), std::string::npos);
  EXPECT_EQ(rank_error(folder.path(), "run", 1), "reported");
  const Checkpoint stopped = read_checkpoint(folder / "run/checkpoint.safetensors");
  EXPECT_EQ(stopped.position, (Position{.epoch = 0, .batch = 2}));  // one step of two batches
  EXPECT_EQ(stopped.progress.options.processes, 2);
  EXPECT_EQ(resume_training({.run = folder / "run"}).options.processes, 1);
  expect_nearly_equal(folder / "run", folder / "straight");
}

TEST(GroupRun, GoesOnWithWhatOneProcessBegan) {
  const test::TempDir folder;
  train(group_options(folder.path(), "frozen", "straight"));
  message_of(ErrorCategory::kInterrupted, [&] { train(group_options(folder.path(), "frozen", "run"), stop_after(1)); });
  expect_all_ended_well(2, folder.path(), "frozen", "run");
  expect_nearly_equal(folder / "run", folder / "straight");
}

TEST(GroupRun, ARankThatIsKilledEndsTheOthersWhichNameIt) {
  const test::TempDir folder;
  prepare(folder.path());
  EXPECT_EQ(wait_for(start_ranks(3, folder.path(), "frozen", "run", RankEvent::kDieLast)), (std::vector<int>{6, 6, -SIGKILL}));
  const std::string message = rank_error(folder.path(), "run", 0);
  EXPECT_NE(message.find("rank 2 of 3 is gone"), std::string::npos) << message;
  EXPECT_NE(message.find("--resume"), std::string::npos) << message;
  EXPECT_EQ(rank_error(folder.path(), "run", 1), "reported");
}

TEST(GroupRun, ARankThatHangsEndsTheOthersWhichNameIt) {
  const test::TempDir folder;
  prepare(folder.path());
  const std::vector<pid_t> ranks = start_ranks(2, folder.path(), "frozen", "run", RankEvent::kFreezeLast);
  EXPECT_EQ(wait_for({ranks[0]}), std::vector<int>{6});
  kill(ranks[1], SIGKILL);
  wait_for({ranks[1]});
  const std::string message = rank_error(folder.path(), "run", 0);
  EXPECT_NE(message.find("rank 1 of 2 is gone: it was not heard of"), std::string::npos) << message;
}

TEST(GroupRun, RefusesRanksThatWouldTrainSomethingElse) {
  const test::TempDir folder;
  prepare(folder.path());
  std::filesystem::copy(folder / "photos", folder / "other-photos", std::filesystem::copy_options::recursive);
  std::filesystem::remove(folder / "other-photos/class_0/photo_000.ppm");
  EXPECT_EQ(wait_for(start_ranks(2, folder.path(), "frozen", "options", RankEvent::kOtherOptions)), (std::vector<int>{2, 2}));
  const std::string options = rank_error(folder.path(), "options", 0);
  for (const char* const part : {"rank 1", "epochs (7, rank 0: 1)"}) EXPECT_NE(options.find(part), std::string::npos) << options;
  EXPECT_EQ(wait_for(start_ranks(2, folder.path(), "frozen", "photos", RankEvent::kOtherPhotos)), (std::vector<int>{3, 3}));
  const std::string photos = rank_error(folder.path(), "photos", 0);
  for (const char* const part : {"rank 1", "other-photos"}) EXPECT_NE(photos.find(part), std::string::npos) << photos;
  EXPECT_FALSE(std::filesystem::exists(folder / "options"));
}

}  // namespace
}  // namespace headstart
