#include "train_options.h"

#include <fmt/format.h>

#include <algorithm>

#include "headstart/error.h"
#include "options.h"
#include "text.h"

namespace headstart::cli {
namespace {

void add_run_options(CLI::App& command, TrainRequest& request) {
  TrainOptions& options = request.options;
  command.add_option("PHOTOS", options.photos, "Folder of class folders, or of train/ with optional val/ and test/")->type_name("PHOTOS");
  command
      .add_option("--model", options.model, "Source model by name (see headstart models) or a weights file (default: efficientnet_lite0)")
      ->type_name("NAME|FILE");
  command
      .add_option("--architecture", options.architecture,
                  "Of a weights file whose tensors do not tell it, e.g. resnet18 (default: told from the tensors)")
      ->type_name("NAME");
  command.add_option("--out", options.out, "Run folder (default: runs/<photos>-<n>, the first free n)")->type_name("RUN");
  command
      .add_option("--resume", request.resume,
                  "Go on with a run from its last checkpoint, to the same bits as if it had never stopped. Options given beside it must "
                  "equal the run's; PHOTOS only where the folder has moved")
      ->type_name("RUN");
  add_seed(command, options.seed, "Of the split, the order, the crops and the new layer (default: 0)");
  command.add_option("--log-file", request.log_file, "Append the library's messages with their times (default: none)")->type_name("FILE");
}

// --head-class NAME=SOURCE, as often as there are classes.
CLI::Option* add_head_class(CLI::App& command, std::map<std::string, std::string>& classes) {
  const auto assign = [&classes](const std::vector<std::string>& pairs) {
    for (const std::string& pair : pairs) {
      const std::size_t equals = pair.rfind('=');
      if (equals == std::string::npos || equals == 0) {
        throw Error(ErrorCategory::kUsage, fmt::format("--head-class: expected NAME=SOURCE, found '{}'", printable(pair)));
      }
      if (!classes.emplace(pair.substr(0, equals), pair.substr(equals + 1)).second) {
        throw Error(ErrorCategory::kUsage, fmt::format("--head-class: the class '{}' is named twice", printable(pair.substr(0, equals))));
      }
    }
  };
  return command
      .add_option_function<std::vector<std::string>>("--head-class", assign,
                                                     "With --head-init class or probe: the source model's class for one of the photos' "
                                                     "classes, by name (hotdog=\"hot dog\") or row (hotdog=934), "
                                                     "nothing behind the = for none; repeatable (default: the class of the same name)")
      ->type_name("NAME=SOURCE")
      ->allow_extra_args(false);
}

// What the recipes for people settle, and the book's tracks settle otherwise.
void add_fine_print(CLI::App& command, TrainOptions& options) {
  const auto group = [](CLI::Option* option) { option->group("Training"); };
  const RecipeDefaults tune = recipe_defaults(Recipe::kFinetune, "");
  const auto defaults_to = [](const char* text, std::string_view word) { return fmt::format("{} (default: {})", text, word); };
  group(add_choice(command, "--decay", options.decay, kDecayScopes,
                   defaults_to("Weight decay on weights alone, or on biases and norms as well", word_of(kDecayScopes, tune.decay))));
  group(add_choice(
      command, "--loss", options.loss, kLossReductions,
      defaults_to("Mean or sum over the photos of a step; with sum, the rate is per photo", word_of(kLossReductions, tune.loss))));
  group(add_choice(command, "--schedule", options.schedule, kSchedules,
                   defaults_to("Of the learning rate after the warm-up", word_of(kSchedules, tune.schedule))));
  group(add_choice(command, "--scratch-init", options.scratch_init, kScratchInits,
                   defaults_to("Random weights with --scratch", word_of(kScratchInits, tune.scratch_init))));
  group(add_choice(
      command, "--head-init", options.head_init, kHeadInits,
      defaults_to("The new output layer: weight drawn or zero; class: the source model's own rows of these classes; probe: fitted "
                  "to the training photos' features",
                  word_of(kHeadInits, tune.head_init))));
  group(add_head_class(command, options.head_class));
  group(add_choice(command, "--head-bias", options.head_bias, kHeadBiases,
                   defaults_to("Its bias; uniform as PyTorch's Linear", word_of(kHeadBiases, tune.head_bias))));
  group(add_choice(command, "--refit", options.refit, kRefits,
                   "head: once the figures stand, the output layer learns from the validation photos too, but never from those of a val/ "
                   "folder (default: head where --recipe auto or head has fitted that layer, else none)"));
  group(add_choice(command, "--keep", options.keep, kKeeps,
                   defaults_to("The epoch that becomes the model: best by validation, or last", word_of(kKeeps, tune.keep))));
  group(add_choice(
      command, "--score", options.score, kEpochScores,
      defaults_to("Scored after every epoch: photos set aside, or those of test/ (needs --keep last)", word_of(kEpochScores, tune.score))));
}

void add_recipe_options(CLI::App& command, TrainOptions& options) {
  const auto group = [](CLI::Option* option) { option->group("Training"); };
  group(
      add_choice(command, "--recipe", options.recipe, kRecipes,
                 "auto fits a new output layer first, then trains all layers from there for as long as the validation photos say that it "
                 "pays; finetune "
                 "trains all layers; head fits only a new output layer, to features that are computed once (by steps with --epochs, --lr, "
                 "--optimizer and their like); book-pytorch and book-gluon are "
                 "the chapter's own, see docs/book.md (default: auto)"));
  group(command.add_flag("--scratch", options.scratch,
                         "Train from random weights: only the architecture of --model is taken (default: from its weights)"));
  const RecipeDefaults tune = recipe_defaults(Recipe::kFinetune, "resnet18"), head = recipe_defaults(Recipe::kHead, "resnet18");
  const RecipeDefaults automatic = recipe_defaults(Recipe::kAuto, "resnet18"),
                       lite_automatic = recipe_defaults(Recipe::kAuto, "efficientnet_lite0");
  const RecipeDefaults lite_tune = recipe_defaults(Recipe::kFinetune, "efficientnet_lite0"),
                       lite_head = recipe_defaults(Recipe::kHead, "efficientnet_lite0");
  group(add_count(
      command, "--epochs", options.epochs, 0,
      fmt::format("Passes over the training photos; 0 trains nothing and scores the network as it starts (default: auto at most {}, "
                  "finetune {}, head 0, by steps {})",
                  automatic.epochs, tune.epochs, head.epochs)));
  group(add_count(command, "--batch-size", options.batch_size, 1,
                  fmt::format("Photos a step (default: auto and finetune {}, head {})", tune.batch_size, head.batch_size)));
  group(add_duration(command, "--budget", options.budget,
                     "Time for the whole run, as 90s, 2m or 1h30m: the recipe auto makes the best model that it allows (default: none)"));
  group(add_number(command, "--lr", options.lr, {.above_low = true},
                   fmt::format("Peak learning rate of the backbone, or of the head with --recipe head (default: SGD auto {}, ResNets {}, "
                               "finetune {}, ResNets {}, head "
                               "{}, ResNets {}; AdamW auto {}, ResNets {}, finetune {}, head {})",
                               lite_automatic.sgd_lr, automatic.sgd_lr, lite_tune.sgd_lr, tune.sgd_lr, lite_head.sgd_lr, head.sgd_lr,
                               lite_automatic.adamw_lr, automatic.adamw_lr, tune.adamw_lr, head.adamw_lr)));
  group(add_number(command, "--head-lr-multiplier", options.head_lr_multiplier, {.above_low = true},
                   fmt::format("The new layer's rate over the backbone's (default: auto {}, finetune {})", automatic.head_lr_multiplier,
                               tune.head_lr_multiplier)));
  group(
      add_number(command, "--stage-lr-decay", options.stage_lr_decay, {.high = 1, .above_low = true},
                 fmt::format("A stage's rate over that of the stage behind it: early layers learn more slowly (default: auto {}, else {})",
                             automatic.stage_lr_decay, tune.stage_lr_decay)));
  group(add_number(command, "--warmup-epochs", options.warmup_epochs, {},
                   fmt::format("Linear warm-up, then cosine to zero; fractions allowed (default: auto {}, finetune {}, head {})",
                               automatic.warmup_epochs, tune.warmup_epochs, head.warmup_epochs)));
  group(add_number(
      command, "--weight-average", options.weight_average, {.high = 1},
      fmt::format("Decay of the weights' moving average over the steps, which is validated and shipped; 0: none (default: auto {}, "
                  "else {})",
                  automatic.weight_average, tune.weight_average)));
  group(add_count(command, "--patience", options.patience, 0,
                  fmt::format("Epochs without a better one after which training ends; 0: never (default: auto {}, else {})",
                              automatic.patience, tune.patience)));
  group(add_choice(command, "--optimizer", options.optimizer, kOptimizers, "SGD with momentum, or AdamW (default: sgd)"));
  group(add_number(command, "--momentum", options.momentum, {.high = 1}, "Of SGD, below 1 (default: 0.9)"));
  group(add_number(command, "--weight-decay", options.weight_decay, {}, "(default: SGD 1e-4, AdamW 0.05)"));
  add_fine_print(command, options);
  group(add_number(command, "--label-smoothing", options.label_smoothing, {.high = 1}, "Below 1 (default: 0)"));
  group(add_choice(command, "--imbalance", options.imbalance, kImbalances,
                   "For classes of unequal size: weigh the loss by class, or draw every class equally often (default: none)"));
  group(add_choice(command, "--batch-norm", options.batch_norm, kBatchNormPolicies,
                   "train: batch statistics; frozen-statistics: the source model's, scale and shift trained; frozen: nothing changes " +
                       fmt::format("(default: ResNets {}, EfficientNet-Lite {}, head {})", word_of(kBatchNormPolicies, tune.batch_norm),
                                   word_of(kBatchNormPolicies, lite_tune.batch_norm), word_of(kBatchNormPolicies, head.batch_norm))));
  group(
      command
          .add_option("--freeze-until", options.freeze_until,
                      "Stage of the network (stem, layer1, …; a wrong name lists them): it and all before it stay as the source model has "
                      "them, and are run without gradients (default: none)")
          ->type_name("STAGE"));
  group(add_count(command, "--views", options.views, 0,
                  "Augmented views of a photo that are drawn once, one an epoch in turn: what frozen layers make of them is computed once; "
                  "with --recipe head the layer is fitted to all of them. 0: a new view each epoch (default: 0)"));
  group(command.add_flag("--sync-batch-norm", options.sync_batch_norm,
                         "With several processes: batch statistics of the whole batch (default: of each process's share)"));
  group(add_count(command, "--accumulate", options.accumulate, 1, "Batches an optimizer step (default: 1)"));
  group(add_number(command, "--clip-norm", options.clip_norm, {}, "Largest gradient norm; 0 clips nothing (default: 0)"));
}

void add_machine_options(CLI::App& command, TrainRequest& request) {
  TrainOptions& options = request.options;
  add_device_option(command, options.device, "Where to compute (default: auto, the first GPU that LibTorch can use, else the processor)");
  add_choice(command, "--precision", options.precision, kPrecisions,
             "Number format of the network (default: auto, bfloat16 where the device is fast with it)")
      ->group("Machine");
  command
      .add_option(
          "--devices", request.devices,
          "Several devices, a process each: every GPU, or those with these numbers; cpu with headstart launch (default: one device)")
      ->type_name("all|cpu|0,1,...")
      ->group("Machine");
  add_count(command, "--threads", options.threads, 0, "Threads of a process (default: 0, all cores, divided among the machine's processes)")
      ->group("Machine");
}

std::array<float, 3> parse_channels(const std::string& option, const std::string& text, const NumberRange& range) {
  const std::vector<std::string> parts = CLI::detail::split(text, ',');
  std::array<float, 3> values{};
  if (parts.size() != values.size()) {
    throw Error(ErrorCategory::kUsage, fmt::format("{}: expected three numbers R,G,B, found '{}'", option, text));
  }
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(parse_number(option, parts[i], range));
  return values;
}

CLI::Option* add_channels(CLI::App& command, const std::string& name, std::optional<std::array<float, 3>>& target, const NumberRange& range,
                          const std::string& help) {
  const auto assign = [&target, range, name](const std::string& text) { target = parse_channels(name, text, range); };
  return command.add_option_function<std::string>(name, assign, help)->type_name("R,G,B")->group("Reading photos");
}

void add_pixel_options(CLI::App& command, TrainRequest& request) {
  const std::string group = "Reading photos";
  add_number(command, "--validation-fraction", request.options.validation_fraction, {.high = 1, .above_low = true},
             "Share of the training photos that is set aside where there is no val/ folder (default: 0.2)")
      ->group(group);
  add_number(command, "--max-unreadable-share", request.options.max_unreadable_share, {.high = 1},
             "Stop when more of a split cannot be read (default: 0.1)")
      ->group(group);
  add_decode_options(command, request.decode);
  add_choice(command, "--resize", request.resize, kResizeModes,
             "shorter: the shorter side to --resize-size, the other in proportion; squash: both (default: the source model's, shorter)")
      ->group(group);
  add_count(command, "--resize-size", request.resize_size, 1, "Pixels (default: the source model's)")->group(group);
  add_count(command, "--crop-size", request.crop_size, 1, "Pixels that the network sees, square (default: the source model's)")
      ->group(group);
  add_choice(command, "--interpolation", request.interpolation, kInterpolations,
             "Of the resize; OpenCV's is not antialiased (default: the source model's)")
      ->group(group);
  add_channels(command, "--mean", request.mean, {.high = 1}, "Subtracted from R, G and B in [0, 1] (default: the source model's)");
  add_channels(command, "--std", request.std, {.above_low = true}, "Divides R, G and B (default: the source model's)");
}

bool given(const CLI::App& command, const std::string& name) { return command.count(name) > 0; }

}  // namespace

Augmentation AugmentationRequest::over(Augmentation base) const {
  base.min_area = min_area.value_or(base.min_area);
  base.max_area = max_area.value_or(base.max_area);
  base.min_aspect = min_aspect.value_or(base.min_aspect);
  base.max_aspect = max_aspect.value_or(base.max_aspect);
  base.flip_probability = flip_probability.value_or(base.flip_probability);
  base.fast_decode = base.fast_decode && !exact;
  return base;
}

void add_augmentation_options(CLI::App& command, AugmentationRequest& augmentation) {
  const std::string group = "Augmentation";
  const NumberRange share{.high = 1, .above_low = true};
  add_number(command, "--min-area", augmentation.min_area, share,
             fmt::format("Smallest crop, as a share of the photo (default: auto and head {:g}, other recipes {:g})",
                         recipe_defaults(Recipe::kAuto, "").augmentation.min_area, Augmentation().min_area))
      ->group(group);
  add_number(command, "--max-area", augmentation.max_area, share, "Largest crop (default: 1)")->group(group);
  add_number(command, "--min-aspect", augmentation.min_aspect, {.above_low = true}, "Narrowest crop, width over height (default: 0.75)")
      ->group(group);
  add_number(command, "--max-aspect", augmentation.max_aspect, {.above_low = true}, "Widest crop (default: 1.3333)")->group(group);
  add_number(command, "--flip-probability", augmentation.flip_probability, {.high = 1}, "Of a mirror image (default: 0.5)")->group(group);
  command
      .add_flag_callback(
          "--exact-augmentation", [&augmentation] { augmentation.exact = true; },
          "Crops equal to Pillow's in every bit (default: scaled JPEG decoding, which is faster)")
      ->group(group);
}

void add_train_options(CLI::App& command, TrainRequest& request) {
  add_run_options(command, request);
  add_recipe_options(command, request.options);
  add_machine_options(command, request);
  add_pixel_options(command, request);
  add_augmentation_options(command, request.augmentation);
}

TrainOptions train_options(const CLI::App& command, const TrainRequest& request) {
  TrainOptions options = request.options;
  options.augmentation = request.augmentation.over(recipe_defaults(options.recipe, "", options.scratch).augmentation);
  if (given(command, "--ignore-exif") || given(command, "--drop-alpha") || given(command, "--max-pixels")) options.decode = request.decode;
  if (!request.resize && !request.resize_size && !request.crop_size && !request.interpolation && !request.mean && !request.std) {
    return options;
  }
  Preprocessing changed = source_preprocessing(options);
  changed.resize_mode = request.resize.value_or(changed.resize_mode);
  changed.resize_size = request.resize_size.value_or(changed.resize_size);
  changed.crop_size = request.crop_size.value_or(changed.crop_size);
  changed.interpolation = request.interpolation.value_or(changed.interpolation);
  changed.mean = request.mean.value_or(changed.mean);
  changed.std = request.std.value_or(changed.std);
  options.preprocessing = changed;
  return options;
}

ResumeOptions resume_options(const CLI::App& command, const TrainRequest& request) {
  ResumeOptions resume;
  resume.run = *request.resume;
  if (!request.options.photos.empty()) resume.photos = request.options.photos;
  if (given(command, "--device")) resume.device = request.options.device;
  // Not compared: what names the run, and what does not change its bits.
  const std::vector<std::string> own = {"resume", "device", "devices", "log_file", "quiet", "verbose", "out"};
  for (const auto& [name, value] : given_options(command)) {
    if (std::find(own.begin(), own.end(), name) != own.end()) continue;
    const bool is_file = name == "model" && std::filesystem::is_regular_file(value);
    resume.expected[name] = is_file ? std::filesystem::absolute(value).string() : value;
  }
  std::error_code ignored;
  if (given(command, "--out") && !std::filesystem::equivalent(request.options.out, resume.run, ignored)) {
    throw Error(ErrorCategory::kUsage, "--out: a resumed run stays in its folder; leave --out away");
  }
  return resume;
}

}  // namespace headstart::cli
