#include "train_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "headstart/compare.h"
#include "headstart/curves.h"
#include "interrupt.h"
#include "options.h"
#include "text.h"

namespace headstart::cli {
namespace {

constexpr std::size_t kMostClassesNamed = 8;
// Of the terminal for the figure, so that the lines above it can be read.
constexpr double kFigureShareOfRows = 0.4;
constexpr int kMostFigureRows = 20, kMostFigureColumns = 80;

// A path as a person would type it from here.
std::string shown(const std::filesystem::path& path) {
  std::error_code error;
  const std::filesystem::path relative = std::filesystem::proximate(path, error);
  const bool shorter = !error && !relative.empty() && relative.begin()->string() != "..";
  return printable((shorter ? relative : path).string());
}

std::string classes_text(const Catalog& catalog) {
  std::vector<std::int64_t> photos(catalog.classes.size());
  for (const Sample& sample : catalog.train) ++photos[static_cast<std::size_t>(sample.label)];
  std::string text = fmt::format("{}:", photos.size());
  for (std::size_t c = 0; c < std::min(photos.size(), kMostClassesNamed); ++c) {
    text += fmt::format("{}{} ({})", c == 0 ? " " : ", ", printable(catalog.classes[c]), human_count(photos[c]));
  }
  if (photos.size() > kMostClassesNamed) text += fmt::format(" and {} more", photos.size() - kMostClassesNamed);
  return text;
}

std::string photos_text(const ResolvedOptions& options, const Catalog& catalog) {
  std::string text =
      fmt::format("{}: {} to train, {} to {}", shown(options.photos), human_count(std::ssize(catalog.train)),
                  human_count(std::ssize(catalog.validation)), options.score == EpochScore::kTest ? "test after every epoch" : "validate");
  if (options.score == EpochScore::kTest) return text;
  if (catalog.validation_was_split_off) text += fmt::format(" (set aside, seed {})", options.seed);
  return text + (catalog.test.empty() ? ", no test folder" : fmt::format(", {} to test", human_count(std::ssize(catalog.test))));
}

std::string recipe_text(const ResolvedOptions& options) {
  const std::string_view recipe = word_of(kRecipes, options.recipe);
  if (options.epochs == 0) {
    return fmt::format(
        "{}: {}", recipe,
        options.head_init == HeadInit::kProbe ? "the output layer is fitted to the photos' features" : "0 epochs, nothing is trained");
  }
  std::string text = fmt::format("{}: {}, batch size {}, {}, learning rate {:g}", recipe, count_text(options.epochs, "epoch"),
                                 options.batch_size, options.optimizer == OptimizerKind::kSgd ? "SGD" : "AdamW", options.lr);
  if (options.loss == LossReduction::kSum) text += " of summed losses";
  if (options.head_lr_multiplier != 1) text += fmt::format(" (new layer {:g}x)", options.head_lr_multiplier);
  if (options.schedule == LearningRateShape::kConstant) text += ", constant";
  if (options.warmup_epochs > 0) text += fmt::format(", warm-up {:g}", options.warmup_epochs);
  if (options.imbalance != Imbalance::kNone) text += fmt::format(", {}", word_of(kImbalances, options.imbalance));
  if (!options.freeze_until.empty()) text += fmt::format(", frozen until {}", options.freeze_until);
  if (options.views > 0) text += fmt::format(", {} of a photo", count_text(options.views, "view"));
  return text;
}

std::string stage_title(Stage stage) {
  switch (stage) {
    case Stage::kScan:
      return "Scanning photos";
    case Stage::kFeatures:
      return "Computing features";
    case Stage::kTrain:
      return "Training";
    case Stage::kValidate:
      return "Validating";
    case Stage::kTest:
      return "Testing";
    case Stage::kReport:
      return "Writing the report";
  }
  return "Working";
}

std::string accuracy_line(std::string_view name, const Metrics& metrics, const Paint& paint) {
  const auto right = static_cast<std::int64_t>(std::llround(metrics.top1 * static_cast<double>(metrics.photos)));
  return fmt::format("{:<20} {}  (95% interval {} to {}; {} of {} photos)\n", name, paint.bold(human_percent(metrics.top1)),
                     human_percent(metrics.top1_interval.low), human_percent(metrics.top1_interval.high), human_count(right),
                     human_count(metrics.photos));
}

// The source's classes whose rows helped the fit: "hotdog and pizza"; "" for none.
std::string helpers(const TrainResult& result) {
  std::vector<std::string> names;
  for (const HeadSource& source : result.head_sources) {
    if (source.row >= 0) names.push_back(source.name.empty() ? fmt::format("row {}", source.row) : printable(source.name));
  }
  return join_some(names);
}

}  // namespace

TrainView::TrainView(Console& console, std::string only_progress_of) : console_(console), only_progress_of_(std::move(only_progress_of)) {}

void TrainView::begin(std::string only_progress_of) {
  progress_.reset();
  only_progress_of_ = std::move(only_progress_of);
}

void TrainView::finish() {
  progress_.reset();
  console_.keep_figure();
}

TrainCallbacks TrainView::callbacks() {
  TrainCallbacks callbacks;
  callbacks.on_start = [this](const ResolvedOptions& options, const Catalog& catalog) { on_start(options, catalog); };
  callbacks.on_stage = [this](Stage stage, std::int64_t done, std::int64_t total) { on_stage(stage, done, total); };
  callbacks.on_step = [this](const StepProgress& step) { on_step(step); };
  callbacks.should_stop = interrupted;
  if (!only_progress_of_.empty()) return callbacks;
  callbacks.on_head_fit = [this](const TrainResult& so_far) { on_head_fit(so_far); };
  callbacks.on_epoch = [this](const EpochRecord& epoch) { on_epoch(epoch); };
  callbacks.on_curve = [this](const TrainResult& so_far) { on_curve(so_far); };
  return callbacks;
}

void TrainView::on_start(const ResolvedOptions& options, const Catalog& catalog) {
  run_ = options.out;
  epochs_ = options.epochs;
  scored_ = to_string(options.score);
  keeps_best_ = options.keep == Keep::kBest;
  progress_.reset();
  if (!only_progress_of_.empty()) return;
  const Paint& paint = console_.paint();
  const std::string source = options.scratch                         ? ", from scratch"
                             : options.model == options.architecture ? ""
                                                                     : fmt::format(" from {}", shown(options.model));
  const auto row = [&](std::string_view name, const std::string& text) {
    console_.say(fmt::format("{}  {}", paint.dim(fmt::format("{:<8}", name)), text));
  };
  row("photos", photos_text(options, catalog));
  row("classes", classes_text(catalog));
  row("model", options.architecture + source);
  row("recipe", recipe_text(options));
  const std::string processes = options.processes > 1 ? fmt::format(", in each of {} processes", options.processes) : "";
  row("device", fmt::format("{}, {}, {}{}", options.device, count_text(options.threads, "thread"), word_of(kPrecisions, options.precision),
                            processes));
  row("run", shown(options.out));
  for (const Problem& problem : catalog.problems) console_.warn(problem_text(problem));
}

Progress& TrainView::progress(const std::string& stage) {
  const std::string title = only_progress_of_.empty() ? stage : fmt::format("{}: {}", only_progress_of_, stage);
  if (!progress_ || progress_->title() != title) progress_.emplace(console_, title);
  return *progress_;
}

void TrainView::on_stage(Stage stage, std::int64_t done, std::int64_t total) { progress(stage_title(stage)).update(done, total); }

void TrainView::on_step(const StepProgress& step) {
  const std::string extra = fmt::format("loss {:.3f}  top-1 {}", step.train_loss, human_percent(step.train_top1));
  progress(fmt::format("Epoch {}/{}", step.epoch, step.epochs)).update(step.photos_done, step.photos_total, extra);
}

void TrainView::on_head_fit(const TrainResult& so_far) {
  progress_.reset();
  const auto chosen =
      std::find_if(so_far.head_trials.begin(), so_far.head_trials.end(), [](const HeadTrial& trial) { return trial.chosen; });
  const std::string choice = so_far.head_trials.size() > 1 ? fmt::format(", the best of {}", so_far.head_trials.size()) : "";
  const Preprocessing& shown = so_far.options.preprocessing;
  const std::string view = !so_far.options.choose_resize              ? "the photos' features"
                           : shown.resize_mode == ResizeMode::kSquash ? fmt::format("whole photos, squashed to {}", shown.crop_size)
                                                                      : "the photos' middle";
  const std::string help = helpers(so_far);
  console_.say(fmt::format("output layer fitted to {:<29}  train loss {:.3f} {:>6}  {} loss {:.3f} {}  (penalty {:g}{}{})", view,
                           so_far.start->train_loss, human_percent(so_far.start->train_top1), scored_, so_far.start->validation_loss,
                           console_.paint().bold(fmt::format("{:>6}", human_percent(so_far.start->validation_top1))), chosen->penalty,
                           choice, help.empty() ? "" : "; helped by the source's " + help));
}

void TrainView::on_epoch(const EpochRecord& epoch) {
  progress_.reset();
  const Paint& paint = console_.paint();
  const int digits = static_cast<int>(std::to_string(epochs_).size());
  const std::string accuracy = paint.bold(fmt::format("{:>6}", human_percent(epoch.validation_top1)));
  console_.say(fmt::format("epoch {:>{}}/{}  train loss {:.3f} {:>6}  {} loss {:.3f} {}  {}{}", epoch.epoch, digits, epochs_,
                           epoch.train_loss, human_percent(epoch.train_top1), scored_, epoch.validation_loss, accuracy,
                           human_seconds(epoch.seconds + epoch.validation_seconds),
                           epoch.best && keeps_best_ ? paint.green("  best") : ""));
  if (console_.verbosity() == Verbosity::kVerbose) {
    console_.say(paint.dim(fmt::format("  {:.1f} photos/s, waited for photos {} of the time, learning rate {:.3g}", epoch.photos_per_second,
                                       human_percent(epoch.loader_wait_share), epoch.lr)));
  }
}

void TrainView::on_curve(const TrainResult& so_far) {
  if (!console_.terminal() || console_.verbosity() == Verbosity::kQuiet) return;
  console_.set_figure([curves = curves_of(so_far), utf8 = locale_is_utf8(), colour = console_.paint().enabled()](int columns, int rows) {
    return curves_text(curves, {.columns = std::min(columns - 1, kMostFigureColumns),
                                .rows = std::min(static_cast<int>(rows * kFigureShareOfRows), kMostFigureRows),
                                .utf8 = utf8,
                                .colour = colour});
  });
}

std::string outcome_text(const TrainResult& result, const Paint& paint) {
  std::string text = accuracy_line(fmt::format("{} accuracy", to_string(result.options.score)), result.validation.metrics, paint);
  if (result.test) text += accuracy_line("test accuracy", result.test->metrics, paint);
  if (result.history.empty()) {
    text +=
        fmt::format("{:<20} none: {}, {} in all\n", "epochs",
                    result.head_trials.empty() ? "the network as it starts" : "the output layer was fitted", human_seconds(result.seconds));
  } else if (result.best_epoch == 0) {
    text += fmt::format("{:<20} none of {} beat the fitted output layer, {} in all\n", "best epoch", result.history.size(),
                        human_seconds(result.seconds));
  } else {
    text += fmt::format("{:<20} {} of {}, {} in all\n", result.options.keep == Keep::kLast ? "kept epoch" : "best epoch", result.best_epoch,
                        result.history.size(), human_seconds(result.seconds));
  }
  if (result.refitted) {
    text += fmt::format("{:<20} the output layer has learned from the {} validation photos too, after they were scored\n", "refit",
                        human_count(result.validation.metrics.photos));
  }
  text += fmt::format("{:<20} {}\n", "skipped photos", result.unreadable.empty() ? "none" : human_count(std::ssize(result.unreadable)));
  text += fmt::format("{:<20} {}\n{:<20} {}\n", "model", shown(result.model_file), "report", shown(result.report_file));
  const std::string model = shell_quoted(shown(result.model_file));
  return text + fmt::format("\nNext:\n  headstart predict {0} PHOTO...\n  headstart eval {0} PHOTOS\n", model);
}

}  // namespace headstart::cli
