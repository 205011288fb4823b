// headstart compare: several ways of training on the same photos, each with its own or its best learning rate, side by side.
#include "headstart/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "cli.h"
#include "grid.h"
#include "headstart/error.h"
#include "headstart/sweep.h"
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
    "  headstart compare photos/ --runs finetune,head,scratch\n"
    "  headstart compare photos/ --runs head,tuned:head --seeds 3\n"
    "  headstart compare photos/ --runs finetune,tuned:finetune --tune-lr 1e-4:1e-2:log:5 --epochs 3\n"
    "\n"
    "A run is a recipe (auto, finetune, head, book-pytorch, book-gluon), with +scratch from random weights; scratch alone is "
    "finetune+scratch.\n"
    "tuned:RUN takes the learning rate that the validation photos of the first seed choose in a small sweep. All train on the same photos\n"
    "and are scored on the same ones. The same command goes on where it was interrupted.";

constexpr const char* kTuned = "tuned:";
constexpr const char* kFromScratch = "+scratch";

struct CompareRequest {
  TrainRequest train;
  std::vector<std::string> runs = {"finetune", "head", "scratch"};
  std::string tune_lr;
  int seeds = 1;
};

// One way of training: "tuned:finetune+scratch".
struct Way {
  std::string name;
  Recipe recipe = Recipe::kFinetune;
  bool scratch = false;
  bool tuned = false;
};

Way parse_way(const std::string& name) {
  Way way{.name = name};
  std::string rest = name;
  way.tuned = rest.starts_with(kTuned);
  if (way.tuned) rest.erase(0, std::string_view(kTuned).size());
  if (rest == "scratch") rest = "finetune+scratch";
  way.scratch = rest.ends_with(kFromScratch);
  if (way.scratch) rest.erase(rest.size() - std::string_view(kFromScratch).size());
  std::vector<std::string> words;
  for (const Choice<Recipe>& recipe : kRecipes) words.emplace_back(recipe.word);
  words.emplace_back("scratch");
  way.recipe = kRecipes[parse_word("--runs", rest, words)].value;
  return way;
}

std::vector<Way> ways_of(const CompareRequest& request) {
  std::vector<Way> ways;
  for (const std::string& name : request.runs) {
    if (std::count(request.runs.begin(), request.runs.end(), name) > 1) {
      throw Error(ErrorCategory::kUsage, fmt::format("--runs: {} is named twice", printable(name)));
    }
    ways.push_back(parse_way(name));
  }
  return ways;
}

std::filesystem::path out_folder(const CompareRequest& request) {
  if (!request.train.options.out.empty()) return request.train.options.out;
  std::filesystem::path photos = std::filesystem::absolute(request.train.options.photos).lexically_normal();
  if (!photos.has_filename()) photos = photos.parent_path();
  return std::filesystem::path("runs") / fmt::format("compare-{}", photos.filename().string());
}

// The work of one `compare`.
class Comparing {
 public:
  Comparing(const CLI::App& command, const CompareRequest& request, Context& context)
      : request_(request), context_(context), out_(out_folder(request)), common_(given_options_of_train(command)) {}

  void carry_out() {
    const std::vector<Way> ways = ways_of(request_);
    Comparison comparison{
        .title = fmt::format("Training on {}", request_.train.options.photos.string()), .introduction = introduction(), .runs = {}};
    for (const Way& way : ways) resolve(options_of(way));  // refuses what cannot be meant before anything is trained
    for (const Way& way : ways) comparison.runs.push_back(way.tuned ? tuned(way) : plain(way));
    Output output;
    output.write(comparison_to_text(comparison));
    const std::filesystem::path report = out_ / "compare.html";
    write_file(report, comparison_to_html(comparison));
    output.write(fmt::format("\nruns    {}\nreport  {}\n", printable(out_.string()), printable(report.string())));
    output.finish();
  }

 private:
  std::string introduction() const {
    return fmt::format("{}: with each, all have trained on the same photos and are judged on the same ones.",
                       count_text(request_.seeds, "seed"));
  }

  OptionTexts texts_of(const Way& way) const {
    OptionTexts texts = common_;
    texts["recipe"] = word_of(kRecipes, way.recipe);
    if (way.scratch) texts["scratch"] = "true";
    return texts;
  }

