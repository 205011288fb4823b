// Options of `train` as a command of several runs varies them: NAME=VALUES, and the training that a combination of values stands for.
//
// Errors: Error(kUsage) naming the option, what was expected and what was found.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "headstart/sweep.h"
#include "train_options.h"

namespace headstart::cli {

// "a,b,c", or "from:to:log|lin:count" for a numeric option. `name` is a numeric or choice option of `train`, with '_' or '-'.
SweepAxis parse_axis(const std::string& name, const std::string& values);

// Options of `train` as texts, by name with '_'.
using OptionTexts = std::map<std::string, std::string>;

// What `train PHOTOS` with these options would do. Runs that are given the same `shared` read a source model once.
TrainOptions train_options_of(const std::string& photos, const OptionTexts& texts, const std::shared_ptr<SharedInputs>& shared);

// Every combination of the axes' values, the last axis varying fastest, each with the other options in `common`.
std::vector<SweepCase> cases_of(const std::string& photos, const OptionTexts& common, const std::vector<SweepAxis>& axes,
                                const std::shared_ptr<SharedInputs>& shared);

// Declares what `train` takes on another command, without the options in `except` ("--resume").
void add_options_of_train(CLI::App& command, TrainRequest& request, const std::vector<std::string>& except);

// The options of `train` that were given on that command: all but the command's own.
OptionTexts given_options_of_train(const CLI::App& command);

}  // namespace headstart::cli
