// Runs that must end with the same bytes, however they came there.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>

#include "core/file.h"
#include "headstart/train.h"
#include "tiny_run.h"
#include "train/checkpoint.h"

namespace headstart::test {

inline void expect_equal_runs(const std::filesystem::path& a, const std::filesystem::path& b) {
  EXPECT_TRUE(differing_tensors(read_model_tensors(a), read_model_tensors(b)).empty());
  const Checkpoint first = read_checkpoint(a / "checkpoint.safetensors"), second = read_checkpoint(b / "checkpoint.safetensors");
  EXPECT_TRUE(differing_tensors(first.model, second.model).empty());
  EXPECT_TRUE(differing_tensors(first.optimizer, second.optimizer).empty());
  EXPECT_TRUE(differing_tensors(first.best, second.best).empty());
  ASSERT_EQ(first.progress.history.size(), second.progress.history.size());
  EXPECT_EQ(first.progress.best_epoch, second.progress.best_epoch);
  for (std::size_t i = 0; i < first.progress.history.size(); ++i) {
    EXPECT_EQ(first.progress.history[i].train_loss, second.progress.history[i].train_loss);
    EXPECT_EQ(first.progress.history[i].train_top1, second.progress.history[i].train_top1);
    EXPECT_EQ(first.progress.history[i].validation_loss, second.progress.history[i].validation_loss);
  }
  EXPECT_EQ(read_text_file(a / "predictions.csv"), read_text_file(b / "predictions.csv"));
}

// Trains to `steps` steps, then goes on in further sittings of as many.
inline void train_in_sittings(const TrainOptions& options, int steps) {
  message_of(ErrorCategory::kInterrupted, [&] { train(options, stop_after(steps)); });
  for (int sittings = 0; sittings < 100; ++sittings) {
    try {
      resume_training({.run = options.out, .shared = options.shared}, stop_after(steps));
      return;
    } catch (const Error& error) {
      ASSERT_EQ(error.category(), ErrorCategory::kInterrupted) << error.what();
    }
  }
  FAIL() << "the run does not come to its end";
}

}  // namespace headstart::test
