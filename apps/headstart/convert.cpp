// headstart convert: weights from one file format to another.
#include <fmt/format.h>

#include <memory>

#include "cli.h"
#include "headstart/models.h"
#include "output.h"
#include "text.h"

namespace headstart::cli {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  headstart convert resnet18_v2-a81db45f.params resnet18_v2.safetensors\n"
    "  headstart convert runs/photos-1/model.safetensors model.pth\n"
    "  headstart convert resnet18-f37072fd.pth resnet18_v1.params\n"
    "\n"
    "OUT's suffix names the format: .params (Gluon), .pth or .pt (PyTorch), .safetensors. Prints the path of the file.";

struct ConvertRequest {
  std::filesystem::path in, out;
  ConvertOptions options;
};

void run_convert(const ConvertRequest& request, Context& context) {
  const Converted converted = convert_weights(request.in, request.out, request.options);
  context.console.say(fmt::format("{} ({}, {})", converted.architecture, converted.format, count_text(converted.tensors, "tensor")));
  Output().write(request.out.string() + "\n");
}

}  // namespace

void add_convert(CLI::App& app, Context& context) {
  CLI::App* const command = add_command(app, context, "convert", "Write a network's weights in another file format", kExamples);
  const auto request = std::make_shared<ConvertRequest>();
  command->add_option("IN", request->in, "Weights file: .params, PyTorch, safetensors, or the model file of a run")
      ->type_name("IN")
      ->required();
  command->add_option("OUT", request->out, "File to write")->type_name("OUT")->required();
  command
      ->add_option("--architecture", request->options.architecture,
                   "Of the network, where it cannot be told from the tensors (default: recognised)")
      ->type_name("NAME");
  command->add_flag("--force", request->options.overwrite, "Replace OUT where it exists (default: refuse)");
  command->callback([request, &context] { context.action = [request, &context] { run_convert(*request, context); }; });
}

}  // namespace headstart::cli
