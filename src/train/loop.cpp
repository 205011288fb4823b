#include "train/loop.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "headstart/error.h"
#include "headstart/evaluate.h"
#include "headstart/text.h"
#include "train/budget.h"

namespace headstart {
namespace {

// The same answer on every rank, so that all of them stop after the same step.
bool stop_asked(const Run& run) { return run.group.any(run.callbacks.should_stop && run.callbacks.should_stop()); }

// ---- steps

std::int64_t current_step(const Run& run) {
  const Position& position = run.state.position;
  return position.epoch * run.schedule.steps_per_epoch + position.batch / run.options().accumulate;
}

// The batches of one optimizer step; empty at the end of the epoch.
std::vector<LearningBatch> next_batches(Workload& workload, int accumulate) {
  std::vector<LearningBatch> batches;
  while (static_cast<int>(batches.size()) < accumulate) {
    std::optional<LearningBatch> batch = workload.next();
    if (!batch) break;
    batches.push_back(std::move(*batch));
  }
  return batches;
}

// 1 a photo, or the weights of their classes.
double loss_weight(const Run& run, const LearningBatch& batch) {
  if (!run.class_weights.defined() || batch.count == 0) return static_cast<double>(batch.count);
  return run.class_weights.index_select(0, batch.labels).sum(at::kDouble).item<double>();
}

[[noreturn]] void report_divergence(const Run& run, double loss, double lr) {
  const DivergedError::Place place{.epoch = run.state.position.epoch + 1, .step = current_step(run) + 1, .lr = lr};
  throw DivergedError(
      fmt::format("training diverged: the loss is {} in epoch {} at step {} with lr {:.3g}; the last checkpoint is kept. Try a lower lr "
                  "(a tenth), a longer warm-up, clip_norm 1{}",
                  loss, place.epoch, place.step, lr, run.options().precision == Precision::kBFloat16 ? ", or float32" : ""),
      place);
}

void report_step(const Run& run, double epoch_seconds) {
  if (!run.callbacks.on_step) return;
  const EpochSums& sums = run.state.sums;
  const double photos = static_cast<double>(std::max<std::int64_t>(sums.photos, 1));
  run.callbacks.on_step({.epoch = run.state.position.epoch + 1,
                         .epochs = run.options().epochs,
                         .photos_done = sums.requested,
                         .photos_total = static_cast<std::int64_t>(run.catalog.train.size()),
                         .train_loss = sums.weight > 0 ? sums.loss / sums.weight : 0,
                         .train_top1 = static_cast<double>(sums.correct) / photos,
                         .photos_per_second = epoch_seconds > 0 ? static_cast<double>(sums.photos) / epoch_seconds : 0});
}

// The book's rhythm: a point after every fifth of an epoch's steps (rounded down), and one at its end.
void extend_curve(Run& run) {
  constexpr std::int64_t kPointsPerEpoch = 5;
  const EpochSums& sums = run.state.sums;
  const std::int64_t steps = run.schedule.steps_per_epoch, accumulate = run.options().accumulate;
  const std::int64_t done = (run.state.position.batch + accumulate - 1) / accumulate;
  const bool is_due = done == steps || done % std::max<std::int64_t>(steps / kPointsPerEpoch, 1) == 0;
  if (!is_due || sums.photos == 0) return;
  run.state.progress.curve.push_back({.epoch = run.state.position.epoch + static_cast<double>(done) / static_cast<double>(steps),
                                      .loss = sums.loss / sums.weight,
                                      .top1 = static_cast<double>(sums.correct) / static_cast<double>(sums.photos)});
  if (run.callbacks.on_curve) run.callbacks.on_curve(run.state.progress);
}

// Once a few steps were timed, the first two of them aside, the budget's remaining time becomes a number of steps: from then on the run is
// as determined as any other, and is resumed as such.
void plan_for_budget(Run& run) {
  if (run.options().budget <= 0 || run.state.progress.planned_steps >= 0) return;
  if (++run.timed_steps == kWarmSteps) run.timed_from = Clock::now();
  if (run.timed_steps < kWarmSteps + kTimedSteps) return;
  const double step = seconds_since(run.timed_from) / kTimedSteps;
  const double photos = static_cast<double>(run.options().batch_size) * run.options().accumulate;
  constexpr double kScoringShare = 0.4;  // of a training step, where nothing was scored yet
  std::vector<double> steps = {
      static_cast<double>(affordable_steps({.left = run.options().budget - seconds_so_far(run),
                                            .step = step,
                                            .scored_photo = run.scoring_seconds > 0 ? run.scoring_seconds : kScoringShare * step / photos,
                                            .processes = run.group.size(),
                                            .validation = std::ssize(run.catalog.validation),
                                            .test = std::ssize(run.catalog.test),
                                            .steps_per_epoch = run.schedule.steps_per_epoch}))};
  if (!run.group.leads()) steps = {0};
  run.group.sum(steps);  // rank 0's
  run.state.progress.planned_steps = current_step(run) + static_cast<std::int64_t>(steps.front());
  run.schedule = make_schedule(run.options(), std::ssize(run.catalog.train), run.state.progress.planned_steps);
}

// The steps of the epoch under way, from where it stands. Throws Error(kInterrupted) between two steps, everything in the state.
void train_epoch(Run& run) {
  EpochSums& sums = run.state.sums;
  const Clock::time_point start = Clock::now();
  const double seconds_before = sums.seconds, wait_before = sums.wait_seconds;
  run.workload->start(static_cast<std::uint32_t>(run.state.position.epoch), run.state.position.batch, run.callbacks);
  while (!stop_asked(run)) {
    if (ending(run) == Ending::kOutOfBudget) return;
    const std::vector<LearningBatch> batches = next_batches(*run.workload, run.options().accumulate);
    if (batches.empty()) return;
    train_step(run, batches, learning_rate(run.schedule, current_step(run)));
    run.state.position.batch += static_cast<std::int64_t>(batches.size());
    extend_curve(run);
    sums.seconds = seconds_before + seconds_since(start);
    sums.wait_seconds = wait_before + run.workload->wait_seconds();
    report_step(run, sums.seconds);
    plan_for_budget(run);
  }
  throw Error(ErrorCategory::kInterrupted, "stopped between two steps");
}

// ---- between epochs

// Better accuracy, or at equal accuracy the lower loss.
bool beats_best(const Run& run, const EpochRecord& record) {
  const EpochRecord* const best = kept_record(run.state.progress);
  if (best == nullptr) return true;
  if (record.validation_top1 != best->validation_top1) return record.validation_top1 > best->validation_top1;
  return record.validation_loss < best->validation_loss;
}

// Of the weights that would be shipped: the averages, where there are any.
EpochRecord validate_epoch(Run& run) {
  const EpochSums& sums = run.state.sums;
  const Clock::time_point start = Clock::now();
  const ScoredSamples scored = run.workload->validate(run.callbacks);
  check_unreadable(scored.unreadable, run.catalog.validation.size(), Split::kValidation, run.options());
  const Metrics metrics = compute_metrics(scored.photos, static_cast<int>(run.catalog.classes.size()));
  const std::int64_t last_step = std::min((run.state.position.epoch + 1) * run.schedule.steps_per_epoch, run.schedule.total_steps) - 1;
  const double lr = learning_rate(run.schedule, std::max<std::int64_t>(last_step, 0));
  if (!std::isfinite(metrics.mean_loss)) report_divergence(run, metrics.mean_loss, lr);
  add_unreadable(run.state.progress.unreadable, scored.unreadable);
  const double photos = static_cast<double>(std::max<std::int64_t>(sums.photos, 1));
  return {.epoch = run.state.position.epoch + 1,
          .train_loss = sums.weight > 0 ? sums.loss / sums.weight : 0,
          .train_top1 = static_cast<double>(sums.correct) / photos,
          .validation_loss = metrics.mean_loss,
          .validation_top1 = metrics.top1,
          .lr = lr,
          .seconds = sums.seconds,
          .validation_seconds = seconds_since(start),
          .photos_per_second = sums.seconds > 0 ? static_cast<double>(sums.photos) / sums.seconds : 0,
          .loader_wait_share = sums.seconds > 0 ? sums.wait_seconds / sums.seconds : 0};
}

// Exchanges the weights with their averages for as long as it lives.
class AveragesInPlace {
 public:
  explicit AveragesInPlace(std::optional<WeightAverage>& average) : average_(average) {
    if (average_) average_->swap();
  }
  ~AveragesInPlace() {
    if (average_) average_->swap();
  }
  AveragesInPlace(const AveragesInPlace&) = delete;
  AveragesInPlace& operator=(const AveragesInPlace&) = delete;

