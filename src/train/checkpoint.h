// checkpoint.safetensors: everything that a run needs to go on, in one atomic file.
//
// Tensors "model.*" (published names), "optimizer.*", "average.*" where weights are averaged and, when the best epoch is not the weights of
// "model.*", "best.*"; "refit.*" where a refit of the output layer is due at the end. Metadata: format, the run so far (options, history,
// best epoch, seed, data fingerprint, skipped photos) and the position in it. Random draws are counter-based and the learning rate is a
// function of the position, so neither has state of its own. docs/decisions/0003-checkpoints.md. Thread-safety: free functions on different
// paths. Errors: kFile (disk), kModel (damaged, or not a checkpoint).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "headstart/train.h"
#include "weights/state_dict.h"

namespace headstart {

// Between two optimizer steps. At the end of an epoch's steps, before its validation, `batch` is the number of its batches.
struct Position {
  int epoch = 0;           // epochs that are finished, validation included
  std::int64_t batch = 0;  // next batch of the epoch under way
  friend bool operator==(const Position&, const Position&) = default;
};

// Running sums over the epoch under way.
struct EpochSums {
  double loss = 0;             // of weight * loss
  double weight = 0;           // 1 a photo, or its class's weight
  std::int64_t correct = 0;    // photos named right
  std::int64_t photos = 0;     // photos seen
  std::int64_t requested = 0;  // photos asked for: seen plus unreadable
  double seconds = 0;          // wall clock of the steps, over all sittings
  double wait_seconds = 0;     // of these, waiting for photos
  friend bool operator==(const EpochSums&, const EpochSums&) = default;
};

struct Checkpoint {
  TrainResult progress;  // without per-photo predictions; `seconds` so far
  Position position;
  EpochSums sums;
  std::map<std::string, std::string> provenance;  // of the source model
  StateDict model;
  StateDict optimizer;
  StateDict average;  // of the weights over the steps; empty where none is kept
  StateDict best;     // weights of progress.best_epoch; empty before the first epoch is finished
  StateDict refit;    // what is to be added to the output layer's in the end (Refit::kHead); empty: nothing
};

// Of the weights that are kept so far: the best epoch's, or those that a fit gave before the first step; nullptr before there are any.
const EpochRecord* kept_record(const TrainResult& progress);

// Refuses, with Error(kTraining), weights that are not finite: they are no state to go on from.
void write_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint);
Checkpoint read_checkpoint(const std::filesystem::path& path);

// The file's contents, for the ranks that do not see the run folder.
std::string checkpoint_bytes(const Checkpoint& checkpoint);
Checkpoint checkpoint_from_bytes(const std::string& bytes);

}  // namespace headstart
