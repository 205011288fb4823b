// headstart train: a folder of photos and a source model in, a run folder out.
#include "headstart/train.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "cli.h"
#include "headstart/distributed.h"
#include "headstart/error.h"
#include "interrupt.h"
#include "launch.h"
#include "log.h"
#include "options.h"
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

// What this process is to do, where it may be one of several.
struct Place {
  std::optional<Distributed> group;
  std::optional<std::string> device;  // of the --devices list
  bool leads() const { return !group || group->rank == 0; }
};

Place place_of(const std::vector<std::string>& devices) {
  Place place{.group = distributed_from_environment(), .device = std::nullopt};
  if (devices.empty()) return place;
  const std::size_t index = place.group && devices.front() != "cpu" ? static_cast<std::size_t>(place.group->local_rank) : 0;
  if (index >= devices.size()) {
    throw Error(ErrorCategory::kUsage, fmt::format("--devices: it names {} for the processes of this machine, and local rank {} has none: "
                                                   "start as many processes as devices",
                                                   count_text(std::ssize(devices), "device"), index));
  }
  place.device = devices[index];
  return place;
}

std::vector<std::string> devices_asked_for(const CLI::App& command, const TrainRequest& request) {
  if (request.devices.empty()) return {};
  if (command.count("--device") > 0) throw Error(ErrorCategory::kUsage, "--devices: leave it or --device away");
  return resolve_devices(request.devices);
}

// Rank 0 speaks for all.
TrainResult run_training(const CLI::App& command, const TrainRequest& request, const Place& place, Context& context, TrainView& view) {
  TrainCallbacks callbacks;
  LogSink log;
  if (place.leads()) {
    callbacks = view.callbacks();
    log = make_log_sink(context.console, request.log_file);
  } else {
    callbacks.should_stop = interrupted;
  }
  if (request.resume) {
    ResumeOptions options = resume_options(command, request);
    if (place.device) options.device = place.device;
    options.distributed = place.group;
    options.log = log;
    return resume_training(options, callbacks);
  }
  TrainOptions options = train_options(command, request);
  options.device = place.device.value_or(options.device);
  options.distributed = place.group;
  options.log = log;
  return train(options, callbacks);
}

void run_train(const CLI::App& command, const TrainRequest& request, Context& context) {
  if (!request.resume && request.options.photos.empty()) {
    throw Error(ErrorCategory::kUsage, "train: a folder of photos is missing; see headstart train --help");
  }
  const std::vector<std::string> devices = devices_asked_for(command, request);
  if (devices.size() > 1 && !distributed_from_environment()) {
    launch({.arguments = context.arguments, .processes = static_cast<int>(devices.size())}, context.console);
    return;
  }
  const Place place = place_of(devices);
  if (place.leads()) set_interrupt_notice("Stopping after this step with a checkpoint; Ctrl-C again ends at once.");
  TrainView view(context.console);
  try {
    const TrainResult result = run_training(command, request, place, context, view);
    if (!place.leads()) return;
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
