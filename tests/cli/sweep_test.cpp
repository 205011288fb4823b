// headstart sweep: the grid, the table, the page, going on, and what is refused.
#include <signal.h>

#include "cli/fixture.h"

namespace headstart::test {
namespace {

std::vector<std::string> tiny_sweep(const std::filesystem::path& photos, const std::filesystem::path& out) {
  std::vector<std::string> options = tiny_training(photos, out);
  options[0] = "sweep";
  return joined(options, {"--recipe", "head", "--epochs", "2", "--device", "cpu"});
}

TEST(Sweep, TriesAGridAndGoesOn) {
  const TempDir folder;
  const std::vector<std::string> command =
      joined(tiny_sweep(photos_folder(), folder / "out"), {"--lr", "1e-3:1e-1:log:2", "--param", "momentum=0,0.9"});
  const Outcome outcome = run(command);
  EXPECT_EXIT_CODE(outcome, 0);
  for (const char* const part : {"lr    momentum  validation acc", "best: lr ", "report  "}) EXPECT_TRUE(says(outcome.out, part));
  EXPECT_TRUE(says(outcome.err, "lr 1e-1, momentum 0.9, seed 0: validation accuracy"));
  EXPECT_TRUE(says(text_of(folder / "out/sweep.html"), "momentum=0.9"));
  const nlohmann::json state = nlohmann::json::parse(text_of(folder / "out/sweep.json"));
  EXPECT_EQ(state["finished"], true);
  EXPECT_EQ(state["cases"].size(), 4U);
  const nlohmann::json one = nlohmann::json::parse(text_of(folder / "out/lr=1e-1,momentum=0.9-seed0/run.json"));
  EXPECT_EQ(one["options"]["lr"], 0.1);
  EXPECT_EQ(one["options"]["momentum"], 0.9);
  EXPECT_EQ(one["options"]["crop_size"], 32);
  // The same again trains nothing and says the same; another grid is refused by name.
  const Outcome again = run(command);
  EXPECT_EXIT_CODE(again, 0);
  EXPECT_EQ(again.out, outcome.out);
  const Outcome other = run(joined(tiny_sweep(photos_folder(), folder / "out"), {"--lr", "1e-3,1e-1"}));
  EXPECT_EXIT_CODE(other, exit_code(ErrorCategory::kUsage));
  EXPECT_TRUE(says(other.err, "the grid (sweep: lr=1e-3,1e-1 momentum=0,0.9; asked: lr=1e-3,1e-1)"));
}

TEST(Sweep, GoesOnAfterAnInterruption) {
  const TempDir folder;
  std::vector<std::string> command = tiny_training(photos_folder(), folder / "out");
  command[0] = "sweep";
  command = joined(command, {"--epochs", "4", "--lr", "1e-4,1e-3", "--device", "cpu"});
  Process sweep(command);
  ASSERT_TRUE(sweep.wait_for_error_text("lr 1e-4, seed 0: validation accuracy"));
  sweep.send_signal(SIGINT);
  const Outcome stopped = sweep.finish();
  EXPECT_EXIT_CODE(stopped, exit_code(ErrorCategory::kInterrupted));
  EXPECT_TRUE(says(stopped.err, "the same command goes on from here"));
  const auto written = std::filesystem::last_write_time(folder / "out/lr=1e-4-seed0/model.safetensors");
  const Outcome finished = run(command);
  EXPECT_EXIT_CODE(finished, 0);
  EXPECT_TRUE(says(finished.out, "best: lr 1e-"));
  EXPECT_EQ(std::filesystem::last_write_time(folder / "out/lr=1e-4-seed0/model.safetensors"), written);
}

TEST(Sweep, SaysWhereTrainingDiverges) {
  const TempDir folder;
  std::vector<std::string> command = tiny_training(photos_folder(), folder / "out");
  command[0] = "sweep";
  const Outcome outcome = run(joined(command, {"--epochs", "1", "--lr", "1e-3,1e30", "--device", "cpu"}));
  EXPECT_EXIT_CODE(outcome, 0);
  EXPECT_TRUE(says(outcome.out, "diverged at step"));
  EXPECT_TRUE(says(outcome.out, "training diverges from lr 1e30 on"));
}

TEST(Sweep, RefusesWhatCannotBeMeant) {
  const TempDir folder;
  const auto refuses = [&](const std::vector<std::string>& options, const std::string& part) {
    const Outcome outcome = run(joined(tiny_sweep(photos_folder(), folder / "out"), options));
    EXPECT_EXIT_CODE(outcome, exit_code(ErrorCategory::kUsage));
    EXPECT_TRUE(says(outcome.err, part));
  };
  refuses({}, "give --lr VALUES or --param NAME=VALUES");
  refuses({"--lr", "1:2:3"}, "from:to:log|lin:count");
  refuses({"--lr", "0:1:log:3"}, "above 0");
  refuses({"--lr", "1e-3,fast"}, "--lr: expected a number above 0, found 'fast'");
  refuses({"--lr", "0.1,0.1"}, "each value once");
  refuses({"--param", "momentum"}, "expected NAME=VALUES");
  refuses({"--param", "momentun=0,0.9"}, "did you mean momentum?");
  refuses({"--param", "optimizer=sgd,adam"}, "--optimizer: expected sgd or adamw");
  refuses({"--param", "epochs=1,2"}, "epochs is given twice");
  refuses({"--param", "score=test"}, "score must be validation");
  EXPECT_FALSE(std::filesystem::exists(folder / "out"));
}

}  // namespace
}  // namespace headstart::test
