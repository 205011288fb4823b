#include "sweep_view.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "text.h"

namespace headstart::cli {
namespace {

std::string end_text(const SweepRun& run) {
  if (run.diverged) return fmt::format("diverged at step {}, epoch {}", run.diverged->step, run.diverged->epoch);
  const TrainResult& result = *run.result;
  if (result.history.empty()) return fmt::format("validation accuracy {}", human_percent(result.validation.metrics.top1));
  return fmt::format("validation accuracy {}, {} epoch {} of {}", human_percent(result.validation.metrics.top1),
                     result.options.keep == Keep::kLast ? "kept" : "best", result.best_epoch, result.history.size());
}

}  // namespace

// "lr 0.01, momentum 0.9, seed 0".
std::string SweepView::name_of(const SweepCase& one, std::uint64_t seed) const {
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < axes_.size(); ++i) parts.push_back(fmt::format("{} {}", axes_[i].name, one.values[i]));
  return fmt::format("{}, seed {}", fmt::join(parts, ", "), seed);
}

SweepCallbacks SweepView::callbacks() {
  SweepCallbacks callbacks;
  callbacks.on_begin = [this](const SweepCase& one, std::uint64_t seed) { run_.begin(name_of(one, seed)); };
  callbacks.on_end = [this](const SweepCase& one, const SweepRun& run) {
    run_.finish();
    console_.say(fmt::format("{}: {}", name_of(one, run.seed), end_text(run)));
  };
  callbacks.training = run_.callbacks();
  return callbacks;
}

}  // namespace headstart::cli
