// How to use the model, and everything that is needed to train it again.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "report/html_text.h"
#include "report/report_parts.h"
#include "report/run_files.h"

namespace headstart {
namespace {

// For a POSIX shell: bare when nothing in it is special, else in single quotes.
std::string shell_quoted(const std::string& text) {
  const bool bare = !text.empty() &&
                    text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./+:,@-") == std::string::npos &&
                    text[0] != '-';
  if (bare) return text;
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string code(const std::string& text) { return "<pre><code>" + html_text(text) + "</code></pre>"; }

constexpr const char* kCpp = R"(#include <headstart/classifier.h>

const auto classifier = headstart::Classifier::open("model.safetensors");
const auto probabilities = classifier.predict_file("photo.jpg");
for (const auto& [label, probability] : headstart::top_scores(probabilities, 3))
  std::printf("%s %.1f%%\n", classifier.info().classes[label].c_str(), 100 * probability);)";

constexpr const char* kPython = R"(import json
from safetensors import safe_open

with safe_open("model.safetensors", framework="pt") as model:
    classes = json.loads(model.metadata()["headstart.classes"])
    preprocessing = json.loads(model.metadata()["headstart.preprocessing"])
    # probabilities = softmax(logits / temperature)
    temperature = float(model.metadata()["headstart.temperature"])
    weights = {name: model.get_tensor(name) for name in model.keys()})";

std::string python_snippet(const std::string& architecture) {
  // Only these names are torchvision's own; the tensors of the others fit their publishers' classes.
  if (architecture.rfind("resnet", 0) != 0 || architecture.find("v2") != std::string::npos) return kPython;
  return fmt::format(
      "{}\n\nimport torchvision\nnetwork = torchvision.models.{}(num_classes=len(classes)).eval()\nnetwork.load_state_dict(weights)",
      kPython, architecture);
}

std::string option_text(const nlohmann::ordered_json& value) {
  if (value.is_object() && value.contains("bytes_hex")) return value["text"].get<std::string>();  // a path that is no UTF-8
  if (!value.is_array()) return value.is_string() ? value.get<std::string>() : value.dump();
  std::string out;
  for (const auto& item : value) out += (out.empty() ? "" : ", ") + item.dump();
  return out;
}

std::string pair_row(std::string_view name, std::string_view value) {
  return fmt::format("<tr><td class=\"left\"><code>{}</code></td><td class=\"wrap left\">{}</td></tr>", html_text(name), html_name(value));
}

}  // namespace

std::string usage_section(const ReportContext& context) {
  const TrainResult& result = context.result;
  const std::string model = shell_quoted(result.model_file.empty() ? std::string("model.safetensors") : result.model_file.string());
  const std::string commands = fmt::format(
      "# name photos, or all photos below a folder\nheadstart predict {0} photo.jpg\nheadstart predict {0} folder/ --csv > names.csv\n\n"
      "# score it on labelled photos\nheadstart eval {0} {1}\n\n# what the file says of itself\nheadstart inspect {0}",
      model, shell_quoted(result.options.photos.empty() ? std::string("photos/") : result.options.photos.string()));
  return section(
      "use", "How to use this model",
      "<p>Everything is in one file, <code>model.safetensors</code>: the weights, the names of the classes and how photos are "
      "prepared.</p><h3>Command line</h3>" +
          code(commands) + "<h3>C++</h3>" + code(kCpp) +
          "<h3>Python</h3><p class=\"soft\">The weights carry the published names, so PyTorch loads them without headstart.</p>" +
          code(python_snippet(result.options.architecture)));
}

std::string options_section(const ReportContext& context) {
  const TrainResult& result = context.result;
  std::string provenance;
  for (const auto& [name, value] : context.provenance) provenance += pair_row(name, value);
  std::string options;
  const auto json = nlohmann::ordered_json::parse(options_to_json(result.options));
  for (const auto& item : json.items()) options += pair_row(item.key(), option_text(item.value()));
  return section(
      "options", "Provenance and options",
      fmt::format("<div class=\"scroll\"><table><tbody>{}</tbody></table></div><h3>Options</h3><details><summary>All {} options of the "
                  "run, as resolved</summary><div class=\"scroll\"><table><tbody>{}</tbody></table></div></details>",
                  provenance, json.size(), options));
}

}  // namespace headstart
