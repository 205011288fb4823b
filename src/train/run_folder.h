// The run folder: which file is written when. Every file is there whole or not at all, so a kill at any instant leaves a run to go on with.
//
//   before the first step   dataset.csv, then run.json (from here on the folder holds a run)
//   at each new best epoch  model.safetensors
//   after every epoch       checkpoint.safetensors, then log.csv and run.json
//   on a stop               checkpoint.safetensors
//   while it trains         frozen_outputs.cache, where the outputs of frozen stages need more than their share of memory; gone at the end
//   at the end              model.safetensors (with the final figures), predictions.csv, test_predictions.csv, figure.svg, figure.png,
//                           report.html, log.csv, and last run.json
//
// Only the checkpoint and, without one, the first run.json and dataset.csv are read to go on; the rest is written again.
// Thread-safety: one thread. Errors: kUsage (folder taken, no run in it), kFile.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "headstart/train.h"
#include "train/checkpoint.h"
#include "weights/state_dict.h"

namespace headstart {

class RunFolder {
 public:
  static constexpr const char* kFrozenOutputs = "frozen_outputs.cache";

  // A new run: makes the folder; refuses one that holds a run or a model already.
  static RunFolder create(const std::filesystem::path& folder);
  static bool holds_run(const std::filesystem::path& folder);
  // A run that was begun: refuses a folder without one.
  static RunFolder open(const std::filesystem::path& folder);

  // The folder of a run that another process looks after: nothing is read or written.
  static RunFolder elsewhere(const std::filesystem::path& folder) { return RunFolder(folder); }

  void begin(const TrainResult& progress, const Catalog& catalog) const;
  void save_model(const Checkpoint& run, const StateDict& best) const;
  void save_checkpoint(const Checkpoint& checkpoint) const;
  void save_progress(const TrainResult& progress) const;
  void finish(const Checkpoint& run, const Catalog& catalog) const;

  // The run so far: the last checkpoint, or where there is none yet the state before the first step, without tensors.
  Checkpoint read() const;
  // The result of a finished run, with the predictions of its photos; nothing for one under way.
  std::optional<TrainResult> finished() const;
  // As the photos were when the run began.
  std::string dataset_csv() const;

  const std::filesystem::path& path() const { return folder_; }
  std::filesystem::path model_file() const { return folder_ / "model.safetensors"; }
  std::filesystem::path report_file() const { return folder_ / "report.html"; }

 private:
  void save_figure(const TrainResult& result) const;
  explicit RunFolder(std::filesystem::path folder) : folder_(std::move(folder)) {}
  std::filesystem::path folder_;
};

}  // namespace headstart
