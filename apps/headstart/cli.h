// The command line as a whole: the tree of subcommands, what each needs from the program, and how failure becomes an exit code.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "terminal.h"

namespace headstart::cli {

// What a subcommand works with. A chosen subcommand leaves its work in `action`; it runs when the whole command line has been understood.
struct Context {
  Console console;
  std::vector<std::string> arguments;  // the command line behind the program's name
  std::function<void()> action;
};

// Adds one subcommand each (one file each). `context` outlives the app.
void add_train(CLI::App& app, Context& context);
void add_launch(CLI::App& app, Context& context);
void add_eval(CLI::App& app, Context& context);
void add_predict(CLI::App& app, Context& context);
void add_inspect(CLI::App& app, Context& context);
void add_preview(CLI::App& app, Context& context);
void add_models(CLI::App& app, Context& context);
void add_book(CLI::App& app, Context& context);
void add_sweep(CLI::App& app, Context& context);
void add_compare(CLI::App& app, Context& context);
void add_fetch(CLI::App& app, Context& context);
void add_convert(CLI::App& app, Context& context);
void add_completion(CLI::App& app, Context& context);

// A subcommand with --quiet and --verbose, its examples below the help.
CLI::App* add_command(CLI::App& app, Context& context, const std::string& name, const std::string& description,
                      const std::string& examples);

// Understands a command line without doing what it asks for; false when it asked for help or the version, which are shown. Throws
// Error(kUsage) for a mistake.
bool check_command_line(const std::vector<std::string>& arguments);

// Runs the program; returns its exit code (docs/exit-codes.md).
int run(int argc, char** argv);

}  // namespace headstart::cli
