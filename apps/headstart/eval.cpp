// headstart eval: score a model on a folder of labelled photos.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "cli.h"
#include "headstart/classifier.h"
#include "headstart/dataset.h"
#include "headstart/error.h"
#include "headstart/evaluate.h"
#include "interrupt.h"
#include "options.h"
#include "output.h"
#include "progress.h"
#include "text.h"

namespace headstart::cli {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  headstart eval runs/photos-1/model.safetensors photos/\n"
    "  headstart eval model.safetensors photos/test --json --output figures.json\n"
    "  headstart eval model.safetensors photos/test --csv > classes.csv\n"
    "\n"
    "PHOTOS is a folder of class folders named as the model's classes. Of a folder with test/ (or else val/) inside, that is taken.\n"
    "Photos that cannot be read are left out, listed, and make the exit code 9.";

struct EvalRequest {
  std::filesystem::path model, photos, output, predictions;
  bool json = false;
  bool csv = false;
  ClassifierOptions classifier;
  int batch_size = 32;
};

std::string to_json(const EvalRequest& request, const Evaluation& evaluation, const std::vector<std::string>& classes) {
  nlohmann::ordered_json json = {{"model", request.model.string()}, {"folder", request.photos.string()}};
  json.update(nlohmann::ordered_json::parse(metrics_to_json(evaluation.metrics, classes)));
  json["unreadable"] = nlohmann::ordered_json::array();
  for (const Problem& problem : evaluation.unreadable) json["unreadable"].push_back({{"path", problem.path}, {"error", problem.reason}});
  return json_text(json, 2) + "\n";
}

void write_predictions(const std::filesystem::path& file, const Evaluation& evaluation, const std::vector<std::string>& classes) {
  Output output(file);
  output.write(predictions_to_csv(evaluation.photos, classes));
  output.finish();
}

Evaluation score(const EvalRequest& request, const Classifier& classifier, Console& console) {
  const Catalog catalog = scan_for_evaluation(request.photos, classifier.info().classes);
  for (const Problem& problem : catalog.problems) console.warn(problem_text(problem));
  Progress progress(console, "Evaluating");
  EvaluateOptions options;
  options.batch_size = request.batch_size;
  options.on_progress = [&progress](std::int64_t done, std::int64_t total) { progress.update(done, total); };
  options.should_stop = interrupted;
  return evaluate(classifier, catalog, Split::kTest, options);
}

void run_eval(const EvalRequest& request, Context& context) {
  set_interrupt_notice("Stopping; Ctrl-C again ends at once.");
  const Classifier classifier = Classifier::open(request.model, request.classifier);
  const std::vector<std::string>& classes = classifier.info().classes;
  const Evaluation evaluation = score(request, classifier, context.console);
  Output output(request.output);
  if (request.json) {
    output.write(to_json(request, evaluation, classes));
  } else if (request.csv) {
    output.write(metrics_to_csv(evaluation.metrics, classes));
  } else {
    output.write(
        metrics_to_text(evaluation.metrics, classes, is_terminal(output.descriptor()) ? terminal_columns(output.descriptor()) : 80));
  }
  output.finish();
  if (!request.predictions.empty()) write_predictions(request.predictions, evaluation, classes);
  for (const Problem& problem : evaluation.unreadable) {
    context.console.warn("left out " + problem_text(problem));
  }
  if (!evaluation.unreadable.empty()) {
    const auto bad = static_cast<std::int64_t>(evaluation.unreadable.size());
    throw Error(ErrorCategory::kPartial,
                fmt::format("{} could not be read and {} left out", count_text(bad, "photo"), bad == 1 ? "was" : "were"));
  }
}

}  // namespace

void add_eval(CLI::App& app, Context& context) {
  CLI::App* const command = add_command(app, context, "eval", "Score a model on a folder of labelled photos", kExamples);
  const auto request = std::make_shared<EvalRequest>();
  command->add_option("MODEL", request->model, "Model file of a run: model.safetensors")->type_name("MODEL")->required();
  command->add_option("PHOTOS", request->photos, "Folder of labelled photos")->type_name("PHOTOS")->required();
  CLI::Option* const json = command->add_flag("--json", request->json, "One JSON object (default: a table for people)");
  command->add_flag("--csv", request->csv, "One CSV row a class")->excludes(json);
  command->add_option("--output", request->output, "Write the result there (default: standard output)")->type_name("FILE");
  command->add_option("--predictions", request->predictions, "Write one CSV row a photo there (default: none)")->type_name("FILE");
  add_count(*command, "--batch-size", request->batch_size, 1, "Photos at a time (default: 32)")->group("Machine");
  add_classifier_options(*command, request->classifier);
  command->callback([request, &context] { context.action = [request, &context] { run_eval(*request, context); }; });
}

}  // namespace headstart::cli
