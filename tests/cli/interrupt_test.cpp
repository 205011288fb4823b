// Ctrl-C and SIGTERM in the middle of a training, and going on from there.
#include <signal.h>

#include "cli/fixture.h"
#include "weights/state_dict.h"

namespace headstart::test {
namespace {

std::vector<std::string> training(const std::filesystem::path& out) {
  return joined(tiny_finetuning(photos_folder(), out), {"--epochs", "4", "--precision", "float32"});
}

void expect_equal_tensors(const std::filesystem::path& a, const std::filesystem::path& b) {
  const StateDict first = read_weights(a);
  const StateDict second = read_weights(b);
  ASSERT_EQ(first.tensors.size(), second.tensors.size());
  for (std::size_t i = 0; i < first.tensors.size(); ++i) {
    EXPECT_EQ(first.tensors[i].first, second.tensors[i].first);
    EXPECT_EQ(*first.tensors[i].second.bytes, *second.tensors[i].second.bytes) << first.tensors[i].first;
  }
}

// The run without the columns that hold times.
std::vector<std::string> figures_of_log(const std::filesystem::path& log) {
  std::vector<std::string> rows;
  for (const std::string& line : lines_of(text_of(log))) {
    std::istringstream fields(line);
    std::string row;
    std::string field;
    for (int column = 0; column < 5 && std::getline(fields, field, ','); ++column) row += field + ",";
    rows.push_back(row);
  }
  return rows;
}

TEST(TrainInterrupted, CtrlCLeavesARunThatGoesOnToTheSameBits) {
  const TempDir folder;
  EXPECT_EXIT_CODE(run(training(folder / "whole")), 0);
  for (const int signal : {SIGINT, SIGTERM}) {
    const std::filesystem::path out = folder / ("stopped" + std::to_string(signal));
    Process process(training(out));
    ASSERT_TRUE(process.wait_for_error_text(signal == SIGINT ? "epoch 1/4" : "epoch 2/4"));
    process.send_signal(signal);
    const Outcome stopped = process.finish();
    ASSERT_EQ(stopped.exit_code, 130) << stopped.out << stopped.err;
    EXPECT_EQ(stopped.out, "");
    EXPECT_TRUE(says(stopped.err, "headstart train --resume " + out.string()));
    const Outcome resumed = run({"train", "--resume", out.string(), "--epochs", "4"});
    EXPECT_EXIT_CODE(resumed, 0);
    EXPECT_TRUE(says(resumed.out, "validation accuracy"));
    expect_equal_tensors(folder / "whole/model.safetensors", out / "model.safetensors");
    EXPECT_EQ(figures_of_log(folder / "whole/log.csv"), figures_of_log(out / "log.csv"));
  }
}

TEST(TrainInterrupted, ChangedPhotosAreRefusedByName) {
  const TempDir folder;
  make_tiny_dataset(folder / "photos", 3, 8);
  Process process(joined(tiny_finetuning(folder / "photos", folder / "run"), {"--epochs", "50"}));
  ASSERT_TRUE(process.wait_for_error_text("epoch  1/50"));
  process.send_signal(SIGINT);
  ASSERT_EQ(process.finish().exit_code, 130);
  std::filesystem::remove(folder / "photos/class_1/photo_003.ppm");
  const Outcome outcome = run({"train", "--resume", (folder / "run").string()});
  EXPECT_EXIT_CODE(outcome, ErrorCategory::kData);
  EXPECT_TRUE(says(outcome.err, "photo_003.ppm"));
}

TEST(TrainInterrupted, ASecondCtrlCEndsAtOnce) {
  const TempDir folder;
  Process process(joined(tiny_finetuning(photos_folder(), folder / "run"), {"--epochs", "1000"}));
  ASSERT_TRUE(process.wait_for_error_text("run "));
  process.send_signal(SIGINT);
  ASSERT_TRUE(process.wait_for_error_text("Ctrl-C again"));
  process.send_signal(SIGINT);
  EXPECT_EQ(process.finish().exit_code, 130);
}

}  // namespace
}  // namespace headstart::test
