#include "train/run_folder.h"

#include <fmt/format.h>

#include <array>
#include <system_error>

#include "core/file.h"
#include "headstart/compare.h"
#include "headstart/curves.h"
#include "headstart/error.h"
#include "headstart/text.h"
#include "report/html_report.h"
#include "report/run_files.h"
#include "weights/model_file.h"

namespace headstart {
namespace {

// run.json is what makes a folder a run.
constexpr const char* kRun = "run.json";
constexpr const char* kCheckpoint = "checkpoint.safetensors";
constexpr const char* kModel = "model.safetensors";
constexpr const char* kDataset = "dataset.csv";
constexpr const char* kPredictions = "predictions.csv";
constexpr const char* kTestPredictions = "test_predictions.csv";
constexpr const char* kLog = "log.csv";
constexpr const char* kFigureSvg = "figure.svg";
constexpr const char* kFigurePng = "figure.png";

bool is_there(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

// The run's final figures where there are any, else those that were measured after the best epoch.
std::map<std::string, double> model_metrics(const TrainResult& progress) {
  std::map<std::string, double> metrics;
  if (progress.validation.metrics.photos > 0) {
    metrics["validation_top1"] = progress.validation.metrics.top1;
    metrics["validation_loss"] = progress.validation.metrics.mean_loss;
    metrics["validation_calibration_error"] = progress.validation.metrics.calibration_error;
  } else if (const EpochRecord* const kept = kept_record(progress)) {
    metrics["validation_top1"] = kept->validation_top1;
    metrics["validation_loss"] = kept->validation_loss;
  }
  if (progress.test) {
    metrics["test_top1"] = progress.test->metrics.top1;
    metrics["test_loss"] = progress.test->metrics.mean_loss;
    metrics["test_calibration_error"] = progress.test->metrics.calibration_error;
  }
  return metrics;
}

ModelInfo model_info(const Checkpoint& run) {
  const ResolvedOptions& options = run.progress.options;
  ModelInfo info{.architecture = options.architecture,
                 .classes = run.progress.classes,
                 .preprocessing = options.preprocessing,
                 .temperature = run.progress.temperature,
                 .metrics = model_metrics(run.progress),
                 .provenance = run.provenance};
  info.provenance["headstart_version"] = HEADSTART_VERSION;
  info.provenance["date"] = utc_timestamp();
  info.provenance["seed"] = std::to_string(options.seed);
  info.provenance["recipe"] = recipe_word(options.recipe);
  info.provenance["epoch"] = std::to_string(run.progress.best_epoch);
  if (run.progress.refitted) info.provenance["refit"] = "the output layer was fitted to the validation photos too, after they were scored";
  info.provenance["data_fingerprint"] = run.progress.data_fingerprint;
  return info;
}

}  // namespace

RunFolder RunFolder::create(const std::filesystem::path& folder) {
  for (const char* const name : {kRun, kCheckpoint, kModel}) {
    if (!is_there(folder / name)) continue;
    throw Error(ErrorCategory::kUsage, fmt::format("run folder {}: it holds a run already ({}); go on with it by --resume, or name another "
                                                   "folder by --out",
                                                   folder.string(), name));
  }
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw Error(ErrorCategory::kFile, fmt::format("run folder {}: cannot be made: {}", folder.string(), error.message()));
  return RunFolder(folder);
}

bool RunFolder::holds_run(const std::filesystem::path& folder) { return is_there(folder / kRun); }

RunFolder RunFolder::open(const std::filesystem::path& folder) {
  if (!holds_run(folder)) {
    throw Error(ErrorCategory::kUsage, fmt::format("run folder {}: there is no run to go on with (no {})", folder.string(), kRun));
  }
  return RunFolder(folder);
}

void RunFolder::begin(const TrainResult& progress, const Catalog& catalog) const {
  write_file_atomically(folder_ / kDataset, dataset_to_csv(catalog));
  write_file_atomically(folder_ / kRun, run_to_json(progress));
}

void RunFolder::save_model(const Checkpoint& run, const StateDict& best) const { write_model_file(model_file(), model_info(run), best); }

void RunFolder::save_checkpoint(const Checkpoint& checkpoint) const { write_checkpoint(folder_ / kCheckpoint, checkpoint); }

void RunFolder::save_progress(const TrainResult& progress) const {
  write_file_atomically(folder_ / kLog, log_to_csv(progress.history, progress.curve));
  write_file_atomically(folder_ / kRun, run_to_json(progress));
}

void RunFolder::finish(const Checkpoint& run, const Catalog& catalog) const {
  const TrainResult& result = run.progress;
  save_model(run, run.best);
  write_file_atomically(folder_ / kPredictions, predictions_to_csv(result.validation.photos, result.classes));
  if (result.test) write_file_atomically(folder_ / kTestPredictions, predictions_to_csv(result.test->photos, result.classes));
  save_figure(result);
  write_file_atomically(report_file(), html_report(result, catalog.root, &catalog));
  save_progress(result);
  std::error_code ignored;  // without one there is nothing to remove
  std::filesystem::remove(folder_ / kFrozenOutputs, ignored);
}

// The book's figure. Without an epoch there is none.
void RunFolder::save_figure(const TrainResult& result) const {
  if (result.history.empty()) return;
  const Curves curves = curves_of(result);
  write_file_atomically(folder_ / kFigureSvg, curves_svg(curves));
  const std::vector<std::byte> png = encode_png(curves_png_rgb(curves));
  write_file_atomically(folder_ / kFigurePng, {reinterpret_cast<const char*>(png.data()), png.size()});
}

Checkpoint RunFolder::read() const {
  if (is_there(folder_ / kCheckpoint)) return read_checkpoint(folder_ / kCheckpoint);
  Checkpoint start;
  start.progress = run_from_json(read_text_file(folder_ / kRun));
  return start;
}

// The final validation is filled in last of all, when everything else is on disk.
std::optional<TrainResult> RunFolder::finished() const {
  TrainResult result = run_from_json(read_text_file(folder_ / kRun));
  if (result.validation.metrics.photos == 0) return std::nullopt;
  result.validation.photos = predictions_from_csv(read_text_file(folder_ / kPredictions), result.classes.size());
  if (result.test && is_there(folder_ / kTestPredictions)) {  // runs of older versions have none
    result.test->photos = predictions_from_csv(read_text_file(folder_ / kTestPredictions), result.classes.size());
  }
  result.options.out = folder_;
  result.model_file = model_file();
  result.report_file = report_file();
  return result;
}

std::string RunFolder::dataset_csv() const { return read_text_file(folder_ / kDataset); }

}  // namespace headstart
