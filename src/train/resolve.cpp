#include "train/resolve.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include "core/thread_pool.h"
#include "headstart/error.h"
#include "train/frozen_prefix.h"

namespace headstart {

std::filesystem::path numbered_run_folder(std::string_view prefix, const std::filesystem::path& photos, int n) {
  std::filesystem::path name = std::filesystem::absolute(photos).lexically_normal();
  if (!name.has_filename()) name = name.parent_path();  // "photos/" names the folder "photos"
  return std::filesystem::path("runs") / fmt::format("{}{}-{}", prefix, name.filename().string(), n);
}

namespace {

template <typename T>
void expect(bool holds, std::string_view option, std::string_view range, const T& value) {
  if (holds) return;
  throw Error(ErrorCategory::kUsage, fmt::format("training: option {} must be {}, but is {}", option, range, value));
}

void check_schedule(const TrainOptions& o) {
  if (o.epochs) expect(*o.epochs >= 0 && *o.epochs <= 100'000, "epochs", "from 0 to 100000", *o.epochs);
  if (o.batch_size) expect(*o.batch_size >= 1 && *o.batch_size <= 65'536, "batch_size", "from 1 to 65536", *o.batch_size);
  if (o.lr) expect(std::isfinite(*o.lr) && *o.lr > 0, "lr", "positive", *o.lr);
  if (o.head_lr_multiplier) {
    expect(std::isfinite(*o.head_lr_multiplier) && *o.head_lr_multiplier > 0, "head_lr_multiplier", "positive", *o.head_lr_multiplier);
  }
  if (o.warmup_epochs) expect(std::isfinite(*o.warmup_epochs) && *o.warmup_epochs >= 0, "warmup_epochs", "0 or more", *o.warmup_epochs);
  if (o.stage_lr_decay) expect(*o.stage_lr_decay > 0 && *o.stage_lr_decay <= 1, "stage_lr_decay", "in (0, 1]", *o.stage_lr_decay);
  if (o.weight_average) expect(*o.weight_average >= 0 && *o.weight_average < 1, "weight_average", "in [0, 1)", *o.weight_average);
  if (o.patience) expect(*o.patience >= 0, "patience", "0 (never) or more", *o.patience);
  expect(std::isfinite(o.budget) && o.budget >= 0, "budget", "a number of seconds, 0 for none", o.budget);
  if (o.momentum) expect(*o.momentum >= 0 && *o.momentum < 1, "momentum", "in [0, 1)", *o.momentum);
  if (o.weight_decay) expect(std::isfinite(*o.weight_decay) && *o.weight_decay >= 0, "weight_decay", "0 or more", *o.weight_decay);
  expect(o.label_smoothing >= 0 && o.label_smoothing < 1, "label_smoothing", "in [0, 1)", o.label_smoothing);
  expect(o.accumulate >= 1 && o.accumulate <= 65'536, "accumulate", "from 1 to 65536", o.accumulate);
  if (o.views) expect(*o.views >= 0 && *o.views <= 10'000, "views", "from 0 (a new one each epoch) to 10000", *o.views);
  expect(std::isfinite(o.clip_norm) && o.clip_norm >= 0, "clip_norm", "0 (no clipping) or more", o.clip_norm);
}

void check_pixels(const TrainOptions& o) {
  const Augmentation a = o.augmentation.value_or(Augmentation{});
  expect(a.min_area > 0 && a.min_area <= 1, "min_area", "in (0, 1]", a.min_area);
  expect(a.max_area >= a.min_area && a.max_area <= 1, "max_area", "from min_area to 1", a.max_area);
  expect(std::isfinite(a.min_aspect) && a.min_aspect > 0, "min_aspect", "positive", a.min_aspect);
  expect(std::isfinite(a.max_aspect) && a.max_aspect >= a.min_aspect, "max_aspect", "min_aspect or more", a.max_aspect);
  expect(a.flip_probability >= 0 && a.flip_probability <= 1, "flip_probability", "in [0, 1]", a.flip_probability);
  if (!o.preprocessing) return;
  const Preprocessing& p = *o.preprocessing;
  expect(p.crop_size >= 1 && p.crop_size <= 4096, "crop_size", "from 1 to 4096", p.crop_size);
  expect(p.resize_size >= 1 && p.resize_size <= 16'384, "resize_size", "from 1 to 16384", p.resize_size);
  for (const float std : p.std) expect(std::isfinite(std) && std > 0, "std", "positive", std);
}

// The recipe head trains its layer by steps where it is asked for anything that only steps have.
RecipeDefaults defaults_for(const TrainOptions& o, std::string_view architecture) {
  RecipeDefaults defaults = recipe_defaults(o.recipe, architecture, o.scratch);
  if (o.recipe != Recipe::kHead || o.head_init.value_or(HeadInit::kProbe) != HeadInit::kProbe) return defaults;
  const bool by_steps = o.epochs.value_or(0) > 0 || o.batch_size || o.lr || o.warmup_epochs || o.optimizer || o.momentum ||
                        o.weight_decay || o.decay || o.loss || o.schedule || o.head_bias || o.keep || o.label_smoothing > 0 ||
                        o.accumulate > 1 || o.clip_norm > 0;
  if (!by_steps) {
    defaults.head_init = HeadInit::kProbe;
    defaults.epochs = 0;
  }
  return defaults;
}

// The bias and the weight of a copied or fitted row belong together.
void check_head(const TrainOptions& o) {
  const HeadInit init = o.head_init.value_or(defaults_for(o, "").head_init);
  const bool from_elsewhere = init == HeadInit::kClass || init == HeadInit::kProbe;
  if (!o.head_class.empty() && !from_elsewhere) {
    throw Error(ErrorCategory::kUsage,
                fmt::format("training: option head_class ({}) belongs to head_init class or probe: add one of these, or leave it out",
                            o.head_class.begin()->first));
  }
  if (from_elsewhere && o.head_bias) {
    throw Error(ErrorCategory::kUsage,
                "training: option head_bias has no meaning with head_init class or probe, whose rows bring their own bias: leave it out");
  }
  if (from_elsewhere && o.scratch) {
    throw Error(ErrorCategory::kUsage,
                "training: head_init class and probe build on what the source model has learned, of which scratch takes nothing: leave out "
                "one of the two");
  }
}

void check_frozen_stages(const TrainOptions& o) {
  if (o.freeze_until.empty()) return;
  const auto refuse = [&o](std::string_view why) {
    throw Error(ErrorCategory::kUsage,
                fmt::format("training: option freeze_until ({}) has no meaning with {}: leave out one of the two", o.freeze_until, why));
  };
  if (o.recipe == Recipe::kHead) refuse("the recipe head, which trains nothing but the output layer");
  if (o.scratch) refuse("scratch, whose first stages have learned nothing");
  if (o.budget > 0 && o.views.value_or(0) > 0) {
    refuse("a budget and views together: epochs whose views are computed take longer than the steps that the plan is made from");
  }
}

void check_combinations(const TrainOptions& o) {
  check_head(o);
  check_frozen_stages(o);
  if (o.optimizer == OptimizerKind::kAdamW && o.momentum) {
    throw Error(ErrorCategory::kUsage,
                fmt::format("training: option momentum ({}) belongs to SGD; AdamW has none: leave it out", *o.momentum));
  }
  if (o.budget > 0 && o.recipe != Recipe::kAuto) {
    throw Error(ErrorCategory::kUsage,
                "training: option budget belongs to the recipe auto, which plans its time: leave out one of the two");
  }
  if (o.recipe != Recipe::kHead) return;
  if (o.scratch) {
    throw Error(ErrorCategory::kUsage,
                "training: the recipe head trains nothing but the output layer, so with scratch there would be nothing that was learned: "
                "choose another recipe");
  }
  if (o.head_lr_multiplier.value_or(1) != 1) {
    throw Error(ErrorCategory::kUsage,
                fmt::format("training: option head_lr_multiplier ({}) has no meaning with the recipe head, whose lr is "
                            "the head's own: leave it out",
                            *o.head_lr_multiplier));
  }
  if (o.batch_norm.value_or(BatchNormPolicy::kFrozen) != BatchNormPolicy::kFrozen) {
    throw Error(ErrorCategory::kUsage,
                "training: option batch_norm must be frozen with the recipe head, which leaves the backbone as it is");
  }
}

// The test folder never chooses anything.
void check_scoring(const ResolvedOptions& r) {
  if (r.score != EpochScore::kTest || r.keep == Keep::kLast) return;
  throw Error(ErrorCategory::kUsage,
              "training: with score test, keep must be last: the best epoch would be chosen by the photos that it is judged on");
}

// What a second fit changes is told from the first, and suits weights that are still near those of the first. Where heads are fitted to
// augmented views, a validation photo's one view would count for little beside those of many; where test photos are scored, there are none.
bool can_refit(const ResolvedOptions& r) {
  const bool is_near = r.recipe == Recipe::kAuto || r.recipe == Recipe::kHead;
  return is_near && r.head_init == HeadInit::kProbe && r.views == 0 && r.score == EpochScore::kValidation;
}

Refit resolved_refit(const ResolvedOptions& r, std::optional<Refit> asked) {
  if (asked == Refit::kHead && !can_refit(r)) {
    throw Error(
        ErrorCategory::kUsage,
        "training: option refit needs the recipe auto or head with head_init probe, whose fit it does again, score validation and no "
        "views: choose these, or leave it out");
  }
  return can_refit(r) ? asked.value_or(Refit::kHead) : Refit::kNone;
}

// Throws where the architecture has no stage of that name.
void check_stage(const ResolvedOptions& r, const Architecture& architecture) {
  if (!r.freeze_until.empty()) frozen_stages(*architecture.make(architecture, /*classes=*/1, at::kMeta), r.freeze_until);
}

void check_group(const ResolvedOptions& r) {
  if (r.batch_size < r.processes) {
    throw Error(ErrorCategory::kUsage,
                fmt::format("training: option batch_size ({}) must be {} or more, so that each of the processes has a "
                            "photo of a batch",
                            r.batch_size, r.processes));
  }
  if (!r.sync_batch_norm || r.batch_norm == BatchNormPolicy::kTrain) return;
  throw Error(ErrorCategory::kUsage,
              "training: option sync_batch_norm needs batch_norm train: with frozen statistics there is nothing to synchronise");
}

std::filesystem::path free_run_folder(const std::filesystem::path& photos) {
  for (int n = 1;; ++n) {
    const std::filesystem::path folder = numbered_run_folder("", photos, n);
    std::error_code error;
    if (!std::filesystem::exists(folder, error)) return folder;
  }
}

}  // namespace

namespace {

// For heads that were fitted to whole photos, and do not know what small parts of them look like.
constexpr Augmentation kMildCrops{.min_area = 0.35};

// Dive into Deep Learning 13.2 in full; the two tracks differ where they differ in the chapter.
RecipeDefaults book_defaults(Recipe recipe, bool scratch) {
  RecipeDefaults d{.epochs = 5,
                   .batch_size = 128,
                   .sgd_lr = scratch ? 5e-4 : 5e-5,
                   .adamw_lr = 1e-4,
                   .head_lr_multiplier = scratch ? 1.0 : 10.0,
                   .momentum = 0,
                   .sgd_decay = 1e-3,
                   .loss = LossReduction::kSum,
                   .decay = DecayScope::kAll,
                   .schedule = LearningRateShape::kConstant,
                   .head_bias = HeadBias::kUniform,
                   .keep = Keep::kLast,
                   .score = EpochScore::kTest,
                   .model = "resnet18",
                   .exact = true};
  if (recipe == Recipe::kBookPytorch) return d;
  d.sgd_lr = scratch ? 0.1 : 0.01;
  d.loss = LossReduction::kMean;
  d.scratch_init = ScratchInit::kXavier;
  d.head_bias = HeadBias::kZero;
  d.model = "resnet18_v2";
  d.resize = ResizeMode::kSquash;
  return d;
}

}  // namespace

RecipeDefaults recipe_defaults(Recipe recipe, std::string_view architecture, bool scratch) {
  const bool lite = architecture.starts_with("efficientnet_lite");
  switch (recipe) {
    case Recipe::kAuto:
      if (scratch) break;  // there is nothing that a head could be fitted to
      return {.epochs = 6,
              .stage_lr_decay = 0.7,
              .weight_average = 0.98,
              .patience = 3,
              .batch_size = 32,
              .sgd_lr = lite ? 4e-4 : 5e-5,
              .adamw_lr = lite ? 2e-5 : 1e-5,
              .head_lr_multiplier = 1,
              .warmup_epochs = 1,
              .batch_norm = BatchNormPolicy::kFrozenStatistics,
              .head_init = HeadInit::kProbe,
              .augmentation = kMildCrops};
    case Recipe::kBookPytorch:
    case Recipe::kBookGluon:
      return book_defaults(recipe, scratch);
    case Recipe::kHead:
      return {.epochs = 30,
              .batch_size = 256,
              .sgd_lr = lite ? 0.1 : 0.01,
              .adamw_lr = 1e-3,
              .head_lr_multiplier = 1,
              .warmup_epochs = 0,
              .batch_norm = BatchNormPolicy::kFrozen,
              .augmentation = kMildCrops};
    case Recipe::kFinetune:
      break;
  }
  const double sgd_lr = scratch ? 0.05 : lite ? 0.001 : 0.0003;
  return {.epochs = 5,
          .batch_size = 32,
          .sgd_lr = sgd_lr,
          .adamw_lr = scratch ? 1e-3 : 1e-4,
          .head_lr_multiplier = scratch ? 1.0 : 10.0,
          .warmup_epochs = 0.5,
          .batch_norm = lite && !scratch ? BatchNormPolicy::kFrozenStatistics : BatchNormPolicy::kTrain};
}

std::string source_name(const TrainOptions& options) {
  return options.model.empty() ? std::string(recipe_defaults(options.recipe, "").model) : options.model;
}

Preprocessing recipe_preprocessing(Recipe recipe, Preprocessing of_source) {
  of_source.resize_mode = recipe_defaults(recipe, "").resize.value_or(of_source.resize_mode);
  return of_source;
}

void check_options(const TrainOptions& options) {
  if (options.photos.empty()) throw Error(ErrorCategory::kUsage, "training: no folder of photos was named");
  check_schedule(options);
  check_pixels(options);
  check_combinations(options);
  expect(options.threads >= 0 && options.threads <= 1024, "threads", "from 0 (all cores) to 1024", options.threads);
  expect(options.validation_fraction > 0 && options.validation_fraction < 1, "validation_fraction", "between 0 and 1",
         options.validation_fraction);
  expect(options.max_unreadable_share >= 0 && options.max_unreadable_share <= 1, "max_unreadable_share", "in [0, 1]",
         options.max_unreadable_share);
}

int rank_threads(int threads, const std::optional<Distributed>& group) {
  return threads > 0 ? threads : std::max(1, available_cores() / (group ? group->local_world_size : 1));
}

at::Device rank_device(const std::string& name, const std::optional<Distributed>& group) {
  const at::Device first = resolve_device(name);
  if (!group || first.is_cpu() || (name != "auto" && name != "cuda")) return first;
  return resolve_device(fmt::format("cuda:{}", group->local_rank));
}

ResolvedOptions resolve_options(const TrainOptions& options, const Source& source) {
  const RecipeDefaults defaults = defaults_for(options, source.architecture->name);
  const at::Device device = rank_device(options.device, options.distributed);
  ResolvedOptions r;
  r.photos = std::filesystem::absolute(options.photos);
  r.out = std::filesystem::absolute(options.out.empty() ? free_run_folder(r.photos) : options.out);
  r.model = source.model;
  r.architecture = source.architecture->name;
  r.model_sha256 = source.sha256;
  r.recipe = options.recipe;
  r.scratch = options.scratch;
  r.epochs = options.epochs.value_or(defaults.epochs);
  r.batch_size = options.batch_size.value_or(defaults.batch_size);
  r.optimizer = options.optimizer.value_or(OptimizerKind::kSgd);
  const bool sgd = r.optimizer == OptimizerKind::kSgd;
  r.lr = options.lr.value_or(sgd ? defaults.sgd_lr : defaults.adamw_lr);
  r.head_lr_multiplier = options.head_lr_multiplier.value_or(defaults.head_lr_multiplier);
  r.stage_lr_decay = options.stage_lr_decay.value_or(defaults.stage_lr_decay);
  r.weight_average = options.weight_average.value_or(defaults.weight_average);
  r.patience = options.patience.value_or(defaults.patience);
  r.budget = options.budget;
  r.warmup_epochs = options.warmup_epochs.value_or(defaults.warmup_epochs);
  r.momentum = sgd ? options.momentum.value_or(defaults.momentum) : 0;
  r.weight_decay = options.weight_decay.value_or(sgd ? defaults.sgd_decay : defaults.adamw_decay);
  r.decay = options.decay.value_or(defaults.decay);
  r.loss = options.loss.value_or(defaults.loss);
  r.schedule = options.schedule.value_or(defaults.schedule);
  r.scratch_init = options.scratch_init.value_or(defaults.scratch_init);
  r.head_init = options.head_init.value_or(defaults.head_init);
  r.head_class = options.head_class;
  const bool drawn_head = r.head_init == HeadInit::kXavier || r.head_init == HeadInit::kZero;
  r.head_bias = drawn_head ? options.head_bias.value_or(defaults.head_bias) : HeadBias::kZero;
  r.keep = options.keep.value_or(defaults.keep);
  r.score = options.score.value_or(defaults.score);
  check_scoring(r);
  r.label_smoothing = options.label_smoothing;
  r.imbalance = options.imbalance;
  r.batch_norm = options.batch_norm.value_or(defaults.batch_norm);
  r.freeze_until = options.freeze_until;
  check_stage(r, *source.architecture);
  r.views = options.views.value_or(0);
  r.refit = resolved_refit(r, options.refit);
  r.sync_batch_norm = options.sync_batch_norm;
  r.processes = options.distributed ? options.distributed->world_size : 1;
  check_group(r);
  r.accumulate = options.accumulate;
  r.clip_norm = options.clip_norm;
  r.precision =
      defaults.exact && options.precision == Precision::kAuto ? Precision::kFloat32 : resolve_precision(options.precision, device);
  r.device = device.str();
  r.threads = rank_threads(options.threads, options.distributed);
  r.seed = options.seed;
  r.validation_fraction = options.validation_fraction;
  r.max_unreadable_share = options.max_unreadable_share;
  r.preprocessing = options.preprocessing.value_or(recipe_preprocessing(options.recipe, source.preprocessing));
  r.choose_resize = options.recipe == Recipe::kAuto && !options.preprocessing && r.head_init == HeadInit::kProbe &&
                    r.preprocessing.resize_mode != ResizeMode::kSquash && r.score == EpochScore::kValidation;
  if (options.decode) r.preprocessing.decode = *options.decode;
  r.augmentation = options.augmentation.value_or(defaults.augmentation);
  if (defaults.exact) r.augmentation.fast_decode = false;
  return r;
}

}  // namespace headstart
