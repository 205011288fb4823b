// sweep(): the runs of a grid, one after the other, and the file that says how far they are.
#include "headstart/sweep.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/file.h"
#include "headstart/error.h"
#include "headstart/text.h"
#include "report/json_values.h"
#include "report/run_files.h"
#include "train/resolve.h"
#include "train/shared_inputs.h"

namespace headstart {
namespace {

constexpr const char* kState = "sweep.json";
constexpr const char* kReport = "sweep.html";
constexpr int kFormat = 1;

// sweep.json, as far as it is read again: finished runs are found in their folders.
struct State {
  std::vector<SweepAxis> axes;
  ResolvedOptions options;  // of the first case and seed
  std::map<std::string, DivergedError::Place> diverged;
  bool finished = false;
};

// ---- sweep.json

Json to_json(const SweepRun& run) {
  Json json{{"folder", run.folder}, {"seed", run.seed}, {"validation_top1", nullptr}, {"validation_loss", nullptr}};
  if (run.result) {
    json["validation_top1"] = number_to_json(run.result->validation.metrics.top1);
    json["validation_loss"] = number_to_json(run.result->validation.metrics.mean_loss);
  }
  return json;
}

std::string to_json(const State& state, const SweepResult& result) {
  Json json{{"format", kFormat}, {"finished", state.finished}, {"axes", Json::array()}, {"best", nullptr}, {"cases", Json::array()}};
  json["diverged"] = Json::object();
  for (const SweepAxis& axis : state.axes) json["axes"].push_back({{"name", axis.name}, {"values", axis.values}, {"log", axis.log}});
  if (result.best) json["best"] = result.outcomes[*result.best].values;
  for (const SweepOutcome& outcome : result.outcomes) {
    Json runs = Json::array();
    for (const SweepRun& run : outcome.runs) runs.push_back(to_json(run));
    json["cases"].push_back({{"values", outcome.values}, {"runs", std::move(runs)}});
  }
  for (const auto& [folder, place] : state.diverged) {
    json["diverged"][folder] = {{"epoch", place.epoch}, {"step", place.step}, {"lr", number_to_json(place.lr)}};
  }
  json["options"] = Json::parse(options_to_json(state.options));
  return json.dump(1) + "\n";
}

State state_from_json(const std::string& text) {
  const Json json = parse_json_object(text, "the sweep");
  whole_from_json(json_member(json, "", "format"), "format", kFormat, kFormat);
  State state{.axes = {},
              .options = options_from_json(json_member(json, "", "options").dump()),
              .diverged = {},
              .finished = truth_from_json(json_member(json, "", "finished"), "finished")};
  for (const Json& axis : json_member(json, "", "axes")) {
    state.axes.push_back({.name = json_member(axis, "axes", "name").get<std::string>(),
                          .values = json_member(axis, "axes", "values").get<std::vector<std::string>>(),
                          .log = truth_from_json(json_member(axis, "axes", "log"), "axes.log")});
  }
  for (const auto& [folder, place] : json_member(json, "", "diverged").items()) {
    state.diverged[folder] = {.epoch = json_member(place, "diverged", "epoch").get<int>(),
                              .step = json_member(place, "diverged", "step").get<std::int64_t>(),
                              .lr = number_from_json(json_member(place, "diverged", "lr"), "diverged.lr")};
  }
  return state;
}

std::optional<State> read_state(const std::filesystem::path& folder) {
  std::error_code error;
  if (!std::filesystem::exists(folder / kState, error)) return std::nullopt;
  try {
    return state_from_json(read_text_file(folder / kState));
  } catch (const nlohmann::json::exception& damage) {
    throw Error(ErrorCategory::kModel, fmt::format("sweep {}: {} is damaged: {}", folder.string(), kState, damage.what()));
  } catch (const Error& damage) {
    throw Error(damage.category(), fmt::format("sweep {}: {}: {}", folder.string(), kState, damage.what()));
  }
}

// ---- the same sweep or another one

std::vector<std::string> axis_names(const std::vector<SweepAxis>& axes) {
  std::vector<std::string> names;
  for (const SweepAxis& axis : axes) names.push_back(axis.name);
  return names;
}

std::string axes_text(const std::vector<SweepAxis>& axes) {
  std::vector<std::string> parts;
  for (const SweepAxis& axis : axes) parts.push_back(fmt::format("{}={}", axis.name, fmt::join(axis.values, ",")));
  return fmt::format("{}", fmt::join(parts, " "));
}

// Names of what differs between the sweep that a folder holds and the one that is asked for.
std::vector<std::string> differences(const State& stored, const State& wanted, const TrainOptions& asked) {
  std::vector<std::string> differing;
  const std::string before = axes_text(stored.axes), now = axes_text(wanted.axes);
  if (before != now) differing.push_back(fmt::format("the grid (sweep: {}; asked: {})", before, now));
  std::vector<std::string> except = options_left_open(asked);
  for (const std::string& name : axis_names(stored.axes)) except.push_back(name);
  for (const std::string& name : axis_names(wanted.axes)) except.push_back(name);
  for (std::string& option : differing_options(stored.options, wanted.options, except)) differing.push_back(std::move(option));
  return differing;
}

// runs/sweep-<photos>-<n>: the newest when it is this sweep and unfinished, else the first after it.
std::filesystem::path default_folder(const State& wanted, const TrainOptions& asked) {
  int free = 1;
  std::error_code error;
  while (std::filesystem::exists(numbered_run_folder("sweep-", asked.photos, free), error)) ++free;
  if (free > 1) {
    const std::filesystem::path newest = numbered_run_folder("sweep-", asked.photos, free - 1);
    const std::optional<State> stored = read_state(newest);
    if (stored && !stored->finished && differences(*stored, wanted, asked).empty()) return newest;
  }
  return numbered_run_folder("sweep-", asked.photos, free);
}

// ---- the work

void check(const SweepOptions& options) {
  const auto refuse = [](const std::string& why) { throw Error(ErrorCategory::kUsage, "sweep: " + why); };
  if (options.axes.empty() || options.cases.empty()) refuse("there is nothing to vary: name an option and its values");
  if (std::ranges::any_of(options.axes, [](const SweepAxis& axis) { return axis.name == "refit"; })) {
    refuse("option refit cannot be varied: the validation figures, which choose, are from before it");
  }
  if (options.seeds < 1) refuse(fmt::format("seeds must be at least 1, but is {}", options.seeds));
  for (const SweepCase& one : options.cases) {
    if (one.values.size() != options.axes.size()) refuse("every case needs a value of each axis");
    if (one.options.score == EpochScore::kTest) {
      refuse("option score must be validation: with test, the values would be chosen by the photos that the model is judged on");
    }
  }
}

class Sweep {
 public:
  Sweep(const SweepOptions& options, const SweepCallbacks& callbacks)
      : options_(options), callbacks_(callbacks), shared_(options.shared ? options.shared : std::make_shared<SharedInputs>()) {
    check(options_);
    for (SweepCase& one : options_.cases) {
      one.options.score = EpochScore::kValidation;
      one.options.shared = shared_;
      one.options.log = options_.log;
      one.options.out = "runs";  // until the sweep has its folder
      const ResolvedOptions resolved =
          resolve_with_source(one.options, *shared_, callbacks_.training).second;  // refuses what cannot be meant
      if (&one == &options_.cases.front()) state_.options = resolved;
    }
    state_.axes = options_.axes;
    const TrainOptions& asked = options_.cases.front().options;
    result_.out = options_.out.empty() ? default_folder(state_, asked) : options_.out;
    result_.axes = options_.axes;
    if (std::optional<State> stored = read_state(result_.out)) go_on(*std::move(stored), asked);
  }