 private:
  std::optional<WeightAverage>& average_;
};

// Validates, and keeps the weights where they are the best so far.
EpochRecord judge_epoch(Run& run) {
  const AveragesInPlace averages(run.average);
  EpochRecord record = validate_epoch(run);
  record.best = run.options().keep == Keep::kLast || beats_best(run, record);
  if (record.best) {
    run.state.best = run.network->state();
    run.best_unsaved = true;
  }
  return record;
}

// The model file before the checkpoint: a kill between the two repeats some steps, and writes the same model file again.
void save(Run& run) {
  if (!run.group.leads()) return;
  if (std::exchange(run.best_unsaved, false)) run.folder.save_model(run.state, run.state.best);
  Checkpoint checkpoint = run.state;
  add_unreadable(checkpoint.progress.unreadable, run.workload->skipped());
  checkpoint.progress.seconds = seconds_so_far(run);
  checkpoint.model = run.network->state();
  checkpoint.optimizer = run.optimizer->state();
  if (run.average) checkpoint.average = run.average->state();
  try {
    run.folder.save_checkpoint(checkpoint);
  } catch (const Error& error) {  // weights that are not finite: a gradient overflowed after a finite loss
    if (error.category() != ErrorCategory::kTraining) throw;
    const std::int64_t steps = current_step(run);
    throw DivergedError(error.what(), {.epoch = std::max(run.state.position.epoch, 1),
                                       .step = steps,
                                       .lr = learning_rate(run.schedule, std::max<std::int64_t>(steps - 1, 0))});
  }
  run.folder.save_progress(checkpoint.progress);
  run.last_saved = Clock::now();
}

// Epochs on stored features take fractions of a second: saving each would cost more than training.
bool due_for_saving(const Run& run) {
  constexpr double kSecondsBetween = 10;
  const bool first_or_last = run.state.position.epoch == 1 || run.state.position.epoch == run.options().epochs;
  return run.options().recipe != Recipe::kHead || first_or_last || seconds_since(run.last_saved) >= kSecondsBetween;
}

void finish_epoch(Run& run, const EpochRecord& record) {
  Checkpoint& state = run.state;
  add_unreadable(state.progress.unreadable, run.workload->skipped());
  state.progress.history.push_back(record);
  if (record.best) state.progress.best_epoch = record.epoch;
  state.position = {.epoch = record.epoch, .batch = 0};
  state.sums = {};
  if (due_for_saving(run)) save(run);
  if (run.callbacks.on_curve) run.callbacks.on_curve(state.progress);
  if (run.callbacks.on_epoch) run.callbacks.on_epoch(record);
}

// ---- parts of a step

// Fills in how many photos of each batch all ranks have together; returns the weight of all of them in the loss.
double share_counts(const Run& run, std::vector<LearningBatch>& batches) {
  std::vector<double> counts = {0};
  for (const LearningBatch& batch : batches) {
    counts.front() += loss_weight(run, batch);
    counts.push_back(static_cast<double>(batch.count));
  }
  run.group.sum(counts);
  for (std::size_t i = 0; i < batches.size(); ++i) batches[i].group_count = static_cast<std::int64_t>(counts[i + 1]);
  return counts.front();
}

// Adds the batch's gradients to those of the step, and its loss and answers to the sums.
void learn(Run& run, const LearningBatch& batch, double weight, EpochSums& step) {
  const at::Tensor logits = run.workload->logits(batch);
  const at::Tensor labels = batch.count > 0 ? batch.labels : at::empty({0}, logits.options().dtype(at::kLong));
  const at::Tensor loss =
      at::cross_entropy_loss(logits, labels, run.class_weights, at::Reduction::Sum, /*ignore_index=*/-100, run.options().label_smoothing);
  (run.options().loss == LossReduction::kSum ? loss : loss / weight).backward();
  step.loss += loss.item<double>();
  if (batch.count > 0) step.correct += logits.argmax(1).eq(labels).sum().item<std::int64_t>();
}

void sum_over_ranks(const Group& group, EpochSums& step) {
  std::array<double, 4> values = {step.loss, static_cast<double>(step.correct), static_cast<double>(step.photos),
                                  static_cast<double>(step.requested)};
  group.sum(values);
  step.loss = values[0];
  step.correct = static_cast<std::int64_t>(values[1]);
  step.photos = static_cast<std::int64_t>(values[2]);
  step.requested = static_cast<std::int64_t>(values[3]);
}

// The photos that no rank could read so far.
void note_skipped(Run& run) {
  const std::vector<Problem> skipped = gather_problems(run.group, run.workload->skipped());
  add_unreadable(run.state.progress.unreadable, skipped);
  check_unreadable(skipped, run.catalog.train.size(), Split::kTrain, run.options());
}

[[noreturn]] void stop(Run& run) {
  save(run);
  throw Error(ErrorCategory::kInterrupted,
              fmt::format("training was stopped in epoch {} of {}; the run in {} can be resumed",
                          std::min(run.state.position.epoch + 1, run.options().epochs), run.options().epochs, run.folder.path().string()));
}

}  // namespace

Ending ending(const Run& run) {
  const ResolvedOptions& options = run.options();
  const TrainResult& progress = run.state.progress;
  if (run.state.position.epoch >= options.epochs) return Ending::kAllEpochs;
  if (options.recipe == Recipe::kAuto && progress.start) {
    if (progress.start->validation_top1 >= 1) return Ending::kNothingToGain;
    if (std::ssize(run.catalog.validation) < kFewestToJudge) return Ending::kTooFewToJudge;
  }
  if (progress.planned_steps >= 0 && current_step(run) >= progress.planned_steps) return Ending::kOutOfBudget;
  const bool between_epochs = run.state.position.batch == 0;
  if (between_epochs && options.patience > 0 && run.state.position.epoch - progress.best_epoch >= options.patience) {
    return Ending::kOutOfPatience;
  }
  return Ending::kNotYet;
}

std::string ending_text(const Run& run) {
  const int epochs = run.state.position.epoch;
  switch (ending(run)) {
    case Ending::kNothingToGain:
      return "the fitted head names every validation photo right: it is the model, nothing was fine-tuned";
    case Ending::kTooFewToJudge:
      return fmt::format(
          "{} validation photos are too few to tell whether fine-tuning pays (from {} on): the fitted head is the model. More "
          "photos help most; the recipe finetune trains all layers all the same",
          run.catalog.validation.size(), kFewestToJudge);
    case Ending::kOutOfPatience:
      return fmt::format("fine-tuning ended after epoch {}: no better one since {}", epochs,
                         run.state.progress.best_epoch == 0 ? "the fitted head" : fmt::format("epoch {}", run.state.progress.best_epoch));
    case Ending::kOutOfBudget:
      return fmt::format("the budget of {} allowed {} steps", human_seconds(run.options().budget), run.state.progress.planned_steps);
    case Ending::kAllEpochs:
    case Ending::kNotYet:
      break;
  }
  return "";
}

void fit(Run& run) {
  if (run.best_unsaved && run.state.position.epoch == 0 && run.state.position.batch == 0) save(run);  // usable from here on
  while (ending(run) == Ending::kNotYet) {
    EpochRecord record;
    try {
      train_epoch(run);
      record = judge_epoch(run);
    } catch (const Error& error) {
      if (error.category() != ErrorCategory::kInterrupted) throw;
      stop(run);
    }
    finish_epoch(run, record);
  }
}

// Losses, gradients and counts are sums over photos, so it does not matter which rank has which of them, or none.
void train_step(Run& run, std::span<const LearningBatch> asked, double lr) {
  std::vector<LearningBatch> batches(asked.begin(), asked.end());
  const double weight = share_counts(run, batches);
  EpochSums step;
  for (const LearningBatch& batch : batches) {
    step.requested += batch.requested;
    step.photos += batch.count;
    const bool everyone = shares_statistics(run.options(), run.group) && batch.group_count > 0;
    if (batch.count > 0 || everyone) learn(run, batch, weight, step);
  }
  sum_over_ranks(run.group, step);
  if (!std::isfinite(step.loss)) report_divergence(run, step.loss, lr);
  EpochSums& sums = run.state.sums;
  sums.loss += step.loss;
  sums.weight += weight;
  sums.correct += step.correct;
  sums.photos += step.photos;
  sums.requested += step.requested;
  if (step.photos < step.requested) note_skipped(run);
  if (weight == 0) return;  // not one of the photos could be read
  run.group.sum_gradients(run.network->parameters());
  if (run.options().clip_norm > 0) run.optimizer->clip_gradients(run.options().clip_norm);
  run.optimizer->step(lr);
  if (run.average) run.average->update();
}

}  // namespace headstart
