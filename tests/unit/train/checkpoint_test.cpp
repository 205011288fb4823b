#include "train/checkpoint.h"

#include <gtest/gtest.h>

#include <array>
#include <limits>

#include "core/file.h"
#include "headstart/error.h"
#include "support/temp_dir.h"
#include "tiny_run.h"

namespace headstart {
namespace {

StateDict one_tensor(const std::string& name, float value) {
  const std::array<float, 2> values = {value, 1};
  StateDict state;
  state.tensors.emplace_back(name, make_tensor({2}, values));
  return state;
}

Checkpoint example() {
  Checkpoint checkpoint;
  checkpoint.progress.options.photos = "/photos";
  checkpoint.progress.options.out = "/run";
  checkpoint.progress.options.model = "resnet18";
  checkpoint.progress.options.architecture = "resnet18";
  checkpoint.progress.options.epochs = 3;
  checkpoint.progress.options.batch_size = 4;
  checkpoint.progress.options.lr = 0.1;
  checkpoint.progress.options.device = "cpu";
  checkpoint.progress.classes = {"a", "b"};
  checkpoint.progress.history = {{.epoch = 1, .train_loss = 1.0 / 3, .validation_top1 = 0.7, .best = true}};
  checkpoint.progress.best_epoch = 1;
  checkpoint.progress.data_fingerprint = "0123456789abcdef";
  checkpoint.progress.unreadable = {{.path = "a/x.jpg", .reason = "truncated"}};
  checkpoint.progress.seconds = 12.5;
  checkpoint.position = {.epoch = 1, .batch = 7};
  checkpoint.sums = {.loss = 0.1, .weight = 4, .correct = 3, .photos = 4, .requested = 5, .seconds = 0.2, .wait_seconds = 1e-9};
  checkpoint.provenance = {{"source_model", "resnet18"}};
  checkpoint.model = one_tensor("fc.weight", 0.25F);
  checkpoint.optimizer = one_tensor("momentum.fc.weight", -1.5F);
  checkpoint.best = one_tensor("fc.weight", 0.5F);
  return checkpoint;
}

TEST(Checkpoint, ReadsBackWhatWasWritten) {
  const test::TempDir folder;
  const Checkpoint written = example();
  write_checkpoint(folder / "c.safetensors", written);
  const Checkpoint read = read_checkpoint(folder / "c.safetensors");
  EXPECT_EQ(read.position, written.position);
  EXPECT_EQ(read.sums, written.sums);
  EXPECT_EQ(read.provenance, written.provenance);
  EXPECT_EQ(read.progress.options.lr, 0.1);
  EXPECT_EQ(read.progress.history.at(0).train_loss, 1.0 / 3);
  EXPECT_EQ(read.progress.best_epoch, 1);
  EXPECT_EQ(read.progress.seconds, 12.5);
  EXPECT_EQ(read.progress.data_fingerprint, "0123456789abcdef");
  EXPECT_EQ(read.progress.unreadable.at(0).reason, "truncated");
  EXPECT_TRUE(test::differing_tensors(read.model, written.model).empty());
  EXPECT_TRUE(test::differing_tensors(read.optimizer, written.optimizer).empty());
  EXPECT_TRUE(test::differing_tensors(read.best, written.best).empty());
}

TEST(Checkpoint, StoresTheBestWeightsOnlyWhenTheyAreNotTheCurrentOnes) {
  const test::TempDir folder;
  Checkpoint checkpoint = example();
  checkpoint.position = {.epoch = 1, .batch = 0};
  checkpoint.best = checkpoint.model;
  write_checkpoint(folder / "c.safetensors", checkpoint);
  for (const auto& [name, tensor] : read_safetensors(MappedFile(folder / "c.safetensors").bytes()).tensors) {
    EXPECT_FALSE(name.starts_with("best.")) << name;
  }
  EXPECT_TRUE(test::differing_tensors(read_checkpoint(folder / "c.safetensors").best, checkpoint.model).empty());
}

TEST(Checkpoint, RefusesWeightsThatAreNotFiniteAndKeepsTheOldFile) {
  const test::TempDir folder;
  write_checkpoint(folder / "c.safetensors", example());
  const std::string before = read_text_file(folder / "c.safetensors");
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Checkpoint checkpoint = example();
    checkpoint.model = one_tensor("fc.weight", bad);
    const std::string message = test::message_of(ErrorCategory::kTraining, [&] { write_checkpoint(folder / "c.safetensors", checkpoint); });
    EXPECT_NE(message.find("fc.weight"), std::string::npos) << message;
  }
  EXPECT_EQ(read_text_file(folder / "c.safetensors"), before);
}

TEST(Checkpoint, RefusesWhatIsNoCheckpointNamingTheFile) {
  const test::TempDir folder;
  struct Case {
    const char* name;
    std::function<void(StateDict&)> spoil;
  };
  const std::vector<Case> cases = {
      {"no format", [](StateDict& s) { s.metadata.erase("format"); }},
      {"another version", [](StateDict& s) { s.metadata["format"] = "headstart checkpoint 2"; }},
      {"no run", [](StateDict& s) { s.metadata.erase("run"); }},
      {"run is no JSON", [](StateDict& s) { s.metadata["run"] = "{"; }},
      {"position is no JSON", [](StateDict& s) { s.metadata["position"] = "[1"; }},
      {"position without batch", [](StateDict& s) { s.metadata["position"] = R"({"epoch":1})"; }},
      {"position of another type", [](StateDict& s) { s.metadata["position"] = R"({"epoch":"one"})"; }},
      {"provenance is no object", [](StateDict& s) { s.metadata["provenance"] = "3"; }},
  };
  write_checkpoint(folder / "good.safetensors", example());
  const StateDict good = read_safetensors(MappedFile(folder / "good.safetensors").bytes());
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    StateDict bad = good;
    c.spoil(bad);
    write_safetensors(folder / "bad.safetensors", bad);
    const std::string message = test::message_of(ErrorCategory::kModel, [&] { read_checkpoint(folder / "bad.safetensors"); });
    EXPECT_NE(message.find("bad.safetensors"), std::string::npos) << message;
  }
}

TEST(Checkpoint, RefusesATruncatedFile) {
  const test::TempDir folder;
  write_checkpoint(folder / "c.safetensors", example());
  std::filesystem::resize_file(folder / "c.safetensors", std::filesystem::file_size(folder / "c.safetensors") - 1);
  test::message_of(ErrorCategory::kModel, [&] { read_checkpoint(folder / "c.safetensors"); });
}

}  // namespace
}  // namespace headstart
