// headstart models: the source models that can be trained from, and whether each is here.
#include "headstart/models.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "cli.h"
#include "output.h"
#include "text.h"

namespace headstart::cli {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  headstart models\n"
    "  headstart models --json | jq -r '.[] | select(.cached) | .name'";

std::string to_json() {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const SourceModel& model : source_models()) {
    const auto file = cached_model(model);
    json.push_back({{"name", model.name},
                    {"architecture", model.architecture},
                    {"default", model.is_default},
                    {"cached", file.has_value()},
                    {"file", file ? file->string() : (model_cache_folder() / model.file_name).string()},
                    {"bytes", model.bytes},
                    {"sha256", model.sha256},
                    {"sha1", model.sha1},
                    {"licence", model.licence},
                    {"origin", model.origin},
                    {"url", model.url},
                    {"package", model.package}});
  }
  return json_text(json, 2) + "\n";
}

std::string to_text(const Paint& paint) {
  std::size_t name = 4;
  std::size_t licence = 7;
  for (const SourceModel& model : source_models()) {
    name = std::max(name, model.name.size());
    licence = std::max(licence, model.licence.size());
  }
  std::string text =
      paint.dim(fmt::format("{:<{}}  {:<4}  {:>9}  {:<{}}  {}", "name", name, "here", "size", "licence", licence, "origin")) + "\n";
  for (const SourceModel& model : source_models()) {
    const std::string here = cached_model(model) ? paint.green("yes ") : "no  ";
    text += fmt::format("{:<{}}  {}  {:>9}  {:<{}}  {}{}\n", model.name, name, here, model.bytes > 0 ? human_bytes(model.bytes) : "?",
                        model.licence, licence, model.origin, model.is_default ? paint.bold(" (default)") : "");
  }
  return text;
}

}  // namespace

void add_models(CLI::App& app, Context& context) {
  CLI::App* const command = add_command(app, context, "models", "List the source models to train from", kExamples);
  const auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "One JSON array (default: a table for people)");
  command->callback([json, &context] {
    context.action = [json, &context] {
      context.console.say(fmt::format("source models in {}; headstart fetch NAME gets one", printable(model_cache_folder().string())));
      Output().write(*json ? to_json() : to_text(paint_for(STDOUT_FILENO)));
    };
  });
}

}  // namespace headstart::cli
