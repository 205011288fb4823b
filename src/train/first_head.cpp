#include "train/first_head.h"

#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "data/sampler.h"
#include "data/split.h"
#include "headstart/text.h"
#include "train/budget.h"
#include "train/head_init.h"
#include "train/workload.h"

namespace headstart {
namespace {

// Validation photos: from so many on they tell as much alone as with the training photos, and add little to them.
constexpr std::size_t kManyPhotos = 4000;

struct Features {
  FeatureTable train, validation;
};

// Both splits' in the view of the options' preprocessing, however many photos can be read.
Features features_of(Run& run, const Catalog& catalog) {
  FeatureStore& store = run.shared->impl().features;
  const std::int64_t training = feature_views(run.options(), Split::kTrain) * std::ssize(catalog.train);
  const FeatureProgress progress = stage_progress(run.callbacks, training + std::ssize(catalog.validation));
  const auto of = [&](Split split) { return store.table(*run.network, catalog, split, run.options(), progress, run.group); };
  const std::int64_t computed_before = store.computed();
  const Clock::time_point began = Clock::now();
  Features features{.train = of(Split::kTrain), .validation = of(Split::kValidation)};
  const std::int64_t computed = store.computed() - computed_before;
  if (computed > 0) run.scoring_seconds = seconds_since(began) / static_cast<double>(computed);
  return features;
}

// The imbalance option's, in whichever way it weighs the classes later; undefined: 1 each.
at::Tensor weights_of_classes(const Run& run) {
  if (run.options().imbalance == Imbalance::kNone) return {};
  return at::tensor(class_weights(run.catalog.train, static_cast<int>(run.catalog.classes.size())));
}

// `features` must outlive it.
HeadFitPhotos all_photos(const Run& run, const Features& features) {
  return {.train = features.train,
          .validation = &features.validation,
          .class_weights = weights_of_classes(run),
          .known_rows = helpful_rows(run.known_rows, features.train)};
}

Metrics metrics_of(const Run& run, Split split, const FeatureTable& table) {
  const std::vector<ScoredPhoto> photos =
      score_features(*run.network, table, run.catalog.samples(split), std::max<std::int64_t>(std::ssize(table.labels), 1));
  return compute_metrics(photos, static_cast<int>(run.catalog.classes.size()));
}

BudgetTimes times_of(const Run& run) {
  return {.left = run.options().budget - seconds_so_far(run),
          .scored_photo = run.scoring_seconds,
          .processes = run.group.size(),
          .train = feature_views(run.options(), Split::kTrain) * std::ssize(run.catalog.train),
          .validation = std::ssize(run.catalog.validation),
          .test = std::ssize(run.catalog.test)};
}

// Rank 0's clock decides for all.
double of_rank_0(const Group& group, double value) {
  std::vector<double> values = {group.leads() ? value : 0};
  group.sum(values);
  return values.front();
}

// Where not even a head could be fitted to all photos in time: some are timed, and as many are kept as fit. Nothing is fine-tuned then.
void keep_affordable_photos(Run& run) {
  constexpr double kTimedPhotos = 96;
  const std::uint64_t seed = run.options().seed;
  Catalog few = run.catalog;
  keep_share(few, std::min(kTimedPhotos / static_cast<double>(few.train.size()), 1.0), seed);
  few.validation.clear();
  features_of(run, few);
  const double share = of_rank_0(run.group, affordable_share(times_of(run)));
  if (share >= 1) return;
  TrainResult& progress = run.state.progress;
  const std::size_t photos = run.catalog.train.size();
  keep_share(run.catalog, share, seed);
  progress.photo_share = share;
  progress.planned_steps = 0;
  progress.problems.push_back({".", fmt::format("the budget of {} leaves time for {} of {} training photos, and the like of the others: "
                                                "the head is fitted to these",
                                                human_seconds(run.options().budget), run.catalog.train.size(), photos)});
}

// The whole layer (HeadInit::kProbe). Test photos that are scored after every epoch choose no penalty.
Features fit_whole_head(Run& run) {
  const Features features = features_of(run, run.catalog);
  check_unreadable(features.train.unreadable, run.catalog.train.size(), Split::kTrain, run.options());
  check_unreadable(features.validation.unreadable, run.catalog.validation.size(), Split::kValidation, run.options());
  const bool may_choose = run.options().score == EpochScore::kValidation;
  TrainResult& progress = run.state.progress;
  HeadFitPhotos photos = all_photos(run, features);
  if (!may_choose) photos.validation = nullptr;
  progress.head_trials = fit_head(*run.network, photos);
  progress.head_sources = photos.known_rows.sources;
  share_weights(run);
  const Metrics on_train = metrics_of(run, Split::kTrain, features.train),
                held_out = metrics_of(run, Split::kValidation, features.validation);
  progress.start = EpochRecord{.epoch = 0,
                               .train_loss = on_train.mean_loss,
                               .train_top1 = on_train.top1,
                               .validation_loss = held_out.mean_loss,
                               .validation_top1 = held_out.top1,
                               .best = true};
  if (run.callbacks.on_head_fit) run.callbacks.on_head_fit(progress);
  return features;
}

// Whether another head leaves time to score it, in a view that costs `work` times as much as the last one.
bool is_affordable_again(const Run& run, double work) {
  if (run.options().budget <= 0) return true;
  BudgetTimes times = times_of(run);
  times.scored_photo *= work;
  return of_rank_0(run.group, times.left - head_seconds(times) - closing_seconds(times)) > 0;
}

// The ways of showing photos that are tried, in turn: the source model's own; whole photos, squashed into its square; the same in squares a
// seventh and two sevenths larger, which cost 1.3 and 1.65 times as much in every step and prediction, and are often seen better by
// networks that know objects from crops, where they appear larger (Touvron et al. 2019, "Fixing the train-test resolution discrepancy").
std::vector<Preprocessing> views_to_try(const Preprocessing& own) {
  std::vector<Preprocessing> views = {own};
  for (const int sevenths : {7, 8, 9}) {
    Preprocessing whole = own;
    whole.resize_mode = ResizeMode::kSquash;
    whole.resize_size = whole.crop_size = own.crop_size * sevenths / 7;
    views.push_back(whole);
  }
  return views;
}

// What a view is worth, by the head that was just fitted: a few hundred validation photos cannot tell views apart whose losses are 5% from
// each other, all photos together can. Where heads are fitted to augmented views, which look alike in all of the ways tried, the
// validation photos alone tell; and so they do where they are many, as each of the fits takes as long as the first.
LogisticScore judge_view(const Run& run, const Features& features) {
  const TrainResult& progress = run.state.progress;
  if (run.options().views > 0 || features.validation.labels.size() > kManyPhotos) {
    return {.loss = progress.start->validation_loss, .top1 = progress.start->validation_top1};
  }
  return cross_validate_head(*run.network, all_photos(run, features), progress.head_trials);
}

// The layer fitted to photos in each of these views: which of them suits the photos best is a matter of the photos, and costs a pass over
// them each (docs/evidence.md). What is kept is where the loss is lowest: rank 0's, as each rank scores for itself. The largest square is
// tried only where the one before it is the best so far.
void choose_resize(Run& run) {
  const c10::NoGradGuard no_gradients;
  TrainResult& progress = run.state.progress;
  Preprocessing& preprocessing = progress.options.preprocessing;
  const at::Tensor &weight = run.network->head_tensor(ParameterRole::kWeight), &bias = run.network->head_tensor(ParameterRole::kBias);
  at::Tensor best_weight, best_bias;
  TrainResult best;
  std::size_t chosen = 0;
  double scoring_seconds = 0;
  const std::vector<Preprocessing> views = views_to_try(preprocessing);
  for (const Preprocessing& view : views) {
    const std::size_t tried = progress.resize_trials.size();
    if (tried + 1 == views.size() && chosen + 1 != tried) break;
    const double work = std::pow(static_cast<double>(view.crop_size) / preprocessing.crop_size, 2);
    if (best.start && !is_affordable_again(run, work)) break;
    preprocessing = view;
    const LogisticScore score = judge_view(run, fit_whole_head(run));
    progress.resize_trials.push_back({.mode = view.resize_mode, .resize_size = view.resize_size, .loss = score.loss, .top1 = score.top1});
    const bool is_better = !best.start || score.loss < best.resize_trials.back().loss;
    if (!run.group.any(run.group.leads() && is_better)) continue;
    chosen = tried;
    scoring_seconds = run.scoring_seconds;
    best_weight = weight.clone();
    best_bias = bias.clone();
    best = progress;
  }
  run.scoring_seconds = scoring_seconds;
  weight.copy_(best_weight);
  bias.copy_(best_bias);
  best.resize_trials = progress.resize_trials;
  best.resize_trials[chosen].chosen = true;
  progress = std::move(best);
}

// Where not even as many steps fit as it takes to time one.
void leave_out_steps(Run& run) {
  constexpr double kStepShare = 4;  // of scoring a step's photos: from 3 (ResNet-18) to 10 (EfficientNet-Lite0) on processors with bfloat16
  BudgetTimes times = times_of(run);
  times.step = kStepShare * times.scored_photo * run.options().batch_size * run.options().accumulate;
  times.steps_per_epoch = std::max<std::int64_t>(std::ssize(run.catalog.train) / run.options().batch_size, 1);
  const auto steps = static_cast<double>(affordable_steps(times));
  if (of_rank_0(run.group, steps) < kWarmSteps + kTimedSteps) run.state.progress.planned_steps = 0;
}

// The validation photos are a fifth of all that is known: they show how good the model is, and are then learned from. A fine-tuned model
// gets the same change: how gentle steps move the weights hardly depends on the first fit.
void plan_refit(Run& run) {
  if (run.options().refit == Refit::kNone || !run.catalog.validation_was_split_off) return;
  const Features features = features_of(run, run.catalog);
  const std::size_t photos = features.validation.labels.size();
  if (photos == 0 || photos > kManyPhotos || !run.group.leads()) return;
  run.state.refit = refit_gain(*run.network, all_photos(run, features), run.state.progress.head_trials);
}

void fit_asked_head(Run& run) {
  const std::vector<HeadSource>& sources = run.state.progress.head_sources;
  if (run.options().head_init == HeadInit::kProbe) {
    const bool can_tell_views_apart = std::ssize(run.catalog.train) + std::ssize(run.catalog.validation) >= kFewestToJudge;
    if (run.options().choose_resize && can_tell_views_apart) {
      choose_resize(run);
    } else {
      fit_whole_head(run);
    }
    return plan_refit(run);
  }
  const FeatureProgress progress =
      stage_progress(run.callbacks, feature_views(run.options(), Split::kTrain) * std::ssize(run.catalog.train));
  const FeatureTable train =
      checked_features(run.shared->impl().features, *run.network, run.catalog, Split::kTrain, run.options(), progress, run.group);
  fit_head_biases(*run.network, {.train = train, .class_weights = weights_of_classes(run)}, sources);
  share_weights(run);
}

}  // namespace

void share_weights(const Run& run) {
  std::vector<at::Tensor> tensors;
  for (const auto& [name, tensor] : run.network->tensors()) tensors.push_back(tensor);
  run.group.broadcast(tensors);
}

void fit_first_head(Run& run) {
  if (!needs_head_fit(run.options(), run.state.progress.head_sources)) return;
  const bool in_time = run.options().budget > 0;
  if (in_time) keep_affordable_photos(run);
  fit_asked_head(run);
  if (in_time) leave_out_steps(run);
}

}  // namespace headstart
