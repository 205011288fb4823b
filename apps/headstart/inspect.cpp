// headstart inspect: what training would see in a folder of photos, or what a model file says of itself.
#include <fmt/format.h>
#include <unistd.h>

#include <memory>

#include "cli.h"
#include "headstart/classifier.h"
#include "headstart/dataset.h"
#include "headstart/error.h"
#include "inspect_text.h"
#include "interrupt.h"
#include "options.h"
#include "output.h"
#include "progress.h"
#include "text.h"

namespace headstart::cli {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  headstart inspect photos/                            classes, counts, sizes, duplicates, unreadable photos\n"
    "  headstart inspect photos/ --json | jq .unreadable\n"
    "  headstart inspect runs/photos-1/model.safetensors    architecture, classes, preprocessing, metrics, provenance";

struct InspectRequest {
  std::filesystem::path target;
  bool json = false;
  bool all = false;
  ScanOptions scan;
  AuditOptions audit;
};

void inspect_photos(const InspectRequest& request, Context& context) {
  set_interrupt_notice("Stopping; Ctrl-C again ends at once.");
  const Catalog catalog = scan_photos(request.target, request.scan);
  AuditOptions options = request.audit;
  options.should_stop = interrupted;
  AuditReport report;
  {
    Progress progress(context.console, "Inspecting");
    options.on_progress = [&progress](std::int64_t done, std::int64_t total) { progress.update(done, total); };
    report = audit(catalog, options);
  }
  Output().write(request.json ? json_text(audit_json(catalog, report), 2) + "\n"
                              : audit_text(catalog, report, {.all = request.all, .paint = paint_for(STDOUT_FILENO)}));
}

void inspect_model(const InspectRequest& request) {
  const ModelInfo info = read_model_info(request.target);
  Output().write(request.json ? json_text(model_json(info), 2) + "\n"
                              : model_text(request.target, info, {.all = request.all, .paint = paint_for(STDOUT_FILENO)}));
}

void run_inspect(const InspectRequest& request, Context& context) {
  std::error_code ignored;
  const auto status = std::filesystem::status(request.target, ignored);
  if (!std::filesystem::exists(status)) {
    throw Error(ErrorCategory::kFile, fmt::format("inspect: there is no file or folder {}", printable(request.target.string())));
  }
  if (std::filesystem::is_directory(status)) {
    inspect_photos(request, context);
  } else {
    inspect_model(request);
  }
}

}  // namespace

void add_inspect(CLI::App& app, Context& context) {
  CLI::App* const command = add_command(app, context, "inspect", "Show what is in a folder of photos, or in a model file", kExamples);
  const auto request = std::make_shared<InspectRequest>();
  command->add_option("TARGET", request->target, "Folder of photos, or the model file of a run")->type_name("PHOTOS|MODEL")->required();
  command->add_flag("--json", request->json, "One JSON object with everything (default: text for people)");
  command->add_flag("--all", request->all, "List every class, duplicate and problem (default: the first ten)");
  add_number(*command, "--validation-fraction", request->scan.validation_fraction, {.high = 1, .above_low = true},
             "As of train (default: 0.2)")
      ->group("Reading photos");
  add_seed(*command, request->scan.seed, "As of train: decides which photos are set aside (default: 0)")->group("Reading photos");
  add_decode_options(*command, request->audit.decode);
  add_count(*command, "--threads", request->audit.threads, 0, "Threads (default: 0, all cores)")->group("Machine");
  command->callback([request, &context] { context.action = [request, &context] { run_inspect(*request, context); }; });
}

}  // namespace headstart::cli
