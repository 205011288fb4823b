// train() and resume_training(): the table of contents of a run.
#include "headstart/train.h"

#include <ATen/Parallel.h>
#include <ATen/ops/tensor.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <utility>

#include "data/sampler.h"
#include "data/split.h"
#include "eval/calibration.h"
#include "headstart/error.h"
#include "headstart/text.h"
#include "model/memory.h"
#include "report/run_files.h"
#include "train/agree.h"
#include "train/first_head.h"
#include "train/head_init.h"
#include "train/loop.h"
#include "train/resolve.h"
#include "train/shared_inputs.h"
#include "train/source.h"

namespace headstart {
namespace {

// A model file holds its class names as JSON: better to know before training than after.
void expect_utf8_names(const Catalog& catalog) {
  for (const std::string& name : catalog.classes) {
    if (valid_utf8(name) == name) continue;
    throw Error(ErrorCategory::kData,
                fmt::format("training: the class folder \"{}\" has a name that is no valid UTF-8; rename it", valid_utf8(name)));
  }
}

// The book's way: no photo is set aside, the test photos are scored after every epoch. Photos of a validation folder are left out.
void score_test_instead(Catalog& catalog) {
  if (catalog.test.empty()) {
    throw Error(ErrorCategory::kData, fmt::format("training: {} has no test folder, whose photos are to be scored after every epoch; add "
                                                  "one, or choose score validation",
                                                  catalog.root.string()));
  }
  if (catalog.validation_was_split_off) {
    catalog.train.insert(catalog.train.end(), catalog.validation.begin(), catalog.validation.end());
    std::sort(catalog.train.begin(), catalog.train.end(), [](const Sample& a, const Sample& b) { return a.path < b.path; });
    catalog.validation_was_split_off = false;
  }
  catalog.validation = std::exchange(catalog.test, {});
}

Catalog scan(const ResolvedOptions& options, SharedInputs& shared, const TrainCallbacks& callbacks) {
  if (callbacks.on_stage) callbacks.on_stage(Stage::kScan, 0, 0);
  Catalog catalog = shared.impl().catalog(options.photos, {.validation_fraction = options.validation_fraction, .seed = options.seed});
  if (options.score == EpochScore::kTest) score_test_instead(catalog);
  if (catalog.train.empty() || catalog.validation.empty()) {
    throw Error(ErrorCategory::kData,
                fmt::format("training: {} has {} training and {} validation photos; both are needed, at least two photos a class",
                            options.photos.string(), catalog.train.size(), catalog.validation.size()));
  }
  expect_utf8_names(catalog);
  const auto photos = static_cast<std::int64_t>(catalog.train.size() + catalog.validation.size() + catalog.test.size());
  if (callbacks.on_stage) callbacks.on_stage(Stage::kScan, photos, photos);
  return catalog;
}

// A class that is many times smaller than another hides behind a good accuracy.
void warn_of_imbalance(const Catalog& catalog, const LogSink& log) {
  constexpr std::int64_t kTimes = 10;
  std::vector<std::int64_t> photos(catalog.classes.size());
  for (const Sample& sample : catalog.train) ++photos[static_cast<std::size_t>(sample.label)];
  const auto [least, most] = std::minmax_element(photos.begin(), photos.end());
  if (*least == 0 || *most < kTimes * *least) return;
  const auto name = [&](auto place) { return catalog.classes[static_cast<std::size_t>(place - photos.begin())]; };
  log(LogLevel::kWarning,
      fmt::format(
          "class {} has {} training photos, {} has {}: accuracy alone hides how well the small one is named, its recall does not. More "
          "photos of it help most; imbalance class-weights or balanced-sampler weighs the classes equally",
          name(least), *least, name(most), *most));
}

Checkpoint first_state(const ResolvedOptions& options, const Source& source, const Catalog& catalog) {
  Checkpoint state;
  state.provenance = source.provenance;
  state.progress.options = options;
  state.progress.classes = catalog.classes;
  state.progress.problems = catalog.problems;
  state.progress.data_fingerprint = fingerprint(catalog);
  return state;
}

// The network as it starts is the model, until an epoch is better.
void keep_first_weights(Run& run) {
  run.state.best = run.network->state();
  run.best_unsaved = true;
}

// Everything between the weights and the first step: what is trained, the features of the head recipe, the output layer's fit, optimizer
// and schedule.
void prepare(Run& run) {
  const ResolvedOptions& options = run.options();
  const bool is_new = run.state.model.tensors.empty();
  run.seconds_before = run.state.progress.seconds;
  run.best_unsaved = !run.state.best.tensors.empty();  // whatever the model file holds, the checkpoint knows better
  if (run.callbacks.on_start) run.callbacks.on_start(options, run.catalog);
  const at::Device device(options.device);
  run.network->to(device);
  run.group.add_device(device);
  share_weights(run);
  if (is_new) fit_first_head(run);
  run.workload = make_workload(*run.network, run.catalog, run.options(), run.shared->impl(), run.callbacks, run.group);
  if (is_new && (run.state.progress.start || options.epochs == 0)) keep_first_weights(run);
  run.optimizer = std::make_unique<Optimizer>(run.network->parameters(), optimizer_options(options));
  if (options.weight_average > 0) {
    run.average.emplace(run.network->parameters(), options.weight_average);
    if (!run.state.average.tensors.empty()) run.average->load(run.state.average);
  }
  if (!run.state.optimizer.tensors.empty()) run.optimizer->load(run.state.optimizer);
  run.state.model = run.state.optimizer = run.state.average = {};  // from here on they live in the network and the optimizer
  run.schedule = make_schedule(options, std::ssize(run.catalog.train), run.state.progress.planned_steps);
  if (options.imbalance == Imbalance::kClassWeights) {
    const int classes = static_cast<int>(run.catalog.classes.size());
    run.class_weights = at::tensor(class_weights(run.catalog.train, classes)).to(at::Device(options.device));
  }
}

// The model file as it is shipped, in float32 as `headstart eval` does.
Evaluation score_by_model_file(const Run& run, Split split, const EvaluateOptions& options) {
  const Classifier classifier =
      Classifier::open(run.folder.model_file(), {.device = run.options().device, .threads = run.options().threads});
  return evaluate(classifier, run.catalog, split, options);
}

// The same answers with the recipe head, whose backbone is the source's: the features of photos are those that other runs share.
Evaluation score_by_features(Run& run, Split split, const EvaluateOptions& options) {
  run.network->load(run.state.best, /*with_head=*/true);
  ResolvedOptions shipped = run.options();
  shipped.precision = Precision::kFloat32;
  const std::vector<Sample>& samples = run.catalog.samples(split);
  std::int64_t done = 0;
  const auto advance = [&](std::int64_t photos) { options.on_progress(done += photos, std::ssize(samples)); };
  const FeatureTable table = run.shared->impl().features.table(*run.network, run.catalog, split, shipped,
                                                               {.advance = advance, .should_stop = options.should_stop}, run.group);
  Evaluation evaluation{
      .metrics = {}, .photos = score_features(*run.network, table, samples, options.batch_size), .unreadable = table.unreadable};
  if (evaluation.photos.empty()) {
    throw Error(ErrorCategory::kData, fmt::format("none of the {} {} photos could be read", samples.size(), to_string(split)));
  }
  evaluation.metrics = compute_metrics(evaluation.photos, static_cast<int>(run.catalog.classes.size()));
  return evaluation;
}

// A split scored with the weights in run.state.best, which the model file holds.
Evaluation score_shipped(Run& run, Split split) {
  const Stage stage = split == Split::kTest ? Stage::kTest : Stage::kValidate;
  const auto on_progress = [&](std::int64_t done, std::int64_t total) {
    if (run.callbacks.on_stage) run.callbacks.on_stage(stage, done, total);
  };
  const EvaluateOptions options{.on_progress = on_progress, .should_stop = run.callbacks.should_stop};
  return run.options().recipe == Recipe::kHead ? score_by_features(run, split, options) : score_by_model_file(run, split, options);
}

// The test photos are seen here for the first and only time.
std::optional<Evaluation> test_shipped(Run& run, const LogSink& log) {
  if (run.catalog.test.empty()) return std::nullopt;
  try {
    return score_shipped(run, Split::kTest);
  } catch (const Error& error) {
    if (error.category() != ErrorCategory::kData) throw;
    if (log) log(LogLevel::kWarning, error.what());
    return std::nullopt;
  }
}

// The model's final figures: the validation photos', what these teach, the test photos'. A model file that an earlier sitting finished
// holds a temperature already: it is written anew without one, as what is scored must be what the temperature is fitted to.
void score_best(Run& run, const LogSink& log) {
  TrainResult& result = run.state.progress;
  result.temperature = 1;
  run.folder.save_model(run.state, run.state.best);
  run.best_unsaved = false;
  Evaluation validation = score_shipped(run, Split::kValidation);
  const double temperature = run.options().score == EpochScore::kValidation ? fit_temperature(validation.photos) : 1;
  apply_temperature(validation, temperature);
  result.refitted = !run.state.refit.tensors.empty();
  if (result.refitted) {
    add_refit_gain(run.state.best, run.state.refit);
    run.folder.save_model(run.state, run.state.best);
  }
  result.test = test_shipped(run, log);
  if (result.test) {
    apply_temperature(*result.test, temperature);
    add_unreadable(result.unreadable, result.test->unreadable);
  }
  result.temperature = temperature;
  result.validation = std::move(validation);
}

TrainResult carry_out(Run& run, const LogSink& log) {
  prepare(run);
  if (run.options().recipe == Recipe::kHead) {
    // The features are there; a head is trained in less time than its gradients would travel.
    if (!run.group.leads()) return std::move(run.state.progress);
    run.group = Group();
  }
  fit(run);
  if (const std::string why = ending_text(run); log && !why.empty()) log(LogLevel::kInfo, why);
  if (!run.group.leads()) return std::move(run.state.progress);
  score_best(run, log);
  if (run.callbacks.on_stage) run.callbacks.on_stage(Stage::kReport, 0, 1);
  TrainResult& result = run.state.progress;
  result.seconds = run.seconds_before + seconds_since(run.sitting_began);
  result.model_file = run.folder.model_file();
  result.report_file = run.folder.report_file();
  run.folder.finish(run.state, run.catalog);
  if (run.callbacks.on_stage) run.callbacks.on_stage(Stage::kReport, 1, 1);
  return std::move(result);
}

// `differing` as from differing_options().
void refuse_other_options(const std::filesystem::path& run, const std::vector<std::string>& differing) {
  if (differing.empty()) return;
  throw Error(ErrorCategory::kUsage,
              fmt::format("resume {}: the run was begun with other options: {}. Leave them out to go on with the run's "
                          "own, or begin a new run",
                          run.string(), join_some(differing, differing.size())));
}

void refuse_changed_photos(const RunFolder& folder, const std::string& fingerprint_then, const Catalog& now) {
  if (fingerprint(now) == fingerprint_then) return;
  throw Error(ErrorCategory::kData,
              fmt::format("resume {}: the photos in {} are not those that the run was begun with: {}. Put them back, or begin a new run",
                          folder.path().string(), now.root.string(), join_some(dataset_changes(folder.dataset_csv(), now), 8)));
}

struct StartingPoint {
  std::unique_ptr<Network> network;
  KnownRows known_rows;
};

// What the run begins with. The output rows that it takes from the source were chosen when the run was begun.
StartingPoint first_network(const Source& source, const TrainResult& progress) {
  StartingPoint start{.network = make_target_network(source, static_cast<std::int64_t>(progress.classes.size()), progress.options),
                      .known_rows = {}};
  if (progress.options.head_init == HeadInit::kClass) copy_head_rows(*start.network, source, progress.head_sources);
  if (progress.options.head_init == HeadInit::kProbe) start.known_rows = known_rows(*start.network, source, progress.head_sources);
  return start;
}

// The run's network: from the checkpoint, or before the first checkpoint from the source again.
StartingPoint network_of(Checkpoint& state, SharedInputs& shared, const TrainCallbacks& callbacks, const LogSink& log) {
  const ResolvedOptions& options = state.progress.options;
  if (!state.model.tensors.empty()) {
    const Architecture& architecture = find_architecture(options.architecture);
    const auto classes = static_cast<std::int64_t>(state.progress.classes.size());
    std::unique_ptr<Network> network = architecture.make(architecture, classes, at::kCPU);
    network->load(state.model, /*with_head=*/true);
    return {.network = std::move(network), .known_rows = {}};
  }
  const SourceRequest request{.model = options.model,
                              .architecture = options.architecture,
                              .scratch = options.scratch,
                              .log = log,
                              .should_stop = callbacks.should_stop};
  const std::shared_ptr<const Source> kept = shared.impl().source(request);
  const Source& source = *kept;
  if (source.sha256 != options.model_sha256) {
    throw Error(ErrorCategory::kModel, fmt::format("resume {}: the source weights {} have changed: expected SHA-256 {}, found {}",
                                                   options.out.string(), options.model, options.model_sha256, source.sha256));
  }
  state.provenance = source.provenance;
  return first_network(source, state.progress);
}

// Options that may differ between two sittings of a run: where things are, not what is computed.
void move_run(ResolvedOptions& options, const ResumeOptions& asked) {
  options.out = std::filesystem::absolute(asked.run);
  if (asked.photos) options.photos = std::filesystem::absolute(*asked.photos);
  const int processes = asked.distributed ? asked.distributed->world_size : 1;
  if (processes != options.processes) {
    if (asked.log) {
      asked.log(LogLevel::kWarning,
                fmt::format("the run was begun with {} process{} and goes on with {}: it will not be bit-equal to one that "
                            "was never stopped",
                            options.processes, options.processes == 1 ? "" : "es", processes));
    }
    options.processes = processes;
    options.threads = rank_threads(0, asked.distributed);
  }
  if (!asked.device && !asked.distributed) return;
  // Of several devices the run names rank 0's.
  const std::string same = at::Device(options.device).is_cpu() ? "cpu" : "cuda";
  const std::string device = rank_device(asked.device.value_or(same), asked.distributed).str();
  if (asked.device && device != options.device && asked.log) {
    asked.log(LogLevel::kWarning,
              fmt::format("the run was begun on {} and goes on on {}: it will not be bit-equal to one that was never stopped",
                          options.device, device));
  }
  options.device = device;
}

// Only rank 0 needs to see the folder.
Checkpoint shared_checkpoint(const Group& group, const RunFolder& folder) {
  if (group.alone()) return folder.read();
  return checkpoint_from_bytes(group.broadcast(group.leads() ? checkpoint_bytes(folder.read()) : std::string()));
}

TrainResult begin(const TrainOptions& asked, const TrainCallbacks& callbacks, const Group& group) {
  const Clock::time_point began = Clock::now();
  const std::shared_ptr<SharedInputs> shared = shared_or_own(asked.shared);
  auto [source, options] = resolve_with_source(asked, *shared, callbacks);
  at::set_num_threads(options.threads);
  Catalog catalog = scan(options, *shared, callbacks);
  agree_on(group, options, catalog);
  if (asked.log && group.leads() && options.imbalance == Imbalance::kNone) warn_of_imbalance(catalog, asked.log);
  Checkpoint state = first_state(options, *source, catalog);
  if (options.head_init == HeadInit::kClass || options.head_init == HeadInit::kProbe) {
    state.progress.head_sources = match_classes(catalog.classes, *source, options.head_class, options.head_init);
  }
  if (options.head_init == HeadInit::kClass && asked.log) {
    asked.log(LogLevel::kInfo, matches_text(catalog.classes, state.progress.head_sources, source->classes.size()));
  }
  StartingPoint start = first_network(*source, state.progress);
  const RunFolder folder = group.leads() ? RunFolder::create(options.out) : RunFolder::elsewhere(options.out);
  if (group.leads()) folder.begin(state.progress, catalog);
  Run run{.state = state,
          .catalog = std::move(catalog),
          .folder = folder,
          .callbacks = callbacks,
          .group = group,
          .shared = shared,
          .network = std::move(start.network),
          .known_rows = std::move(start.known_rows)};
  run.sitting_began = began;
  return carry_out(run, asked.log);
}

// Names of the run's options that differ from what the caller insists on.
using Differing = std::function<std::vector<std::string>(const ResolvedOptions& run)>;

TrainResult go_on(const ResumeOptions& asked, const TrainCallbacks& callbacks, const Group& group, const Differing& differing) {
  const Clock::time_point began = Clock::now();
  const std::filesystem::path out = std::filesystem::absolute(asked.run);
  const RunFolder folder = group.leads() ? RunFolder::open(out) : RunFolder::elsewhere(out);
  Checkpoint state = shared_checkpoint(group, folder);
  refuse_other_options(out, differing(state.progress.options));
  const std::optional<TrainResult> finished = group.leads() ? folder.finished() : std::nullopt;
  if (group.any(finished.has_value())) return finished.value_or(state.progress);
  move_run(state.progress.options, asked);
  at::set_num_threads(state.progress.options.threads);
  const std::shared_ptr<SharedInputs> shared = shared_or_own(asked.shared);
  Catalog catalog = scan(state.progress.options, *shared, callbacks);
  if (group.leads()) refuse_changed_photos(folder, state.progress.data_fingerprint, catalog);
  agree_on(group, state.progress.options, catalog);
  if (state.progress.photo_share < 1) keep_share(catalog, state.progress.photo_share, state.progress.options.seed);
  StartingPoint start = network_of(state, *shared, callbacks, asked.log);
  Run run{.state = std::move(state),
          .catalog = std::move(catalog),
          .folder = folder,
          .callbacks = callbacks,
          .group = group,
          .shared = shared,
          .network = std::move(start.network),
          .known_rows = std::move(start.known_rows)};
  run.sitting_began = began;
  return carry_out(run, asked.log);
}

TrainResult begin_or_go_on(const TrainOptions& asked, const TrainCallbacks& callbacks, const Group& group) {
  const bool is_there = group.leads() && !asked.out.empty() && RunFolder::holds_run(asked.out);
  if (!group.any(is_there)) return begin(asked, callbacks, group);
  const std::shared_ptr<SharedInputs> shared = shared_or_own(asked.shared);
  const ResolvedOptions wanted = resolve_with_source(asked, *shared, callbacks).second;
  ResumeOptions resume{
      .run = asked.out, .expected = {}, .photos = {}, .device = {}, .distributed = asked.distributed, .shared = shared, .log = asked.log};
  if (asked.device != "auto") resume.device = asked.device;
  return go_on(resume, callbacks, group,
               [&](const ResolvedOptions& run) { return differing_options(run, wanted, options_left_open(asked)); });
}

// LibTorch's own exceptions and failed allocations become ours at the border.
template <typename Work>
TrainResult with_engine_errors(const Work& work) {
  try {
    return work();
  } catch (const c10::OutOfMemoryError& error) {
    throw Error(ErrorCategory::kDevice, fmt::format("training: the device ran out of memory; try a smaller batch_size with accumulate: {}",
                                                    error.what_without_backtrace()));
  } catch (const c10::Error& error) {
    throw Error(ErrorCategory::kDevice, fmt::format("training: LibTorch failed: {}", error.what_without_backtrace()));
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCategory::kDevice, "training: memory ran out; try a smaller batch_size with accumulate");
  }
}

// A stop that any rank asks for reaches all of them, and so does the reason for which one fails.
template <typename Work>
TrainResult in_group(const std::optional<Distributed>& where, TrainCallbacks callbacks, const Work& work) {
  keep_large_tensors();
  const Group group = where ? Group(*where, callbacks.should_stop) : Group();
  callbacks.should_stop = group.shared_stop(callbacks.should_stop);
  try {
    TrainResult result = with_engine_errors([&] { return work(group, callbacks); });
    group.finish(callbacks.should_stop);
    release_unused_memory();
    return result;
  } catch (const Error& error) {
    group.fail(error);
  }
}

}  // namespace

TrainResult train(const TrainOptions& options, const TrainCallbacks& callbacks) {
  return in_group(options.distributed, callbacks,
                  [&](const Group& group, const TrainCallbacks& shared) { return begin(options, shared, group); });
}

ResolvedOptions resolve(const TrainOptions& options) { return resolve_with_source(options, *shared_or_own(options.shared), {}).second; }

TrainResult train_or_resume(const TrainOptions& options, const TrainCallbacks& callbacks) {
  return in_group(options.distributed, callbacks,
                  [&](const Group& group, const TrainCallbacks& shared) { return begin_or_go_on(options, shared, group); });
}

TrainResult resume_training(const ResumeOptions& options, const TrainCallbacks& callbacks) {
  return in_group(options.distributed, callbacks, [&](const Group& group, const TrainCallbacks& shared) {
    return go_on(options, shared, group, [&](const ResolvedOptions& run) { return differing_options(run, options.expected); });
  });
}

}  // namespace headstart
