// Command line options: words that become enums, numbers with a range, and the names that more than one subcommand shares.
//
// A value that cannot be meant throws Error(kUsage) naming the option, what was expected and what was found. The words of a choice are kept
// as the option's type name ("sgd|adamw"): help and shell completion read them from there.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "headstart/train.h"

namespace headstart::cli {

template <typename Enum>
struct Choice {
  std::string_view word;
  Enum value;
};

inline constexpr Choice<Recipe> kRecipes[] = {{"auto", Recipe::kAuto},
                                              {"finetune", Recipe::kFinetune},
                                              {"head", Recipe::kHead},
                                              {"book-pytorch", Recipe::kBookPytorch},
                                              {"book-gluon", Recipe::kBookGluon}};
inline constexpr Choice<LossReduction> kLossReductions[] = {{"mean", LossReduction::kMean}, {"sum", LossReduction::kSum}};
inline constexpr Choice<DecayScope> kDecayScopes[] = {{"weights", DecayScope::kWeights}, {"all", DecayScope::kAll}};
inline constexpr Choice<LearningRateShape> kSchedules[] = {{"cosine", LearningRateShape::kCosine},
                                                           {"constant", LearningRateShape::kConstant}};
inline constexpr Choice<ScratchInit> kScratchInits[] = {{"torchvision", ScratchInit::kTorchvision}, {"xavier", ScratchInit::kXavier}};
inline constexpr Choice<HeadInit> kHeadInits[] = {
    {"xavier", HeadInit::kXavier}, {"zero", HeadInit::kZero}, {"class", HeadInit::kClass}, {"probe", HeadInit::kProbe}};
inline constexpr Choice<HeadBias> kHeadBiases[] = {{"zero", HeadBias::kZero}, {"uniform", HeadBias::kUniform}};
inline constexpr Choice<Refit> kRefits[] = {{"none", Refit::kNone}, {"head", Refit::kHead}};
inline constexpr Choice<Keep> kKeeps[] = {{"best", Keep::kBest}, {"last", Keep::kLast}};
inline constexpr Choice<EpochScore> kEpochScores[] = {{"validation", EpochScore::kValidation}, {"test", EpochScore::kTest}};
inline constexpr Choice<OptimizerKind> kOptimizers[] = {{"sgd", OptimizerKind::kSgd}, {"adamw", OptimizerKind::kAdamW}};
inline constexpr Choice<BatchNormPolicy> kBatchNormPolicies[] = {
    {"train", BatchNormPolicy::kTrain}, {"frozen-statistics", BatchNormPolicy::kFrozenStatistics}, {"frozen", BatchNormPolicy::kFrozen}};
inline constexpr Choice<Imbalance> kImbalances[] = {
    {"none", Imbalance::kNone}, {"class-weights", Imbalance::kClassWeights}, {"balanced-sampler", Imbalance::kBalancedSampler}};
inline constexpr Choice<Precision> kPrecisions[] = {
    {"auto", Precision::kAuto}, {"float32", Precision::kFloat32}, {"bfloat16", Precision::kBFloat16}};
inline constexpr Choice<ResizeMode> kResizeModes[] = {{"shorter", ResizeMode::kShorterSide}, {"squash", ResizeMode::kSquash}};
inline constexpr Choice<Interpolation> kInterpolations[] = {
    {"bilinear", Interpolation::kBilinear}, {"bicubic", Interpolation::kBicubic}, {"opencv-bilinear", Interpolation::kOpenCvBilinear}};

template <typename Enum, std::size_t N>
std::string_view word_of(const Choice<Enum> (&choices)[N], Enum value) {
  for (const Choice<Enum>& choice : choices) {
    if (choice.value == value) return choice.word;
  }
  return "?";
}

// Index of `text` among `words`; throws Error(kUsage) naming the option, the words and the nearest one.
std::size_t parse_word(const std::string& option, const std::string& text, const std::vector<std::string>& words);
// A finite decimal number within [low, high]; with `above_low`, low itself is refused.
struct NumberRange {
  double low = 0;
  double high = std::numeric_limits<double>::max();
  bool above_low = false;
};
double parse_number(const std::string& option, const std::string& text, const NumberRange& range);
// Adds an option for a length of time; see parse_duration.
CLI::Option* add_duration(CLI::App& app, const std::string& name, double& seconds, const std::string& help);
std::uint64_t parse_integer(const std::string& option, const std::string& text, std::uint64_t low, std::uint64_t high);

// `target` is the enum or an optional of it.
template <typename Enum, std::size_t N, typename Target>
CLI::Option* add_choice(CLI::App& app, const std::string& name, Target& target, const Choice<Enum> (&choices)[N], const std::string& help) {
  std::vector<std::string> words;
  for (const Choice<Enum>& choice : choices) words.emplace_back(choice.word);
  const auto assign = [&target, &choices, words, name](const std::string& text) { target = choices[parse_word(name, text, words)].value; };
  return app.add_option_function<std::string>(name, assign, help)->type_name(CLI::detail::join(words, "|"));
}

// `target` is a double or an optional of it.
template <typename Target>
CLI::Option* add_number(CLI::App& app, const std::string& name, Target& target, const NumberRange& range, const std::string& help) {
  const auto assign = [&target, range, name](const std::string& text) { target = parse_number(name, text, range); };
  return app.add_option_function<std::string>(name, assign, help)->type_name("X");
}

// `target` is an int, an std::int64_t or an optional of one.
template <typename Target>
CLI::Option* add_count(CLI::App& app, const std::string& name, Target& target, std::uint64_t low, const std::string& help) {
  const auto assign = [&target, low, name](const std::string& text) {
    target = static_cast<int>(parse_integer(name, text, low, std::numeric_limits<int>::max()));
  };
  return app.add_option_function<std::string>(name, assign, help)->type_name("N");
}

CLI::Option* add_seed(CLI::App& app, std::uint64_t& seed, const std::string& help);
// --ignore-exif, --drop-alpha, --max-pixels.
void add_decode_options(CLI::App& app, DecodeOptions& decode);
// --device, --precision, --threads of a classifier.
void add_classifier_options(CLI::App& app, ClassifierOptions& options);
void add_device_option(CLI::App& app, std::string& device, const std::string& help);

// False for a flag.
bool takes_value(const CLI::Option& option);
// The words that a choice may take; empty for free text: only lower-case words are meant literally in a type name.
std::vector<std::string> choice_words(const CLI::Option& option);
// A long option's name without dashes and with '_': "batch_size", as in run.json.
std::string option_key(const CLI::Option& option);
// The options that were given, by that name, with the text of their value ("true" for a flag; several values one a line).
std::vector<std::pair<std::string, std::string>> given_options(const CLI::App& app);

// Help that is wrapped to the terminal's width.
class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter();
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override;
  std::string make_option_opts(const CLI::Option* option) const override;
  std::string make_option_desc(const CLI::Option* option) const override;
  std::string make_subcommand(const CLI::App* command) const override;

 private:
  std::string wrap(const std::string& text) const;
  int columns_;
};

}  // namespace headstart::cli
