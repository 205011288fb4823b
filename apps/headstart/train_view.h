// What a person sees of a training: the plan, the curves as they grow, progress, a line an epoch, the outcome.
//
// Thread-safety: as TrainCallbacks: one thread at a time. Ownership: borrows the Console.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "headstart/train.h"
#include "progress.h"
#include "terminal.h"

namespace headstart::cli {

class TrainView {
 public:
  // With a name: nothing but progress, under that name; for one of many runs.
  explicit TrainView(Console& console, std::string only_progress_of = {});
  ~TrainView() { finish(); }
  TrainView(const TrainView&) = delete;
  TrainView& operator=(const TrainView&) = delete;

  TrainCallbacks callbacks();
  // The next of many runs, under its name.
  void begin(std::string only_progress_of);
  // Takes the progress away and leaves the figure on the screen.
  void finish();
  // Empty until the run has a folder.
  const std::filesystem::path& run() const { return run_; }

 private:
  void on_start(const ResolvedOptions& options, const Catalog& catalog);
  void on_stage(Stage stage, std::int64_t done, std::int64_t total);
  void on_step(const StepProgress& step);
  void on_head_fit(const TrainResult& so_far);
  void on_epoch(const EpochRecord& epoch);
  void on_curve(const TrainResult& so_far);
  Progress& progress(const std::string& stage);
  Console& console_;
  std::string only_progress_of_;
  std::optional<Progress> progress_;
  std::filesystem::path run_;
  int epochs_ = 0;
  std::string_view scored_ = "validation";  // what is scored after every epoch
  bool keeps_best_ = true;
};

// The outcome for standard output: accuracies with their intervals, what was skipped, where everything is, what to do next.
std::string outcome_text(const TrainResult& result, const Paint& paint);

}  // namespace headstart::cli
