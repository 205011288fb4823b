#include "options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <sstream>

#include "headstart/error.h"
#include "terminal.h"
#include "text.h"

namespace headstart::cli {
namespace {

constexpr int kHelpColumn = 30;

[[noreturn]] void refuse(const std::string& option, const std::string& expected, const std::string& found) {
  throw Error(ErrorCategory::kUsage, fmt::format("{}: expected {}, found '{}'", option, expected, printable(found)));
}

std::string range_text(const NumberRange& range) {
  const bool open_end = range.high == std::numeric_limits<double>::max();
  const std::string low = fmt::format("{} {}", range.above_low ? "above" : open_end ? "of at least" : "from", range.low);
  if (open_end) return "a number " + low;
  return fmt::format("a number {} {} {}", low, range.above_low ? "and up to" : "to", range.high);
}

}  // namespace

std::size_t parse_word(const std::string& option, const std::string& text, const std::vector<std::string>& words) {
  const auto found = std::find(words.begin(), words.end(), text);
  if (found == words.end()) {
    throw Error(ErrorCategory::kUsage,
                fmt::format("{}: expected {}, found '{}'{}", option, fmt::join(words, " or "), printable(text), suggestion(text, words)));
  }
  return static_cast<std::size_t>(found - words.begin());
}

double parse_number(const std::string& option, const std::string& text, const NumberRange& range) {
  // A stream with the classic locale: strtod would follow the person's decimal comma, and from_chars for double is missing in libc++ 14.
  std::istringstream stream(text);
  stream.imbue(std::locale::classic());
  double value = 0;
  const bool whole = static_cast<bool>(stream >> std::noskipws >> value) && stream.peek() == std::istringstream::traits_type::eof();
  const bool inside =
      whole && std::isfinite(value) && value >= range.low && value <= range.high && !(range.above_low && value == range.low);
  if (!inside) refuse(option, range_text(range), text);
  return value;
}

std::uint64_t parse_integer(const std::string& option, const std::string& text, std::uint64_t low, std::uint64_t high) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < low || value > high) {
    refuse(option, fmt::format("a whole number from {} to {}", low, high), text);
  }
  return value;
}

CLI::Option* add_duration(CLI::App& app, const std::string& name, double& seconds, const std::string& help) {
  const auto assign = [&seconds, name](const std::string& text) {
    const std::optional<double> value = parse_duration(text);
    if (!value) refuse(name, "a length of time such as 90s, 2m or 1h30m", text);
    seconds = *value;
  };
  return app.add_option_function<std::string>(name, assign, help)->type_name("TIME");
}

CLI::Option* add_seed(CLI::App& app, std::uint64_t& seed, const std::string& help) {
  const auto assign = [&seed](const std::string& text) {
    seed = parse_integer("--seed", text, 0, std::numeric_limits<std::uint64_t>::max());
  };
  return app.add_option_function<std::string>("--seed", assign, help)->type_name("N");
}

void add_decode_options(CLI::App& app, DecodeOptions& decode) {
  const std::string group = "Reading photos";
  app.add_flag_callback(
         "--ignore-exif", [&decode] { decode.apply_exif_orientation = false; },
         "Show photos as stored, as torchvision does (default: turned as their EXIF orientation says)")
      ->group(group);
  app.add_flag_callback(
         "--drop-alpha", [&decode] { decode.alpha = Alpha::kDrop; },
         "Forget transparency, as Pillow's convert(\"RGB\") does (default: flattened on white)")
      ->group(group);
  const auto assign = [&decode](const std::string& text) {
    decode.max_pixels = static_cast<std::int64_t>(parse_integer("--max-pixels", text, 1, std::uint64_t{1} << 40U));
  };
  app.add_option_function<std::string>("--max-pixels", assign, "Refuse larger pictures (default: 178956970, Pillow's own limit)")
      ->type_name("N")
      ->group(group);
}

void add_device_option(CLI::App& app, std::string& device, const std::string& help) {
  const auto assign = [&device](const std::string& text) {
    const bool numbered = text.starts_with("cuda:") && text.size() > 5 && text.find_first_not_of("0123456789", 5) == std::string::npos;
    if (!numbered) parse_word("--device", text, {"auto", "cpu", "cuda", "cuda:0"});
    device = text;
  };
  app.add_option_function<std::string>("--device", assign, help)->type_name("auto|cpu|cuda|cuda:N")->group("Machine");
}

void add_classifier_options(CLI::App& app, ClassifierOptions& options) {
  add_device_option(app, options.device, "Where to compute (default: auto, the first GPU that LibTorch can use, else the processor)");
  add_choice(app, "--precision", options.precision, kPrecisions, "Number format of the network (default: float32)")->group("Machine");
  add_count(app, "--threads", options.threads, 0, "Threads (default: 0, all cores)")->group("Machine");
}

bool takes_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

std::vector<std::string> choice_words(const CLI::Option& option) {
  const std::string& type = option.get_type_name();
  if (type.find('|') == std::string::npos || type.find_first_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ") != std::string::npos) return {};
  return CLI::detail::split(type, '|');
}

std::string option_key(const CLI::Option& option) {
  std::string name = option.get_lnames().front();
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

std::vector<std::pair<std::string, std::string>> given_options(const CLI::App& app) {
  std::vector<std::pair<std::string, std::string>> given;
  for (const CLI::Option* option : app.get_options()) {
    if (option->count() == 0 || option->get_lnames().empty()) continue;
    given.emplace_back(option_key(*option), takes_value(*option) ? fmt::format("{}", fmt::join(option->results(), "\n")) : "true");
  }
  return given;
}

HelpFormatter::HelpFormatter() : columns_(is_terminal(STDOUT_FILENO) ? std::clamp(terminal_columns(STDOUT_FILENO), 60, 120) : 100) {
  column_width(kHelpColumn);
  label("SUBCOMMAND", "COMMAND");
  label("Positionals", "Arguments");
}

std::string HelpFormatter::make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const {
  const std::string text = make_description(app) + "\n" + make_usage(app, std::move(name)) + make_positionals(app) +
                           make_groups(app, mode) + make_subcommands(app, mode) + "\n" + make_footer(app);
  return CLI::detail::find_and_replace(text, "\n\n\n", "\n\n");
}

std::string HelpFormatter::make_option_opts(const CLI::Option* option) const {
  const bool named_value = option->nonpositional() && takes_value(*option);
  return named_value ? " " + option->get_type_name() : "";
}

std::string HelpFormatter::wrap(const std::string& text) const {
  const int width = columns_ - kHelpColumn - 1;
  std::istringstream words(text);
  std::string out;
  int column = 0;
  for (std::string word; words >> word;) {
    const int columns = text_columns(word);
    if (column > 0 && column + 1 + columns > width) {
      out += '\n';
      column = 0;
    } else if (column > 0) {
      out += ' ';
      ++column;
    }
    out += word;
    column += columns;
  }
  return out;
}

std::string HelpFormatter::make_option_desc(const CLI::Option* option) const { return wrap(option->get_description()); }

std::string HelpFormatter::make_subcommand(const CLI::App* command) const {
  std::ostringstream out;
  CLI::detail::format_help(out, command->get_name(), wrap(command->get_description()), kHelpColumn);
  return out.str();
}

}  // namespace headstart::cli
