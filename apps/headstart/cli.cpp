#include "cli.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "headstart/distributed.h"
#include "headstart/error.h"
#include "interrupt.h"
#include "options.h"
#include "output.h"
#include "text.h"

namespace headstart::cli {
namespace {

constexpr const char* kFooter =
    "Examples:\n"
    "  headstart train photos/                      fine-tune the default model on a folder of class folders\n"
    "  headstart eval runs/photos-1/model.safetensors photos/test\n"
    "  headstart predict runs/photos-1/model.safetensors new.jpg\n"
    "  headstart inspect photos/                    what training would see, and what is wrong with it\n"
    "\n"
    "Results go to standard output, everything else to standard error. Exit codes: 0 done, 2 usage, 3 photos, 4 model,\n"
    "5 files, 6 network, 7 training diverged, 8 device, 9 done but some photos could not be read, 130 interrupted.";

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) names.push_back(command->get_name());
  return names;
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

// What the person should have typed, from the state in which the parser gave up.
std::string usage_message(const CLI::App& app, const CLI::ParseError& error) {
  const std::vector<CLI::App*> chosen = app.get_subcommands();
  const CLI::App& where = chosen.empty() ? app : *chosen.front();
  const std::string command = chosen.empty() ? "headstart" : "headstart " + where.get_name();
  const std::string help = fmt::format("; see {} --help", command);
  for (const std::string& rest : app.remaining(true)) {
    if (rest.size() > 1 && rest.front() == '-' && rest != "--") {
      const std::string name = rest.substr(0, rest.find('='));
      return fmt::format("unknown option {}{}{}", printable(name), suggestion(name, option_names(where)), help);
    }
    if (chosen.empty()) {
      const std::vector<std::string> names = command_names(app);
      return fmt::format("unknown command '{}'{}; the commands are {}", printable(rest), suggestion(rest, names),
                         CLI::detail::join(names, ", "));
    }
  }
  return fmt::format("{}{}", printable(error.what()), help);
}

std::unique_ptr<CLI::App> make_app(Context& context) {
  auto app = std::make_unique<CLI::App>("Fine-tunes pretrained image classifiers on a folder of photos.", "headstart");
  app->formatter(std::make_shared<HelpFormatter>());
  app->set_help_flag("-h,--help", "Show this help");
  app->set_version_flag("--version", "headstart " HEADSTART_VERSION "\nLibTorch " HEADSTART_LIBTORCH_VERSION,
                        "Show the versions of headstart and LibTorch");
  app->require_subcommand(1);
  app->footer(kFooter);
  add_train(*app, context);
  add_launch(*app, context);
  add_eval(*app, context);
  add_predict(*app, context);
  add_inspect(*app, context);
  add_preview(*app, context);
  add_models(*app, context);
  add_book(*app, context);
  add_sweep(*app, context);
  add_compare(*app, context);
  add_fetch(*app, context);
  add_convert(*app, context);
  add_completion(*app, context);
  return app;
}

// False when help or the version was asked for, and shown.
bool parse(CLI::App& app, const std::vector<std::string>& arguments) {
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));  // CLI11 takes them from the back
    return true;
  } catch (const CLI::CallForHelp&) {
    const std::vector<CLI::App*> chosen = app.get_subcommands();
    Output().write(chosen.empty() ? app.help() : chosen.front()->help("headstart"));
    return false;
  } catch (const CLI::CallForVersion& version) {
    Output().write(fmt::format("{}\n", version.what()));
    return false;
  } catch (const CLI::ParseError& error) {
    throw Error(ErrorCategory::kUsage, usage_message(app, error));
  }
}

int parse_and_run(Context& context) {
  const std::unique_ptr<CLI::App> app = make_app(context);
  if (context.arguments.empty()) {
    context.console.line(app->help());
    return exit_code(ErrorCategory::kUsage);
  }
  if (parse(*app, context.arguments)) context.action();
  return 0;
}

int report(Context& context, ErrorCategory category, const std::string& message) {
  context.console.keep_figure();
  // A partial result and an interruption are states that a person asked about or caused, no errors.
  if (category == ErrorCategory::kPartial || category == ErrorCategory::kInterrupted) {
    context.console.warn(printable_lines(message));
  } else {
    context.console.error(printable_lines(message));
  }
  return exit_code(category);
}

}  // namespace

CLI::App* add_command(CLI::App& app, Context& context, const std::string& name, const std::string& description,
                      const std::string& examples) {
  CLI::App* const command = app.add_subcommand(name, description);
  command->group("Commands");
  command->footer(examples);
  Console& console = context.console;
  command->add_flag_callback(
      "-q,--quiet", [&console] { console.set_verbosity(Verbosity::kQuiet); }, "Only results, warnings and errors");
  command->add_flag_callback(
      "-v,--verbose", [&console] { console.set_verbosity(Verbosity::kVerbose); }, "Say more about what is done");
  return command;
}

bool check_command_line(const std::vector<std::string>& arguments) {
  Context context;
  return parse(*make_app(context), arguments);
}

int run(int argc, char** argv) {
  install_signal_handlers();
  Context context;
  context.arguments.assign(argv + std::min(argc, 1), argv + argc);
  try {
    return parse_and_run(context);
  } catch (const OutputClosed&) {
    context.console.keep_figure();
    signal(SIGPIPE, SIG_DFL);
    raise(SIGPIPE);
    return 128 + SIGPIPE;
  } catch (const ReportedError& error) {
    return exit_code(error.category());
  } catch (const Error& error) {
    return report(context, error.category(), error.what());
  } catch (const std::filesystem::filesystem_error& error) {
    return report(context, ErrorCategory::kFile, error.what());
  } catch (const std::bad_alloc&) {
    return report(context, ErrorCategory::kDevice, "out of memory; a smaller --batch-size needs less");
  } catch (const std::exception& error) {
    return report(context, ErrorCategory::kInternal, fmt::format("internal error, please report it: {}", error.what()));
  }
}

}  // namespace headstart::cli
