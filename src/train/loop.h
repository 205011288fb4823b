// The training loop: epochs of steps, each epoch validated, recorded and saved.
//
// Thread-safety: one thread. Errors: kTraining (NaN or infinite loss), kData (unreadable photos), kFile (saving), kInterrupted (stopped;
// a checkpoint of the last step is saved).
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "headstart/train.h"
#include "model/network.h"
#include "train/checkpoint.h"
#include "train/head_init.h"
#include "train/optimizer.h"
#include "train/run_folder.h"
#include "train/schedule.h"
#include "train/weight_average.h"
#include "train/workload.h"

namespace headstart {

using Clock = std::chrono::steady_clock;
inline double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// A run under way. `state` is what a checkpoint holds, but for the tensors of network and optimizer, which live in these.
struct Run {
  Checkpoint state;
  Catalog catalog;
  RunFolder folder;
  TrainCallbacks callbacks;
  Group group = {};  // whose ranks take every step together
  std::shared_ptr<SharedInputs> shared;
  std::unique_ptr<Network> network;
  KnownRows known_rows;  // may help the first fit; none from the first checkpoint on
  std::unique_ptr<Workload> workload;
  std::unique_ptr<Optimizer> optimizer;
  std::optional<WeightAverage> average;
  Schedule schedule;
  at::Tensor class_weights;  // float32 [classes], or undefined
  Clock::time_point sitting_began;
  Clock::time_point last_saved;
  double seconds_before = 0;     // of earlier sittings
  double scoring_seconds = 0;    // a photo, reading included; 0: not known
  std::int64_t timed_steps = 0;  // steps of this sitting since `timed_from`, for the budget
  Clock::time_point timed_from;
  bool best_unsaved = false;  // state.best is newer than the model file

  const ResolvedOptions& options() const { return state.progress.options; }
};
inline double seconds_so_far(const Run& run) { return run.seconds_before + seconds_since(run.sitting_began); }

// Why a run's training is over.
enum class Ending {
  kNotYet,
  kAllEpochs,
  kNothingToGain,  // Recipe::kAuto: the fitted head names every validation photo
  kTooFewToJudge,  // Recipe::kAuto: fewer validation photos than kFewestToJudge
  kOutOfPatience,
  kOutOfBudget,
};
Ending ending(const Run& run);
// "", but for the endings that a person may wonder about.
std::string ending_text(const Run& run);

// Trains from state.position until it is over. Leaves the best weights in state.best.
void fit(Run& run);

// One optimizer step on the photos of `batches`, the shares of all ranks, as if they were one batch. Adds to the sums; throws
// Error(kTraining) before the weights are touched when the loss is not finite, Error(kData) when too many photos cannot be read.
void train_step(Run& run, std::span<const LearningBatch> batches, double lr);

}  // namespace headstart
