// ResolvedOptions as JSON: one table row an option, named as on the command line. Everything that reads, writes or compares options goes
// through the table, so an option cannot be stored and then be forgotten in a comparison.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/thread_pool.h"
#include "eval/json_text.h"
#include "headstart/error.h"
#include "headstart/text.h"
#include "report/json_values.h"
#include "report/run_files.h"

namespace headstart {
namespace {

constexpr int kMostCount = 1 << 30;
constexpr double kMostNumber = std::numeric_limits<double>::max();

struct Option {
  std::string name;
  std::function<Json(const ResolvedOptions&)> get;
  std::function<void(ResolvedOptions&, const Json&, const std::string& field)> set;
  std::function<std::optional<Json>(const std::string&)> parse;  // what a person typed, in the form of get(); nothing when it is no value
  bool is_path = false;
};

template <typename Number>
std::optional<Number> parse_number(const std::string& text) {
  Number value{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

// The double whose shortest text is that of the float: 0.485 rather than 0.48500001430511475. Reads back as the same float.
double shortest(float value) { return *parse_number<double>(fmt::format("{}", value)); }

// Each maker takes `at`, a generic lambda from options (const or not) to a reference to the field.
template <typename At>
Option text_option(std::string name, At at) {
  return {.name = std::move(name),
          .get = [at](const ResolvedOptions& o) { return text_to_json(at(o)); },
          .set = [at](ResolvedOptions& o, const Json& value, const std::string& field) { at(o) = text_from_json(value, field); },
          .parse = [](const std::string& text) { return std::optional<Json>(text_to_json(text)); }};
}

template <typename At>
Option path_option(std::string name, At at) {
  return {.name = std::move(name),
          .get = [at](const ResolvedOptions& o) { return text_to_json(at(o).string()); },
          .set = [at](ResolvedOptions& o, const Json& value, const std::string& field) { at(o) = text_from_json(value, field); },
          .parse = [](const std::string& text) { return std::optional<Json>(text_to_json(text)); },
          .is_path = true};
}

template <typename At>
Option count_option(std::string name, At at, std::int64_t low, std::int64_t high = kMostCount) {
  return {.name = std::move(name),
          .get = [at](const ResolvedOptions& o) { return Json(at(o)); },
          .set =
              [at, low, high](ResolvedOptions& o, const Json& value, const std::string& field) {
                using Count = std::remove_reference_t<decltype(at(o))>;
                at(o) = static_cast<Count>(whole_from_json(value, field, low, high));
              },
          .parse = [](const std::string& text) -> std::optional<Json> {
            if (const auto value = parse_number<std::int64_t>(text)) return Json(*value);
            return std::nullopt;
          }};
}

template <typename At>
Option number_option(std::string name, At at, double low, double high = kMostNumber) {
  return {.name = std::move(name),
          .get = [at](const ResolvedOptions& o) { return number_to_json(at(o)); },
          .set =
              [at, low, high](ResolvedOptions& o, const Json& value, const std::string& field) {
                const double number = number_from_json(value, field);
                if (!(number >= low && number <= high)) {
                  refuse_field(field, fmt::format("expected a number from {} to {}, found {}", low, high, number));
                }
                at(o) = number;
              },
          .parse = [](const std::string& text) -> std::optional<Json> {
            if (const auto value = parse_number<double>(text)) return number_to_json(*value);
            return std::nullopt;
          }};
}

// Seconds; typed as "2m".
template <typename At>
Option duration_option(std::string name, At at) {
  Option option = number_option(std::move(name), at, 0);
  option.parse = [](const std::string& text) -> std::optional<Json> {
    if (const auto seconds = parse_duration(text)) return number_to_json(*seconds);
    return std::nullopt;
  };
  return option;
}

// `words` in the order of the enumerators.
template <typename At>
Option choice_option(std::string name, At at, std::vector<std::string> words) {
  return {.name = std::move(name),
          .get = [at, words](const ResolvedOptions& o) { return Json(words.at(static_cast<std::size_t>(at(o)))); },
          .set =
              [at, words](ResolvedOptions& o, const Json& value, const std::string& field) {
                const std::string word = text_from_json(value, field);
                const auto found = std::find(words.begin(), words.end(), word);
                if (found == words.end()) refuse_field(field, fmt::format("expected {}, found '{}'", join_some(words, words.size()), word));
                at(o) = static_cast<std::remove_reference_t<decltype(at(o))>>(found - words.begin());
              },
          .parse =
              [](std::string text) {
                std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return c == '_' ? '-' : std::tolower(c); });
                return std::optional<Json>(text);
              }};
}

// A switch that the command line names by the value that is not the default: `on` is the field's value when it is given.
template <typename At, typename Value>
Option switch_option(std::string name, At at, Value on, Value off) {
  return {.name = std::move(name),
          .get = [at, on](const ResolvedOptions& o) { return Json(at(o) == on); },
          .set = [at, on, off](ResolvedOptions& o, const Json& value,
                               const std::string& field) { at(o) = truth_from_json(value, field) ? on : off; },
          .parse = [](const std::string& text) -> std::optional<Json> {
            if (text == "true" || text == "1") return Json(true);
            if (text == "false" || text == "0") return Json(false);
            return std::nullopt;
          }};
}

// Three numbers, of R, G and B: an array; typed as "R,G,B".
template <typename At>
Option channels_option(std::string name, At at) {
  return {.name = std::move(name),
          .get =
              [at](const ResolvedOptions& o) {
                Json values = Json::array();
                for (const float value : at(o)) values.push_back(shortest(value));
                return values;
              },
          .set =
              [at](ResolvedOptions& o, const Json& value, const std::string& field) {
                if (!value.is_array() || value.size() != 3) refuse_field(field, "expected three numbers");
                for (std::size_t i = 0; i < 3; ++i) {
                  const double number = number_from_json(value[i], field);
                  if (!std::isfinite(number)) refuse_field(field, "expected three finite numbers");
                  at(o)[i] = static_cast<float>(number);
                }
              },
          .parse = [](const std::string& text) -> std::optional<Json> {
            Json values = Json::array();
            for (std::size_t begin = 0; begin <= text.size();) {
              const std::size_t comma = std::min(text.find(',', begin), text.size());
              const auto value = parse_number<float>(text.substr(begin, comma - begin));
              if (!value) return std::nullopt;
              values.push_back(shortest(*value));
              begin = comma + 1;
            }
            return values;
          }};
}

Json map_to_json(const std::map<std::string, std::string>& map) {
  Json object = Json::object();
  for (const auto& [key, value] : map) object[key] = text_to_json(value);
  return object;
}

// Names to names: an object; typed as "NAME=VALUE", one a line.
template <typename At>
Option map_option(std::string name, At at) {
  return {.name = std::move(name),
          .get = [at](const ResolvedOptions& o) { return map_to_json(at(o)); },
          .set =
              [at](ResolvedOptions& o, const Json& value, const std::string& field) {
                if (!value.is_object()) refuse_field(field, fmt::format("expected an object, found {}", value.type_name()));
                at(o).clear();
                for (const auto& item : value.items()) at(o)[item.key()] = text_from_json(item.value(), field + "." + item.key());
              },
          .parse = [](const std::string& text) -> std::optional<Json> {
            std::map<std::string, std::string> map;
            for (std::size_t begin = 0; begin <= text.size();) {
              const std::size_t end = std::min(text.find('\n', begin), text.size());
              const std::string line = text.substr(begin, end - begin);
              const std::size_t equals = line.rfind('=');
              if (equals == std::string::npos) return std::nullopt;
              map[line.substr(0, equals)] = line.substr(equals + 1);
              begin = end + 1;
            }
            return map_to_json(map);
          }};
}

// The seed takes all 64 bits, which count_option's signed range does not hold.
Option seed_option() {
  return {.name = "seed",
          .get = [](const ResolvedOptions& o) { return Json(o.seed); },
          .set =
              [](ResolvedOptions& o, const Json& value, const std::string& field) {
                if (!value.is_number_integer() || (!value.is_number_unsigned() && value.get<std::int64_t>() < 0)) {
                  refuse_field(field, "expected a whole number of at least 0");
                }
                o.seed = value.get<std::uint64_t>();
              },
          .parse = [](const std::string& text) -> std::optional<Json> {
            if (const auto value = parse_number<std::uint64_t>(text)) return Json(*value);
            return std::nullopt;
          }};
}

std::vector<Option> run_options() {
  return {
      path_option(
          "photos", [](auto& o) -> auto& { return o.photos; }),
      path_option(
          "out", [](auto& o) -> auto& { return o.out; }),
      text_option(
          "model", [](auto& o) -> auto& { return o.model; }),
      text_option(
          "architecture", [](auto& o) -> auto& { return o.architecture; }),
      text_option(
          "model_sha256", [](auto& o) -> auto& { return o.model_sha256; }),
      choice_option("recipe", [](auto& o) -> auto& { return o.recipe; }, {"auto", "finetune", "head", "book-pytorch", "book-gluon"}),
      switch_option(
          "scratch", [](auto& o) -> auto& { return o.scratch; }, true, false),
      count_option(
          "epochs", [](auto& o) -> auto& { return o.epochs; }, 0),
      count_option(
          "batch_size", [](auto& o) -> auto& { return o.batch_size; }, 0),
      number_option(
          "lr", [](auto& o) -> auto& { return o.lr; }, 0),
      number_option(
          "head_lr_multiplier", [](auto& o) -> auto& { return o.head_lr_multiplier; }, 0),
      number_option(
          "stage_lr_decay", [](auto& o) -> auto& { return o.stage_lr_decay; }, 0, 1),
      number_option(
          "weight_average", [](auto& o) -> auto& { return o.weight_average; }, 0, 1),
      switch_option(
          "choose_resize", [](auto& o) -> auto& { return o.choose_resize; }, true, false),
      count_option(
          "patience", [](auto& o) -> auto& { return o.patience; }, 0),
      duration_option(
          "budget", [](auto& o) -> auto& { return o.budget; }),
      number_option(
          "warmup_epochs", [](auto& o) -> auto& { return o.warmup_epochs; }, 0),
      choice_option("optimizer", [](auto& o) -> auto& { return o.optimizer; }, {"sgd", "adamw"}),
      number_option(
          "momentum", [](auto& o) -> auto& { return o.momentum; }, 0, 1),
      number_option(
          "weight_decay", [](auto& o) -> auto& { return o.weight_decay; }, 0),
      choice_option("decay", [](auto& o) -> auto& { return o.decay; }, {"weights", "all"}),
      choice_option("loss", [](auto& o) -> auto& { return o.loss; }, {"mean", "sum"}),
      choice_option("schedule", [](auto& o) -> auto& { return o.schedule; }, {"cosine", "constant"}),
      choice_option("scratch_init", [](auto& o) -> auto& { return o.scratch_init; }, {"torchvision", "xavier"}),
      choice_option("head_init", [](auto& o) -> auto& { return o.head_init; }, {"xavier", "zero", "class", "probe"}),
      map_option(
          "head_class", [](auto& o) -> auto& { return o.head_class; }),
      choice_option("head_bias", [](auto& o) -> auto& { return o.head_bias; }, {"zero", "uniform"}),
      choice_option("refit", [](auto& o) -> auto& { return o.refit; }, {"none", "head"}),
      choice_option("keep", [](auto& o) -> auto& { return o.keep; }, {"best", "last"}),
      choice_option("score", [](auto& o) -> auto& { return o.score; }, {"validation", "test"}),
      number_option(
          "label_smoothing", [](auto& o) -> auto& { return o.label_smoothing; }, 0, 1),
      choice_option("imbalance", [](auto& o) -> auto& { return o.imbalance; }, {"none", "class-weights", "balanced-sampler"}),
      choice_option("batch_norm", [](auto& o) -> auto& { return o.batch_norm; }, {"train", "frozen-statistics", "frozen"}),
      text_option(
          "freeze_until", [](auto& o) -> auto& { return o.freeze_until; }),
      count_option(
          "views", [](auto& o) -> auto& { return o.views; }, 0),
      switch_option(
          "sync_batch_norm", [](auto& o) -> auto& { return o.sync_batch_norm; }, true, false),
      count_option(
          "accumulate", [](auto& o) -> auto& { return o.accumulate; }, 1),
      number_option(
          "clip_norm", [](auto& o) -> auto& { return o.clip_norm; }, 0),
      choice_option("precision", [](auto& o) -> auto& { return o.precision; }, {"auto", "float32", "bfloat16"}),
      text_option(
          "device", [](auto& o) -> auto& { return o.device; }),
      count_option(
          "threads", [](auto& o) -> auto& { return o.threads; }, 0),
      count_option(
          "processes", [](auto& o) -> auto& { return o.processes; }, 1),
      seed_option(),
      number_option(
          "validation_fraction", [](auto& o) -> auto& { return o.validation_fraction; }, 0, 1),
      number_option(
          "max_unreadable_share", [](auto& o) -> auto& { return o.max_unreadable_share; }, 0, 1),
  };
}

std::vector<Option> pixel_options() {
  return {
      choice_option("resize", [](auto& o) -> auto& { return o.preprocessing.resize_mode; }, {"shorter", "squash"}),
      count_option(
          "resize_size", [](auto& o) -> auto& { return o.preprocessing.resize_size; }, 1),
      count_option(
          "crop_size", [](auto& o) -> auto& { return o.preprocessing.crop_size; }, 1),
      choice_option("interpolation", [](auto& o) -> auto& { return o.preprocessing.interpolation; },
                    {"bilinear", "bicubic", "opencv-bilinear"}),
      channels_option(
          "mean", [](auto& o) -> auto& { return o.preprocessing.mean; }),
      channels_option(
          "std", [](auto& o) -> auto& { return o.preprocessing.std; }),
      switch_option(
          "ignore_exif", [](auto& o) -> auto& { return o.preprocessing.decode.apply_exif_orientation; }, false, true),
      switch_option(
          "drop_alpha", [](auto& o) -> auto& { return o.preprocessing.decode.alpha; }, Alpha::kDrop, Alpha::kFlattenOnWhite),
      switch_option(
          "clip_16_bit_grey", [](auto& o) -> auto& { return o.preprocessing.decode.clip_16_bit_grey; }, true, false),
      count_option(
          "max_pixels", [](auto& o) -> auto& { return o.preprocessing.decode.max_pixels; }, 1, std::int64_t{1} << 40),
      number_option(
          "min_area", [](auto& o) -> auto& { return o.augmentation.min_area; }, 0, 1),
      number_option(
          "max_area", [](auto& o) -> auto& { return o.augmentation.max_area; }, 0, 1),
      number_option(
          "min_aspect", [](auto& o) -> auto& { return o.augmentation.min_aspect; }, 0),
      number_option(
          "max_aspect", [](auto& o) -> auto& { return o.augmentation.max_aspect; }, 0),
      number_option(
          "flip_probability", [](auto& o) -> auto& { return o.augmentation.flip_probability; }, 0, 1),
      switch_option(
          "exact_augmentation", [](auto& o) -> auto& { return o.augmentation.fast_decode; }, false, true),
  };
}

const std::vector<Option>& all_options() {
  static const std::vector<Option> options = [] {
    std::vector<Option> all = run_options();
    for (Option& option : pixel_options()) all.push_back(std::move(option));
    return all;
  }();
  return options;
}

const Option& find_option(const std::string& name) {
  const std::vector<Option>& options = all_options();
  const auto found = std::find_if(options.begin(), options.end(), [&](const Option& option) { return option.name == name; });
  if (found != options.end()) return *found;
  std::vector<std::string> names;
  for (const Option& option : options) names.push_back(option.name);
  const std::string near = nearest_name(name, names);
  throw Error(ErrorCategory::kUsage,
              fmt::format("a run has no option '{}'{}", name, near.empty() ? "" : fmt::format("; did you mean '{}'?", near)));
}

// "photos/" and "./photos" are the same folder.
std::string plain_path(const std::filesystem::path& path) {
  std::string text = path.lexically_normal().string();
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

bool is_same(const Option& option, const std::optional<Json>& wanted, const Json& stored) {
  if (!wanted) return false;
  if (option.is_path) return plain_path(text_from_json(*wanted, option.name)) == plain_path(text_from_json(stored, option.name));
  return *wanted == stored;
}

// Values that leave the choice to headstart do not contradict what it chose.
bool leaves_it_open(const std::string& name, const std::string& asked) {
  return asked == "auto" && (name == "device" || name == "precision");
}

std::string plain_text(const Json& value) { return value.is_string() ? value.get<std::string>() : pretty_json(value); }

}  // namespace

std::string_view to_string(EpochScore score) { return score == EpochScore::kTest ? "test" : "validation"; }

std::string recipe_word(Recipe recipe) { return find_option("recipe").get({.recipe = recipe}).get<std::string>(); }

std::string options_to_json(const ResolvedOptions& options) {
  Json json = Json::object();
  for (const Option& option : all_options()) json[option.name] = option.get(options);
  return pretty_json(json);
}

ResolvedOptions options_from_json(const std::string& text) {
  const Json json = parse_json_object(text, "options");
  ResolvedOptions options;
  for (const Option& option : all_options()) {
    option.set(options, json_member(json, "options", option.name.c_str()), "options." + option.name);
  }
  return options;
}

std::vector<std::string> differing_options(const ResolvedOptions& run, const std::map<std::string, std::string>& asked) {
  std::vector<std::string> differing;
  for (const auto& [name, text] : asked) {
    const Option& option = find_option(name);
    if (leaves_it_open(name, text)) continue;
    std::optional<Json> wanted = option.parse(text);
    if (name == "threads" && wanted == Json(0)) wanted = Json(resolve_threads(0));
    const Json stored = option.get(run);
    if (is_same(option, wanted, stored)) continue;
    differing.push_back(fmt::format("{} (run: {}, asked: {})", name, plain_text(stored), text));
  }
  return differing;
}

std::vector<std::string> differing_options(const ResolvedOptions& run, const ResolvedOptions& asked,
                                           const std::vector<std::string>& except) {
  std::vector<std::string> differing;
  for (const Option& option : all_options()) {
    if (std::find(except.begin(), except.end(), option.name) != except.end()) continue;
    const Json stored = option.get(run), wanted = option.get(asked);
    if (!is_same(option, wanted, stored)) {
      differing.push_back(fmt::format("{} (run: {}, asked: {})", option.name, plain_text(stored), plain_text(wanted)));
    }
  }
  return differing;
}

}  // namespace headstart
