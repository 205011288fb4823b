// run.json: a TrainResult without its per-photo predictions.
#include <fmt/format.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "eval/json_text.h"
#include "headstart/error.h"
#include "report/json_values.h"
#include "report/run_files.h"

namespace headstart {
namespace {

// Frozen: a run of another format is refused.
constexpr std::int64_t kFormat = 8;
constexpr std::int64_t kMostPhotos = std::numeric_limits<std::int64_t>::max();
constexpr int kMostCount = std::numeric_limits<int>::max();

std::string path_of(std::string_view where, std::size_t index) { return fmt::format("{}[{}]", where, index); }

const Json& array_member(const Json& object, std::string_view where, const char* name) {
  const Json& value = json_member(object, where, name);
  if (!value.is_array()) refuse_field(name, fmt::format("expected an array, found {}", value.type_name()));
  return value;
}

double number_member(const Json& object, const std::string& where, const char* name) {
  return number_from_json(json_member(object, where, name), where + "." + name);
}

Json epoch_to_json(const EpochRecord& epoch) {
  return {{"epoch", epoch.epoch},
          {"train_loss", number_to_json(epoch.train_loss)},
          {"train_top1", number_to_json(epoch.train_top1)},
          {"validation_loss", number_to_json(epoch.validation_loss)},
          {"validation_top1", number_to_json(epoch.validation_top1)},
          {"lr", number_to_json(epoch.lr)},
          {"seconds", number_to_json(epoch.seconds)},
          {"validation_seconds", number_to_json(epoch.validation_seconds)},
          {"photos_per_second", number_to_json(epoch.photos_per_second)},
          {"loader_wait_share", number_to_json(epoch.loader_wait_share)},
          {"best", epoch.best}};
}

EpochRecord epoch_from_json(const Json& json, const std::string& where, int first) {
  const auto number = [&](const char* name) { return number_member(json, where, name); };
  return {.epoch = static_cast<int>(whole_from_json(json_member(json, where, "epoch"), where + ".epoch", first, kMostCount)),
          .train_loss = number("train_loss"),
          .train_top1 = number("train_top1"),
          .validation_loss = number("validation_loss"),
          .validation_top1 = number("validation_top1"),
          .lr = number("lr"),
          .seconds = number("seconds"),
          .validation_seconds = number("validation_seconds"),
          .photos_per_second = number("photos_per_second"),
          .loader_wait_share = number("loader_wait_share"),
          .best = truth_from_json(json_member(json, where, "best"), where + ".best")};
}

Json head_trial_to_json(const HeadTrial& trial) {
  return {{"penalty", number_to_json(trial.penalty)},
          {"train_loss", number_to_json(trial.train_loss)},
          {"validation_loss", number_to_json(trial.validation_loss)},
          {"validation_top1", number_to_json(trial.validation_top1)},
          {"chosen", trial.chosen}};
}

HeadTrial head_trial_from_json(const Json& json, const std::string& where) {
  const auto number = [&](const char* name) { return number_member(json, where, name); };
  return {.penalty = number("penalty"),
          .train_loss = number("train_loss"),
          .validation_loss = number("validation_loss"),
          .validation_top1 = number("validation_top1"),
          .chosen = truth_from_json(json_member(json, where, "chosen"), where + ".chosen")};
}

Json resize_trial_to_json(const ResizeTrial& trial) {
  return {{"resize", trial.mode == ResizeMode::kSquash ? "squash" : "shorter"},
          {"resize_size", trial.resize_size},
          {"loss", number_to_json(trial.loss)},
          {"top1", number_to_json(trial.top1)},
          {"chosen", trial.chosen}};
}

ResizeTrial resize_trial_from_json(const Json& json, const std::string& where) {
  const std::string mode = text_from_json(json_member(json, where, "resize"), where + ".resize");
  if (mode != "squash" && mode != "shorter") refuse_field(where + ".resize", fmt::format("expected squash or shorter, found '{}'", mode));
  return {.mode = mode == "squash" ? ResizeMode::kSquash : ResizeMode::kShorterSide,
          .resize_size = static_cast<int>(whole_from_json(json_member(json, where, "resize_size"), where + ".resize_size", 1, 1 << 20)),
          .loss = number_member(json, where, "loss"),
          .top1 = number_member(json, where, "top1"),
          .chosen = truth_from_json(json_member(json, where, "chosen"), where + ".chosen")};
}

Json point_to_json(const TrainingPoint& point) {
  return {{"epoch", number_to_json(point.epoch)}, {"loss", number_to_json(point.loss)}, {"top1", number_to_json(point.top1)}};
}

TrainingPoint point_from_json(const Json& json, const std::string& where) {
  return {
      .epoch = number_member(json, where, "epoch"), .loss = number_member(json, where, "loss"), .top1 = number_member(json, where, "top1")};
}

Json problems_to_json(std::span<const Problem> problems) {
  Json json = Json::array();
  for (const Problem& problem : problems) json.push_back({{"path", text_to_json(problem.path)}, {"reason", text_to_json(problem.reason)}});
  return json;
}

std::vector<Problem> problems_from_json(const Json& object, const std::string& where, const char* name) {
  std::vector<Problem> problems;
  for (const Json& one : array_member(object, where, name)) {
    const std::string field = path_of(name, problems.size());
    problems.push_back({.path = text_from_json(json_member(one, field, "path"), field + ".path"),
                        .reason = text_from_json(json_member(one, field, "reason"), field + ".reason")});
  }
  return problems;
}

ClassMetrics class_metrics_from_json(const Json& json, const std::string& where) {
  return {.precision = number_member(json, where, "precision"),
          .recall = number_member(json, where, "recall"),
          .f1 = number_member(json, where, "f1"),
          .support = whole_from_json(json_member(json, where, "support"), where + ".support", 0, kMostPhotos)};
}

Json head_sources_to_json(const TrainResult& result) {
  Json json = Json::array();
  for (std::size_t i = 0; i < result.head_sources.size(); ++i) {
    const HeadSource& source = result.head_sources[i];
    json.push_back({{"class", text_to_json(result.classes[i])}, {"row", source.row}, {"name", text_to_json(source.name)}});
  }
  return json;
}

std::vector<HeadSource> head_sources_from_json(const Json& json, std::size_t classes) {
  std::vector<HeadSource> sources;
  for (const Json& one : json) {
    const std::string field = path_of("head_sources", sources.size());
    sources.push_back({.row = static_cast<int>(whole_from_json(json_member(one, field, "row"), field + ".row", -1, kMostCount)),
                       .name = text_from_json(json_member(one, field, "name"), field + ".name")});
  }
  if (!sources.empty() && sources.size() != classes) {
    refuse_field("head_sources", fmt::format("{} sources for {} classes", sources.size(), classes));
  }
  return sources;
}

std::vector<std::int64_t> confusion_from_json(const Json& rows, std::size_t classes, const std::string& where) {
  std::vector<std::int64_t> confusion;
  if (rows.size() != classes) refuse_field(where, fmt::format("{} rows for {} classes", rows.size(), classes));
  for (std::size_t row = 0; row < rows.size(); ++row) {
    if (!rows[row].is_array() || rows[row].size() != classes) refuse_field(path_of(where, row), "expected one count a class");
    for (const Json& count : rows[row]) confusion.push_back(whole_from_json(count, path_of(where, row), 0, kMostPhotos));
  }
  return confusion;
}

Metrics metrics_from_json(const Json& json, std::size_t classes, const std::string& where) {
  Metrics metrics;
  metrics.photos = whole_from_json(json_member(json, where, "photos"), where + ".photos", 0, kMostPhotos);
  metrics.top1 = number_member(json, where, "top1");
  metrics.top5 = number_member(json, where, "top5");
  metrics.mean_loss = number_member(json, where, "mean_loss");
  metrics.calibration_error = number_member(json, where, "calibration_error");
  const Json& interval = array_member(json, where, "top1_interval");
  if (interval.size() != 2) refuse_field(where + ".top1_interval", "expected two numbers");
  metrics.top1_interval = {.low = number_from_json(interval[0], where + ".top1_interval"),
                           .high = number_from_json(interval[1], where + ".top1_interval")};
  const Json& per_class = array_member(json, where, "per_class");
  if (!per_class.empty() && per_class.size() != classes) {
    refuse_field(where + ".per_class", fmt::format("{} classes, the run has {}", per_class.size(), classes));
  }
  for (std::size_t c = 0; c < per_class.size(); ++c) {
    metrics.per_class.push_back(class_metrics_from_json(per_class[c], path_of(where + ".per_class", c)));
  }
  metrics.macro = class_metrics_from_json(json_member(json, where, "macro"), where + ".macro");
  metrics.confusion = confusion_from_json(array_member(json, where, "confusion"), per_class.size(), where + ".confusion");
  return metrics;
}

// The metrics of a run that is under way are empty: they are written with no classes.
Json evaluation_to_json(const Evaluation& evaluation, std::span<const std::string> classes) {
  const bool scored = !evaluation.metrics.per_class.empty();
  Json json = {{"metrics", Json::parse(metrics_to_json(evaluation.metrics, scored ? classes : std::span<const std::string>()))}};
  json["unreadable"] = problems_to_json(evaluation.unreadable);
  return json;
}

Evaluation evaluation_from_json(const Json& json, std::size_t classes, const std::string& where) {
  Evaluation evaluation;
  evaluation.metrics = metrics_from_json(json_member(json, where, "metrics"), classes, where + ".metrics");
  evaluation.unreadable = problems_from_json(json, where, "unreadable");
  return evaluation;
}

void check_format(const Json& json) {
  const std::int64_t format = whole_from_json(json_member(json, "", "format"), "format", 0, kMostPhotos);
  if (format == kFormat) return;
  throw Error(ErrorCategory::kModel, fmt::format("run.json has format {}, this headstart reads {}; use the headstart that wrote it, or a "
                                                 "newer one",
                                                 format, kFormat));
}

}  // namespace

std::string run_to_json(const TrainResult& result) {
  Json json = {{"format", kFormat}, {"headstart_version", HEADSTART_VERSION}, {"libtorch_version", HEADSTART_LIBTORCH_VERSION}};
  json["options"] = Json::parse(options_to_json(result.options));
  json["classes"] = Json::array();
  for (const std::string& name : result.classes) json["classes"].push_back(text_to_json(name));
  json["head_sources"] = head_sources_to_json(result);
  json["data_fingerprint"] = result.data_fingerprint;
  json["photo_share"] = result.photo_share;
  json["planned_steps"] = result.planned_steps;
  json["best_epoch"] = result.best_epoch;
  json["seconds"] = number_to_json(result.seconds);
  json["model_file"] = text_to_json(result.model_file.string());
  json["report_file"] = text_to_json(result.report_file.string());
  json["head_trials"] = Json::array();
  for (const HeadTrial& trial : result.head_trials) json["head_trials"].push_back(head_trial_to_json(trial));
  json["resize_trials"] = Json::array();
  for (const ResizeTrial& trial : result.resize_trials) json["resize_trials"].push_back(resize_trial_to_json(trial));
  json["start"] = result.start ? epoch_to_json(*result.start) : Json(nullptr);
  json["history"] = Json::array();
  for (const EpochRecord& epoch : result.history) json["history"].push_back(epoch_to_json(epoch));
  json["curve"] = Json::array();
  for (const TrainingPoint& point : result.curve) json["curve"].push_back(point_to_json(point));
  json["temperature"] = number_to_json(result.temperature);
  json["refitted"] = result.refitted;
  json["validation"] = evaluation_to_json(result.validation, result.classes);
  json["test"] = result.test ? evaluation_to_json(*result.test, result.classes) : Json(nullptr);
  json["unreadable"] = problems_to_json(result.unreadable);
  json["problems"] = problems_to_json(result.problems);
  return pretty_json(json) + "\n";
}

TrainResult run_from_json(const std::string& text) {
  const Json json = parse_json_object(text, "run.json");
  check_format(json);
  TrainResult result;
  result.options = options_from_json(json_member(json, "", "options").dump());
  for (const Json& name : array_member(json, "", "classes")) result.classes.push_back(text_from_json(name, "classes"));
  result.head_sources = head_sources_from_json(array_member(json, "", "head_sources"), result.classes.size());
  result.data_fingerprint = text_from_json(json_member(json, "", "data_fingerprint"), "data_fingerprint");
  for (const Json& trial : array_member(json, "", "head_trials")) {
    result.head_trials.push_back(head_trial_from_json(trial, path_of("head_trials", result.head_trials.size())));
  }
  for (const Json& trial : array_member(json, "", "resize_trials")) {
    result.resize_trials.push_back(resize_trial_from_json(trial, path_of("resize_trials", result.resize_trials.size())));
  }
  if (const Json& start = json_member(json, "", "start"); !start.is_null()) result.start = epoch_from_json(start, "start", 0);
  for (const Json& epoch : array_member(json, "", "history")) {
    result.history.push_back(epoch_from_json(epoch, path_of("history", result.history.size()), 1));
  }
  for (const Json& point : array_member(json, "", "curve")) {
    result.curve.push_back(point_from_json(point, path_of("curve", result.curve.size())));
  }
  const auto epochs = static_cast<std::int64_t>(result.history.size());
  result.photo_share = number_from_json(json_member(json, "", "photo_share"), "photo_share");
  if (!(result.photo_share >= 0 && result.photo_share <= 1)) refuse_field("photo_share", "expected a share from 0 to 1");
  result.planned_steps = whole_from_json(json_member(json, "", "planned_steps"), "planned_steps", -1, kMostPhotos);
  result.best_epoch = static_cast<int>(whole_from_json(json_member(json, "", "best_epoch"), "best_epoch", 0, epochs));
  result.seconds = number_from_json(json_member(json, "", "seconds"), "seconds");
  result.model_file = text_from_json(json_member(json, "", "model_file"), "model_file");
  result.report_file = text_from_json(json_member(json, "", "report_file"), "report_file");
  result.temperature = number_from_json(json_member(json, "", "temperature"), "temperature");
  result.refitted = truth_from_json(json_member(json, "", "refitted"), "refitted");
  result.validation = evaluation_from_json(json_member(json, "", "validation"), result.classes.size(), "validation");
  if (const Json& test = json_member(json, "", "test"); !test.is_null()) {
    result.test = evaluation_from_json(test, result.classes.size(), "test");
  }
  result.unreadable = problems_from_json(json, "", "unreadable");
  result.problems = problems_from_json(json, "", "problems");
  return result;
}

}  // namespace headstart
