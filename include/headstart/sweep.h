// Sweeps: the same training over a grid of values, to see which suits the photos and where training diverges.
//
// The sweep's folder holds a run folder a case and seed ("lr=0.01-seed0"), sweep.json (the state, rewritten after every run) and
// sweep.html. The runs share their inputs (SharedInputs). Validation accuracy chooses the best case; the test photos choose nothing, so a
// recipe that scores them after every epoch is scored by validation photos here. A case that diverges is a result. Thread-safety: as
// train(). Errors: as train(), but for DivergedError; kUsage naming what differs when the folder holds another sweep.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "headstart/train.h"

namespace headstart {

// What is varied: a name and the text of each value, in the order of the table.
struct SweepAxis {
  std::string name;  // as in run.json where it is an option: "lr"
  std::vector<std::string> values;
  bool log = false;  // drawn over a logarithmic axis; all values are positive numbers
};

// One combination of values.
struct SweepCase {
  std::vector<std::string> values;  // one of each axis
  TrainOptions options;             // `seed` is the first seed; `out`, `shared` and `log` are the sweep's
};

struct SweepOptions {
  std::vector<SweepAxis> axes;
  std::vector<SweepCase> cases;  // at least one, of the same photos
  int seeds = 1;                 // runs a case, with seeds one after the other
  std::filesystem::path out;     // empty: runs/sweep-<photos>-<n>, the last one when it is this sweep and unfinished, else the next free n
  std::shared_ptr<SharedInputs> shared;  // empty: the sweep's own
  LogSink log;
};

struct SweepRun {
  std::string folder;  // below SweepResult::out
  std::uint64_t seed = 0;
  std::optional<TrainResult> result;             // unless it diverged
  std::optional<DivergedError::Place> diverged;  // where it did
};

struct SweepOutcome {
  std::vector<std::string> values;
  std::vector<SweepRun> runs;  // a seed each
};

struct SweepResult {
  std::filesystem::path out;
  std::vector<SweepAxis> axes;
  std::vector<SweepOutcome> outcomes;  // a case each, in order
  std::optional<std::size_t> best;     // index of the outcome; none when every case diverged
};

struct SweepCallbacks {
  std::function<void(const SweepCase&, std::uint64_t seed)> on_begin;  // of every run, also one that was finished earlier
  std::function<void(const SweepCase&, const SweepRun&)> on_end;
  TrainCallbacks training;
};

// Carries out what is not finished yet, case by case, and writes the report. An interrupted sweep goes on when called again.
SweepResult sweep(const SweepOptions& options, const SweepCallbacks& callbacks = {});

// The name of a run's folder: "lr=0.01,momentum=0.9-seed0".
std::string sweep_run_name(const std::vector<SweepAxis>& axes, const std::vector<std::string>& values, std::uint64_t seed);

// The case with the highest mean validation accuracy over its seeds (ties: the lower mean loss) among those of which no run diverged.
std::optional<std::size_t> best_outcome(const std::vector<SweepOutcome>& outcomes);

// What diverged, a sentence a line: "diverges from lr 0.3 on", with the other axes' values where there are several axes.
std::vector<std::string> divergences(const SweepResult& result);

// `count` values (2 or more) from `low` to `high`, evenly spaced, or by equal factors; those between the ends are rounded to three digits.
std::vector<double> linear_values(double low, double high, int count);
std::vector<double> log_values(double low, double high, int count);

// Aligned text for a terminal: a row a case, the best one marked, and below what diverged and which is best.
std::string sweep_to_text(const SweepResult& result);
// One self-contained page: accuracy against the value, and the table.
std::string sweep_to_html(const SweepResult& result);

}  // namespace headstart