  // The book's recipes would train on the validation photos too, and judge by the test photos alone; auto and head would learn from them in
  // the end.
  TrainOptions options_of(const Way& way) const {
    TrainOptions options = train_options_of(request_.train.options.photos.string(), texts_of(way), shared_);
    options.score = EpochScore::kValidation;
    options.refit = options.refit.value_or(Refit::kNone);
    return options;
  }

  TrainResult run(const Way& way, const TrainOptions& options) {
    context_.console.say(context_.console.paint().bold(fmt::format("{}, seed {}", way.name, options.seed)));
    return cli::carry_out(options, context_);
  }

  ComparedRuns plain(const Way& way) {
    ComparedRuns runs{.name = way.name, .seeds = {}};
    TrainOptions options = options_of(way);
    for (int i = 0; i < request_.seeds; ++i, ++options.seed) {
      options.out = out_ / fmt::format("{}-seed{}", way.name, options.seed);
      runs.seeds.push_back(run(way, options));
    }
    return runs;
  }

  // Around the rate that the way would take by itself, where no values were given.
  SweepAxis rates_of(const Way& way) const {
    if (!request_.tune_lr.empty()) return parse_axis("lr", request_.tune_lr);
    const double own = resolve(options_of(way)).lr;
    return parse_axis("lr", fmt::format("{:.3g}:{:.3g}:log:5", own / 10, own * 10));
  }

  ComparedRuns tuned(const Way& way) {
    const SweepAxis rates = rates_of(way);
    std::string folder = way.name;
    std::replace(folder.begin(), folder.end(), ':', '-');
    SweepOptions options{.axes = {rates},
                         .cases = cases_of(request_.train.options.photos.string(), texts_of(way), {rates}, shared_),
                         .seeds = 1,
                         .out = out_ / folder,
                         .shared = shared_,
                         .log = make_log_sink(context_.console, request_.train.log_file)};
    context_.console.say(context_.console.paint().bold(fmt::format("{}: learning rates", way.name)));
    SweepView view(context_.console, options.axes);
    const SweepResult found = sweep(options, view.callbacks());
    if (!found.best) {
      throw Error(ErrorCategory::kTraining,
                  fmt::format("{}: training diverges at every learning rate; give lower ones by --tune-lr", way.name));
    }
    const SweepCase& best = options.cases[*found.best];
    const SweepRun& first = found.outcomes[*found.best].runs.front();
    ComparedRuns runs{.name = way.name, .seeds = {*first.result}};
    runs.remark =
        fmt::format("lr {}, the best of {} on the validation photos of seed {}", best.values.front(), rates.values.size(), first.seed);
    if (!first.result->test) runs.remark += ", which flatters that seed's accuracy, as there are no test photos";
    TrainOptions again = best.options;
    again.score = EpochScore::kValidation;
    for (int i = 1; i < request_.seeds; ++i) {
      ++again.seed;
      again.out = options.out / sweep_run_name(options.axes, best.values, again.seed);
      runs.seeds.push_back(run(way, again));
    }
    return runs;
  }

  const CompareRequest& request_;
  Context& context_;
  const std::filesystem::path out_;
  const OptionTexts common_;
  const std::shared_ptr<SharedInputs> shared_ = std::make_shared<SharedInputs>();
};

}  // namespace

void add_compare(CLI::App& app, Context& context) {
  CLI::App* const command =
      add_command(app, context, "compare", "Several ways of training on the same photos, side by side, with a paired test", kExamples);
  const auto request = std::make_shared<CompareRequest>();
  add_options_of_train(*command, request->train, {"--resume", "--recipe", "--scratch", "--score"});
  command->get_option("PHOTOS")->required();
  command->get_option("--out")->description("Folder of the runs and the report (default: runs/compare-<photos>)");
  const std::string group = "Comparison";
  command
      ->add_option("--runs", request->runs,
                   "Ways of training: recipes, also as tuned:RECIPE and RECIPE+scratch (default: finetune,head,scratch)")
      ->type_name("RUN,RUN,...")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->group(group);
  command
      ->add_option("--tune-lr", request->tune_lr,
                   "Learning rates that tuned: runs choose from (default: five, from a tenth to ten times the run's own)")
      ->type_name("VALUES")
      ->group(group);
  add_count(*command, "--seeds", request->seeds, 1, "How often, with seeds one after the other (default: 1)")->group(group);
  command->callback([command, request, &context] {
    context.action = [command, request, &context] { with_going_on(context, [&] { Comparing(*command, *request, context).carry_out(); }); };
  });
}

}  // namespace headstart::cli
