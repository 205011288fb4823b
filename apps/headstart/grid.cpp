#include "grid.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "headstart/error.h"
#include "options.h"
#include "text.h"

namespace headstart::cli {
namespace {

[[noreturn]] void refuse(const std::string& option, const std::string& expected, const std::string& found) {
  throw Error(ErrorCategory::kUsage, fmt::format("{}: expected {}, found '{}'", option, expected, printable(found)));
}

std::string dashed(std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

// The options of `train`, to look one up or to read a command line of our own making.
struct TrainParser {
  TrainParser() { add_train_options(app, request); }
  CLI::App app;
  TrainRequest request;
};

bool is_whole(const CLI::Option& option) { return option.get_type_name() == "N"; }
bool is_number(const CLI::Option& option) { return is_whole(option) || option.get_type_name() == "X"; }

// What a run is about or where it computes is no value to vary.
bool can_vary(const CLI::Option& option) {
  if (option.get_lnames().empty()) return false;
  const std::string& name = option.get_lnames().front();
  return name != "seed" && name != "threads" && (is_number(option) || !choice_words(option).empty());
}

const CLI::Option& varied_option(const CLI::App& train, const std::string& name) {
  std::vector<std::string> known;
  for (const CLI::Option* option : train.get_options()) {
    if (!can_vary(*option)) continue;
    known.push_back(option_key(*option));
    if (known.back() == name || option->get_lnames().front() == name) return *option;
  }
  throw Error(ErrorCategory::kUsage,
              fmt::format("--param: '{}' is no numeric or choice option of train{}", printable(name), suggestion(name, known)));
}

std::vector<double> range_values(const std::string& option, const std::string& text) {
  const std::string form = "values a,b,c or a range from:to:log|lin:count";
  const std::vector<std::string> parts = CLI::detail::split(text, ':');
  if (parts.size() != 4) refuse(option, form, text);
  const bool log = parse_word(option, parts[2], {"log", "lin"}) == 0;
  const double low = parse_number(option, parts[0], {.low = std::numeric_limits<double>::lowest()});
  const double high = parse_number(option, parts[1], {.low = std::numeric_limits<double>::lowest()});
  const int count = static_cast<int>(parse_integer(option, parts[3], 2, 1000));
  return log ? log_values(low, high, count) : linear_values(low, high, count);
}

// The ends as they were typed; of a whole number's range the values between are rounded, each once.
std::vector<std::string> range_texts(const CLI::Option& option, const std::string& name, const std::string& text) {
  const std::vector<double> numbers = range_values(name, text);
  const std::vector<std::string> parts = CLI::detail::split(text, ':');
  std::vector<std::string> values = {parts[0]};
  for (std::size_t i = 1; i + 1 < numbers.size(); ++i) {
    values.push_back(is_whole(option) ? fmt::format("{:.0f}", numbers[i]) : fmt::format("{}", numbers[i]));
  }
  values.push_back(parts[1]);
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

}  // namespace

SweepAxis parse_axis(const std::string& name, const std::string& values) {
  const TrainParser train;
  const CLI::Option& option = varied_option(train.app, name);
  const std::string shown = "--" + option.get_lnames().front();
  SweepAxis axis{.name = option_key(option), .values = {}};
  const bool is_range = is_number(option) && values.find(':') != std::string::npos;
  axis.values = is_range ? range_texts(option, shown, values) : CLI::detail::split(values, ',');
  axis.log = is_range && values.find(":log:") != std::string::npos;
  for (const std::string& value : axis.values) {
    if (std::count(axis.values.begin(), axis.values.end(), value) > 1) refuse(shown, "each value once", values);
  }
  return axis;
}

TrainOptions train_options_of(const std::string& photos, const OptionTexts& texts, const std::shared_ptr<SharedInputs>& shared) {
  TrainParser train;
  train.request.options.shared = shared;
  std::vector<std::string> words = {"train", photos};
  for (const auto& [name, text] : texts) {
    // given_options() gives several values one a line.
    const bool several = train.app.get_option("--" + dashed(name))->get_items_expected_max() > 1;
    for (const std::string& value : several ? CLI::detail::split(text, '\n') : std::vector<std::string>{text}) {
      words.push_back(fmt::format("--{}={}", dashed(name), value));
    }
  }
  std::vector<const char*> pointers;
  for (const std::string& word : words) pointers.push_back(word.c_str());
  try {
    train.app.parse(static_cast<int>(pointers.size()), pointers.data());
  } catch (const CLI::ParseError& error) {
    throw Error(ErrorCategory::kUsage, printable(error.what()));
  }
  return train_options(train.app, train.request);
}

std::vector<SweepCase> cases_of(const std::string& photos, const OptionTexts& common, const std::vector<SweepAxis>& axes,
                                const std::shared_ptr<SharedInputs>& shared) {
  std::vector<std::vector<std::string>> grid = {{}};
  for (const SweepAxis& axis : axes) {
    std::vector<std::vector<std::string>> longer;
    for (const auto& values : grid) {
      for (const std::string& value : axis.values) {
        longer.push_back(values);
        longer.back().push_back(value);
      }
    }
    grid = std::move(longer);
  }
  std::vector<SweepCase> cases;
  for (std::vector<std::string>& values : grid) {
    OptionTexts texts = common;
    for (std::size_t i = 0; i < axes.size(); ++i) texts[axes[i].name] = values[i];
    TrainOptions options = train_options_of(photos, texts, shared);
    cases.push_back({.values = std::move(values), .options = std::move(options)});
  }
  return cases;
}

void add_options_of_train(CLI::App& command, TrainRequest& request, const std::vector<std::string>& except) {
  add_train_options(command, request);
  for (const std::string& name : except) command.remove_option(command.get_option(name));
}

OptionTexts given_options_of_train(const CLI::App& command) {
  const TrainParser train;
  OptionTexts given;
  for (auto& [name, text] : given_options(command)) {
    const bool of_train = train.app.get_option_no_throw("--" + dashed(name)) != nullptr;
    if (of_train && name != "out" && name != "log_file") given[name] = text;
  }
  return given;
}

}  // namespace headstart::cli
