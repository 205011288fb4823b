// The training loop: epochs of steps, each epoch validated, recorded and saved.
//
// Thread-safety: one thread. Errors: kTraining (NaN or infinite loss), kData (unreadable photos), kFile (saving), kInterrupted (stopped;
// a checkpoint of the last step is saved).
#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <vector>

#include "headstart/train.h"
#include "model/network.h"
#include "train/checkpoint.h"
#include "train/optimizer.h"
#include "train/run_folder.h"
#include "train/schedule.h"
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
  std::unique_ptr<Workload> workload;
  std::unique_ptr<Optimizer> optimizer;
  Schedule schedule;
  at::Tensor class_weights;  // float32 [classes], or undefined
  Clock::time_point sitting_began;
  Clock::time_point last_saved;
  double seconds_before = 0;  // of earlier sittings
  bool best_unsaved = false;  // state.best is newer than the model file

  const ResolvedOptions& options() const { return state.progress.options; }
};

// Trains from state.position until all epochs are done. Leaves the best weights in state.best.
void fit(Run& run);

// One optimizer step on the photos of `batches`, the shares of all ranks, as if they were one batch. Adds to the sums; throws
// Error(kTraining) before the weights are touched when the loss is not finite, Error(kData) when too many photos cannot be read.
void train_step(Run& run, std::span<const LearningBatch> batches, double lr);

}  // namespace headstart