  SweepResult carry_out() {
    for (const SweepCase& one : options_.cases) result_.outcomes.push_back({.values = one.values, .runs = {}});
    save();  // from here on the folder is this sweep's
    for (std::size_t i = 0; i < options_.cases.size(); ++i) {
      for (int seed = 0; seed < options_.seeds; ++seed) {
        result_.outcomes[i].runs.push_back(run(options_.cases[i], static_cast<std::uint64_t>(seed)));
        save();
      }
    }
    result_.best = best_outcome(result_.outcomes);
    state_.finished = true;
    save();
    write_file_atomically(result_.out / kReport, sweep_to_html(result_));
    return std::move(result_);
  }

 private:
  void go_on(State stored, const TrainOptions& asked) {
    const std::vector<std::string> differing = differences(stored, state_, asked);
    if (!differing.empty()) {
      throw Error(ErrorCategory::kUsage,
                  fmt::format("sweep {}: the folder holds another sweep: {}. Ask for the same again to go on with it, "
                              "or name another folder",
                              result_.out.string(), join_some(differing, differing.size())));
    }
    state_.diverged = std::move(stored.diverged);
  }

  SweepRun run(const SweepCase& one, std::uint64_t offset) {
    TrainOptions options = one.options;
    options.seed += offset;
    SweepRun run{.folder = sweep_run_name(options_.axes, one.values, options.seed), .seed = options.seed, .result = {}, .diverged = {}};
    options.out = result_.out / run.folder;
    if (callbacks_.on_begin) callbacks_.on_begin(one, run.seed);
    if (const auto known = state_.diverged.find(run.folder); known != state_.diverged.end()) {
      run.diverged = known->second;
    } else {
      try {
        run.result = train_or_resume(options, callbacks_.training);
      } catch (const DivergedError& error) {
        run.diverged = state_.diverged[run.folder] = error.place();
      }
    }
    if (callbacks_.on_end) callbacks_.on_end(one, run);
    return run;
  }

  void save() {
    std::error_code error;
    std::filesystem::create_directories(result_.out, error);
    if (error) throw Error(ErrorCategory::kFile, fmt::format("sweep {}: cannot be made: {}", result_.out.string(), error.message()));
    write_file_atomically(result_.out / kState, to_json(state_, result_));
  }

  SweepOptions options_;
  const SweepCallbacks& callbacks_;
  std::shared_ptr<SharedInputs> shared_;
  State state_;
  SweepResult result_;
};

}  // namespace

std::string sweep_run_name(const std::vector<SweepAxis>& axes, const std::vector<std::string>& values, std::uint64_t seed) {
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < axes.size(); ++i) parts.push_back(fmt::format("{}={}", axes[i].name, values[i]));
  return fmt::format("{}-seed{}", fmt::join(parts, ","), seed);
}

SweepResult sweep(const SweepOptions& options, const SweepCallbacks& callbacks) { return Sweep(options, callbacks).carry_out(); }

}  // namespace headstart
