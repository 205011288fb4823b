// headstart predict: name photos with a trained model, as a stream.
#include <fmt/format.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "cli.h"
#include "headstart/classifier.h"
#include "headstart/error.h"
#include "interrupt.h"
#include "options.h"
#include "output.h"
#include "path_source.h"
#include "progress.h"
#include "text.h"

namespace headstart::cli {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  headstart predict model.safetensors cat.jpg dog.png\n"
    "  headstart predict model.safetensors photos/ --top 1 --csv --output names.csv\n"
    "  find photos -name '*.jpg' -print0 | headstart predict model.safetensors - --null --json\n"
    "\n"
    "With --json every photo is one line: {\"path\", \"label\", \"probability\", \"top\": [{\"label\", \"probability\"}, ...]}, or\n"
    "{\"path\", \"error\"} for a photo that cannot be read; such photos make the exit code 9.";

struct PredictRequest {
  std::filesystem::path model, output;
  std::vector<std::string> inputs;
  bool json = false;
  bool csv = false;
  bool null_separated = false;
  int top = 3;
  int batch_size = 32;
  ClassifierOptions classifier;
};

// One row a photo, in the form that was asked for.
class RowWriter {
 public:
  RowWriter(const PredictRequest& request, const std::vector<std::string>& classes, const Paint& paint)
      : request_(request), classes_(classes), top_(std::min(request.top, static_cast<int>(classes.size()))), paint_(paint) {}

  // Empty where the form has no header.
  std::string header() const {
    if (!request_.csv) return "";
    std::string text = "path,error";
    for (int k = 1; k <= top_; ++k) text += k == 1 ? ",label,probability" : fmt::format(",label_{0},probability_{0}", k);
    return text + "\n";
  }

  std::string row(const PhotoPrediction& photo) const {
    const std::vector<ClassScore> scores = photo.error.empty() ? top_scores(photo.probabilities, top_) : std::vector<ClassScore>();
    return (request_.json ? json_row(photo, scores) : request_.csv ? csv_row(photo, scores) : text_row(photo, scores)) + "\n";
  }

 private:
  const std::string& name(const ClassScore& score) const { return classes_[static_cast<std::size_t>(score.label)]; }

  std::string json_row(const PhotoPrediction& photo, const std::vector<ClassScore>& scores) const {
    nlohmann::ordered_json json = {{"path", photo.path.string()}};
    if (scores.empty()) {
      json["error"] = photo.error;
      return json_text(json);
    }
    json["label"] = name(scores.front());
    json["probability"] = scores.front().probability;
    for (const ClassScore& score : scores) json["top"].push_back({{"label", name(score)}, {"probability", score.probability}});
    return json_text(json);
  }

  std::string csv_row(const PhotoPrediction& photo, const std::vector<ClassScore>& scores) const {
    std::string text = csv_field(photo.path.string()) + "," + csv_field(photo.error);
    for (const ClassScore& score : scores) text += fmt::format(",{},{:.6f}", csv_field(name(score)), score.probability);
    if (scores.empty()) text.append(2 * static_cast<std::size_t>(top_), ',');
    return text;
  }

  std::string text_row(const PhotoPrediction& photo, const std::vector<ClassScore>& scores) const {
    std::string text = printable(photo.path.string()) + ": ";
    if (scores.empty()) return text + paint_.red("error: " + printable(photo.error));
    for (std::size_t k = 0; k < scores.size(); ++k) {
      const std::string label = printable(name(scores[k]));
      text += fmt::format("{}{} {}", k == 0 ? "" : ", ", k == 0 ? paint_.bold(label) : label, human_percent(scores[k].probability));
    }
    return text;
  }

  const PredictRequest& request_;
  const std::vector<std::string>& classes_;
  int top_;
  Paint paint_;
};

void run_predict(const PredictRequest& request, Context& context) {
  set_interrupt_notice("Stopping after these photos; Ctrl-C again ends at once.");
  const Classifier classifier = Classifier::open(request.model, request.classifier);
  Output output(request.output);
  const RowWriter writer(request, classifier.info().classes, request.output.empty() ? paint_for(STDOUT_FILENO) : Paint(false));
  output.write(writer.header());
  PathSource source(request.inputs, request.null_separated ? '\0' : '\n');
  // Rows on the terminal are progress enough.
  const bool rows_are_seen = isatty(output.descriptor()) == 1;
  Progress progress(context.console, "Predicting");
  std::int64_t photos = 0;
  std::int64_t failed = 0;
  Classifier::StreamOptions options;
  options.batch_size = request.batch_size;
  options.should_stop = interrupted;
  const auto sink = [&](const PhotoPrediction& photo) {
    ++photos;
    if (!photo.error.empty()) ++failed;
    try {
      output.write(writer.row(photo));
    } catch (...) {
      source.close();  // the stream waits for next() before it lets the exception out
      throw;
    }
    if (!rows_are_seen) progress.update(photos, 0);
  };
  classifier.predict_stream([&source] { return source.next(); }, sink, options);
  if (interrupted()) throw Error(ErrorCategory::kInterrupted, fmt::format("interrupted after {}", count_text(photos, "photo")));
  if (photos == 0) throw Error(ErrorCategory::kData, "predict: no photos were found in what was named");
  output.finish();
  if (failed > 0)
    throw Error(ErrorCategory::kPartial, fmt::format("{} of {} could not be read", human_count(failed), count_text(photos, "photo")));
}

}  // namespace

void add_predict(CLI::App& app, Context& context) {
  CLI::App* const command = add_command(app, context, "predict", "Name photos with a trained model", kExamples);
  const auto request = std::make_shared<PredictRequest>();
  command->add_option("MODEL", request->model, "Model file of a run: model.safetensors")->type_name("MODEL")->required();
  command->add_option("PHOTO", request->inputs, "Photos, folders of photos, or - for paths from standard input, one a line")
      ->type_name("PHOTO|FOLDER|-")
      ->required();
  add_count(*command, "--top", request->top, 1, "Name the K likeliest classes (default: 3)")->type_name("K");
  CLI::Option* const json = command->add_flag("--json", request->json, "JSON Lines: one object a photo (default: text for people)");
  command->add_flag("--csv", request->csv, "One CSV row a photo, with a header")->excludes(json);
  command->add_option("--output", request->output, "Write the rows there (default: standard output)")->type_name("FILE");
  command->add_flag("-0,--null", request->null_separated, "Paths on standard input end in a zero byte (default: in a line feed)");
  add_count(*command, "--batch-size", request->batch_size, 1,
            "Photos at a time; 1 answers each line of standard input at once (default: 32)")
      ->group("Machine");
  add_classifier_options(*command, request->classifier);
  command->callback([request, &context] { context.action = [request, &context] { run_predict(*request, context); }; });
}

}  // namespace headstart::cli
