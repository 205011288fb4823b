#include "run_training.h"

#include <fmt/format.h>

#include "headstart/distributed.h"
#include "headstart/error.h"
#include "interrupt.h"
#include "log.h"
#include "text.h"
#include "train_view.h"

namespace headstart::cli {

TrainResult carry_out(const TrainOptions& options, Context& context) {
  TrainView view(context.console);
  TrainOptions begun = options;
  begun.log = make_log_sink(context.console, "");
  return train_or_resume(begun, view.callbacks());
}

void with_going_on(Context& context, const std::function<void()>& work) {
  if (const std::optional<Distributed> group = distributed_from_environment()) {
    throw Error(ErrorCategory::kUsage,
                fmt::format("the environment makes this process rank {} of {}, but this command carries out its trainings one after the "
                            "other in one process; start it alone, with RANK and SLURM_PROCID unset (docs/distributed.md)",
                            group->rank, group->world_size));
  }
  set_interrupt_notice("Stopping after this step with a checkpoint; Ctrl-C again ends at once.");
  try {
    work();
  } catch (const Error& error) {
    if (error.category() != ErrorCategory::kInterrupted) throw;
    context.console.warn(printable(error.what()));
    throw Error(ErrorCategory::kInterrupted, "the same command goes on from here");
  }
}

}  // namespace headstart::cli
