// headstart sweep: the same training over a grid of values.
#include "headstart/sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "cli.h"
#include "grid.h"
#include "headstart/error.h"
#include "log.h"
#include "options.h"
#include "output.h"
#include "run_training.h"
#include "sweep_view.h"
#include "text.h"

namespace headstart::cli {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  headstart sweep photos/ --lr 1e-4:1e-1:log:7\n"
    "  headstart sweep photos/ --recipe head --lr 1e-3:1:log:7 --seeds 3\n"
    "  headstart sweep photos/ --lr 1e-3,1e-2 --param momentum=0,0.9 --epochs 3 --out runs/rates\n"
    "\n"
    "VALUES are a,b,c or from:to:log|lin:count. Each run has its own folder in OUT, beside sweep.html with the chart. Validation photos\n"
    "choose the best values, never test photos. The same command goes on where it was interrupted.";

struct SweepRequest {
  TrainRequest train;
  std::string lr;
  std::vector<std::string> params;
  int seeds = 1;
};

std::vector<SweepAxis> axes_of(const SweepRequest& request) {
  std::vector<SweepAxis> axes;
  if (!request.lr.empty()) axes.push_back(parse_axis("lr", request.lr));
  for (const std::string& param : request.params) {
    const std::size_t equals = param.find('=');
    if (equals == std::string::npos) {
      throw Error(ErrorCategory::kUsage, fmt::format("--param: expected NAME=VALUES, found '{}'", printable(param)));
    }
    axes.push_back(parse_axis(param.substr(0, equals), param.substr(equals + 1)));
  }
  if (axes.empty()) throw Error(ErrorCategory::kUsage, "sweep: nothing to vary; give --lr VALUES or --param NAME=VALUES");
  return axes;
}

// An option has one value or several, said in one place.
void refuse_twice(const std::vector<SweepAxis>& axes, const OptionTexts& common) {
  std::vector<std::string> names;
  for (const auto& [name, text] : common) names.push_back(name);
  for (const SweepAxis& axis : axes) {
    if (std::find(names.begin(), names.end(), axis.name) != names.end()) {
      throw Error(ErrorCategory::kUsage, fmt::format("sweep: {} is given twice", axis.name));
    }
    names.push_back(axis.name);
  }
}

void run_sweep(const CLI::App& command, const SweepRequest& request, Context& context) {
  Console& console = context.console;
  SweepOptions options{.axes = axes_of(request), .cases = {}, .seeds = request.seeds, .out = request.train.options.out};
  OptionTexts common = given_options_of_train(command);
  common.erase("lr");  // of this name, the sweep's own is another option: an axis
  refuse_twice(options.axes, common);
  // Of the recipe auto one would see the fitted head wherever a value does not pay.
  const bool varies = std::any_of(options.axes.begin(), options.axes.end(), [](const SweepAxis& axis) { return axis.name == "recipe"; });
  if (!varies) common.try_emplace("recipe", word_of(kRecipes, Recipe::kFinetune));
  options.shared = std::make_shared<SharedInputs>();
  options.cases = cases_of(request.train.options.photos.string(), common, options.axes, options.shared);
  options.log = make_log_sink(console, request.train.log_file);
  SweepView view(console, options.axes);
  const SweepResult result = sweep(options, view.callbacks());
  Output output;
  output.write(sweep_to_text(result));
  output.write(fmt::format("\nruns    {}\nreport  {}\n", printable(result.out.string()), printable((result.out / "sweep.html").string())));
  output.finish();
}

}  // namespace

void add_sweep(CLI::App& app, Context& context) {
  CLI::App* const command =
      add_command(app, context, "sweep", "The same training over a grid of values: which is best, where it diverges", kExamples);
  const auto request = std::make_shared<SweepRequest>();
  add_options_of_train(*command, request->train, {"--resume", "--lr", "--score"});
  command->get_option("PHOTOS")->required();
  command->get_option("--out")->description("Folder of the runs and the report (default: runs/sweep-<photos>-<n>)");
  CLI::Option* const recipe = command->get_option("--recipe");
  recipe->description(recipe->get_description() + "; of a sweep: finetune");
  const std::string group = "Sweep";
  command->add_option("--lr", request->lr, "Learning rates: short for --param lr=VALUES")->type_name("VALUES")->group(group);
  command
      ->add_option("--param", request->params,
                   "Values of a numeric or choice option of train, e.g. momentum=0,0.9; several times: the grid")
      ->type_name("NAME=VALUES")
      ->allow_extra_args(false)
      ->group(group);
  add_count(*command, "--seeds", request->seeds, 1, "Runs for each combination, with seeds one after the other (default: 1)")->group(group);
  command->callback([command, request, &context] {
    context.action = [command, request, &context] { with_going_on(context, [&] { run_sweep(*command, *request, context); }); };
  });
}

}  // namespace headstart::cli
