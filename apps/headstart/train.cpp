// headstart train: a folder of photos and a source model in, a run folder out.
#include "headstart/train.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "cli.h"
#include "headstart/error.h"
#include "interrupt.h"
#include "log.h"
#include "output.h"
#include "text.h"
#include "train_options.h"
#include "train_view.h"

namespace headstart::cli {
namespace {

constexpr std::size_t kMostSkippedListed = 10;
constexpr const char* kExamples =
    "Examples:\n"
    "  headstart train photos/\n"
    "  headstart train photos/ --recipe head --epochs 50\n"
    "  headstart train photos/ --model resnet50 --batch-size 16 --lr 1e-3 --out runs/mine\n"
    "  headstart train photos/ --model ~/resnet18.pth --seed 7\n"
    "  headstart train --resume runs/mine\n"
    "\n"
    "Ctrl-C saves a checkpoint and ends with exit code 130; --resume goes on from there.";

void list_skipped(Console& console, const std::vector<Problem>& skipped) {
  for (std::size_t i = 0; i < std::min(skipped.size(), kMostSkippedListed); ++i) {
    console.warn("skipped " + problem_text(skipped[i]));
  }
  if (skipped.size() > kMostSkippedListed) {
    console.warn(fmt::format("skipped {} more; the report lists them", skipped.size() - kMostSkippedListed));
  }
}

TrainResult run_training(const CLI::App& command, const TrainRequest& request, Context& context, TrainView& view) {
  const LogSink log = make_log_sink(context.console, request.log_file);
  if (request.resume) {
    ResumeOptions options = resume_options(command, request);
    options.log = log;
    return resume_training(options, view.callbacks());
  }
  TrainOptions options = train_options(command, request);
  options.log = log;
  return train(options, view.callbacks());
}

void run_train(const CLI::App& command, const TrainRequest& request, Context& context) {
  if (!request.resume && request.options.photos.empty()) {
    throw Error(ErrorCategory::kUsage, "train: a folder of photos is missing; see headstart train --help");
  }
  set_interrupt_notice("Stopping after this step with a checkpoint; Ctrl-C again ends at once.");
  TrainView view(context.console);
  try {
    const TrainResult result = run_training(command, request, context, view);
    view.finish();
    list_skipped(context.console, result.unreadable);
    Output().write(outcome_text(result, paint_for(STDOUT_FILENO)));
  } catch (const Error& error) {
    if (error.category() != ErrorCategory::kInterrupted || view.run().empty()) throw;
    view.finish();
    context.console.warn(printable(error.what()));
    throw Error(ErrorCategory::kInterrupted, fmt::format("go on with: headstart train --resume {}", shell_quoted(view.run().string())));
  }
}

}  // namespace

void add_train(CLI::App& app, Context& context) {
  CLI::App* const command = add_command(app, context, "train", "Fine-tune a pretrained model on a folder of photos", kExamples);
  const auto request = std::make_shared<TrainRequest>();
  add_train_options(*command, *request);
  command->callback(
      [command, request, &context] { context.action = [command, request, &context] { run_train(*command, *request, context); }; });
}

}  // namespace headstart::cli
