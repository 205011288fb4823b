#include "weights/model_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <unordered_set>

#include "core/file.h"
#include "headstart/error.h"
#include "headstart/text.h"

namespace headstart {
namespace {

using nlohmann::json;

// Frozen: model files in people's hands carry these keys (docs/formats.md).
constexpr const char* kFormatKey = "headstart.format";
constexpr const char* kArchitectureKey = "headstart.architecture";
constexpr const char* kClassesKey = "headstart.classes";
constexpr const char* kPreprocessingKey = "headstart.preprocessing";
constexpr const char* kTemperatureKey = "headstart.temperature";
constexpr const char* kMetricsKey = "headstart.metrics";
constexpr const char* kProvenanceKey = "headstart.provenance";
constexpr std::string_view kFormatVersion = "1";

constexpr double kLowestTemperature = 1e-3, kHighestTemperature = 1e3;
constexpr int kMaxSide = 4096;  // pixels
constexpr std::int64_t kMaxPixels = 1LL << 40;
constexpr std::size_t kMaxClasses = 1'000'000;

constexpr const char* kOnlyWeights =
    "it holds weights, but is no headstart model; to train a model from them: headstart train PHOTOS --model FILE";

[[noreturn]] void refuse(std::string_view field, std::string_view reason) {
  throw Error(ErrorCategory::kModel, fmt::format("field '{}': {}", field, reason));
}

json parse(std::string_view field, const std::string& text) {
  json value = json::parse(text, nullptr, false);
  if (value.is_discarded()) refuse(field, "no valid JSON");
  return value;
}

// Objects are read strictly: a field that this version does not know could change what the others mean.
class Fields {
 public:
  Fields(const json& object, std::string_view where) : object_(object), where_(where) {
    if (!object.is_object()) refuse(where, "no JSON object");
  }

  const json& at(const char* name) {
    const auto found = object_.find(name);
    if (found == object_.end()) refuse(path(name), "missing");
    seen_.insert(name);
    return *found;
  }

  std::int64_t integer(const char* name, std::int64_t low, std::int64_t high) {
    const json& value = at(name);
    const bool fits =
        value.is_number_integer() && (!value.is_number_unsigned() || value.get<std::uint64_t>() <= static_cast<std::uint64_t>(high));
    if (!fits || value.get<std::int64_t>() < low || value.get<std::int64_t>() > high) {
      refuse(path(name), fmt::format("expected a whole number from {} to {}", low, high));
    }
    return value.get<std::int64_t>();
  }

  bool truth(const char* name) {
    const json& value = at(name);
    if (!value.is_boolean()) refuse(path(name), "expected true or false");
    return value.get<bool>();
  }

  // The index of the text among `known`.
  std::size_t choice(const char* name, std::span<const std::string_view> known) {
    const json& value = at(name);
    for (std::size_t i = 0; i < known.size(); ++i) {
      if (value.is_string() && value.get_ref<const std::string&>() == known[i]) return i;
    }
    refuse(path(name), fmt::format("expected '{}'", fmt::join(known, "' or '")));
  }

  std::array<float, 3> channels(const char* name, double low) {
    const json& value = at(name);
    if (!value.is_array() || value.size() != 3) refuse(path(name), "expected three numbers");
    std::array<float, 3> numbers{};
    for (std::size_t i = 0; i < 3; ++i) {
      if (value[i].is_number()) numbers[i] = value[i].get<float>();
      if (!value[i].is_number() || !(numbers[i] > low) || !(numbers[i] < kMaxChannel)) {
        refuse(path(name), fmt::format("expected numbers above {} and below {}", low, kMaxChannel));
      }
    }
    return numbers;
  }

  void finish() const {
    for (const auto& item : object_.items()) {
      if (seen_.count(item.key()) == 0) refuse(path(item.key()), "not known; a newer headstart may have written the file");
    }
  }

  static constexpr double kMaxChannel = 1000;  // pixels lie in [0, 1]: anything near this is no mean or deviation

 private:
  std::string path(const std::string& name) const { return fmt::format("{}.{}", where_, name); }

  const json& object_;
  std::string where_;
  std::set<std::string> seen_;
};

constexpr std::array<std::string_view, 2> kResizeModes = {"shorter_side", "squash"};
constexpr std::array<std::string_view, 3> kInterpolations = {"bilinear", "bicubic", "opencv-bilinear"};
constexpr std::array<std::string_view, 2> kAlphas = {"flatten_on_white", "drop"};
static_assert(static_cast<int>(ResizeMode::kSquash) == 1 && static_cast<int>(Interpolation::kOpenCvBilinear) == 2 &&
              static_cast<int>(Alpha::kDrop) == 1);

// The double whose shortest text is that of the float: "0.485" instead of "0.48500001430511475". Reads back as the same float.
json shortest(const std::array<float, 3>& values) {
  json numbers = json::array();
  for (const float value : values) numbers.push_back(std::isfinite(value) ? json::parse(fmt::format("{}", value)) : json(nullptr));
  return numbers;
}

void check_classes(std::span<const std::string> classes, ErrorCategory category) {
  const auto fail = [&](std::string_view reason) { throw Error(category, fmt::format("the class names cannot be used: {}", reason)); };
  if (classes.empty() || classes.size() > kMaxClasses) fail(fmt::format("{} of them, expected 1 to {}", classes.size(), kMaxClasses));
  std::unordered_set<std::string_view> names;
  for (const std::string& name : classes) {
    if (name.empty() || name.find('\0') != std::string::npos) fail("one is empty or holds a zero byte");
    if (valid_utf8(name) != name) fail(fmt::format("'{}' is no valid UTF-8; rename its folder", valid_utf8(name)));
    if (!names.insert(name).second) fail(fmt::format("'{}' is there twice", name));
  }
}

std::vector<std::string> classes_from_json(const std::string& text) {
  const json value = parse(kClassesKey, text);
  if (!value.is_array()) refuse(kClassesKey, "expected a list of texts");
  std::vector<std::string> classes;
  for (const json& name : value) {
    if (!name.is_string()) refuse(kClassesKey, "expected a list of texts");
    classes.push_back(name.get<std::string>());
  }
  check_classes(classes, ErrorCategory::kModel);
  return classes;
}

std::map<std::string, double> metrics_from_json(const std::string& text) {
  const json value = parse(kMetricsKey, text);
  if (!value.is_object()) refuse(kMetricsKey, "expected a JSON object");
  std::map<std::string, double> metrics;
  for (const auto& item : value.items()) {
    if (!item.value().is_number() || !std::isfinite(item.value().get<double>()))
      refuse(kMetricsKey, fmt::format("'{}' is no number", item.key()));
    metrics[item.key()] = item.value().get<double>();
  }
  return metrics;
}

std::map<std::string, std::string> provenance_from_json(const std::string& text) {
  const json value = parse(kProvenanceKey, text);
  if (!value.is_object()) refuse(kProvenanceKey, "expected a JSON object");
  std::map<std::string, std::string> provenance;
  for (const auto& item : value.items()) {
    if (!item.value().is_string()) refuse(kProvenanceKey, fmt::format("'{}' is no text", item.key()));
    provenance[item.key()] = item.value().get<std::string>();
  }
  return provenance;
}

double temperature_from_json(const std::string& text) {
  const json value = parse(kTemperatureKey, text);
  const double temperature = value.is_number() ? value.get<double>() : 0;
  if (!(temperature >= kLowestTemperature) || !(temperature <= kHighestTemperature)) {
    refuse(kTemperatureKey, fmt::format("expected a number from {} to {}", kLowestTemperature, kHighestTemperature));
  }
  return temperature;
}

const std::string& metadata_field(const StateDict& state, const char* key) {
  const auto found = state.metadata.find(key);
  if (found == state.metadata.end()) refuse(key, "missing");
  return found->second;
}

ModelInfo info_from_metadata(const StateDict& state) {
  const auto format = state.metadata.find(kFormatKey);
  if (format == state.metadata.end()) {
    throw Error(ErrorCategory::kModel, kOnlyWeights);
  }
  if (format->second != kFormatVersion) {
    throw Error(ErrorCategory::kModel,
                fmt::format("its model format is '{}', this headstart reads '{}'; use the headstart that wrote it, or a newer one",
                            format->second, kFormatVersion));
  }
  ModelInfo info;
  info.architecture = metadata_field(state, kArchitectureKey);
  if (info.architecture.empty()) refuse(kArchitectureKey, "empty");
  info.classes = classes_from_json(metadata_field(state, kClassesKey));
  info.preprocessing = preprocessing_from_json(metadata_field(state, kPreprocessingKey));
  if (const auto found = state.metadata.find(kTemperatureKey); found != state.metadata.end()) {  // files of older versions have none
    info.temperature = temperature_from_json(found->second);
  }
  info.metrics = metrics_from_json(metadata_field(state, kMetricsKey));
  info.provenance = provenance_from_json(metadata_field(state, kProvenanceKey));
  return info;
}

// Maps the file, makes sure that it is a safetensors file, runs `read` on its bytes and puts the file's name before complaints.
template <typename Read>
auto reading(const std::filesystem::path& path, const Read& read) {
  const MappedFile file(path);
  try {
    const WeightsFormat format = sniff_weights(file.bytes());
    if (format == WeightsFormat::kUnknown) throw Error(ErrorCategory::kModel, describe_unknown(file.bytes()));
    if (format != WeightsFormat::kSafetensors) throw Error(ErrorCategory::kModel, kOnlyWeights);
    return read(file.bytes());
  } catch (const Error& error) {
    if (error.category() != ErrorCategory::kModel) throw;
    throw Error(ErrorCategory::kModel, fmt::format("cannot read the model file {}: {}", path.string(), error.what()));
  }
}

}  // namespace

std::string preprocessing_to_json(const Preprocessing& preprocessing) {
  const json value = {
      {"resize_mode", kResizeModes[static_cast<std::size_t>(preprocessing.resize_mode)]},
      {"resize_size", preprocessing.resize_size},
      {"crop_size", preprocessing.crop_size},
      {"interpolation", kInterpolations[static_cast<std::size_t>(preprocessing.interpolation)]},
      {"mean", shortest(preprocessing.mean)},
      {"std", shortest(preprocessing.std)},
      {"decode",
       {{"apply_exif_orientation", preprocessing.decode.apply_exif_orientation},
        {"alpha", kAlphas[static_cast<std::size_t>(preprocessing.decode.alpha)]},
        {"clip_16_bit_grey", preprocessing.decode.clip_16_bit_grey},
        {"max_pixels", preprocessing.decode.max_pixels}}},
  };
  return value.dump();
}

Preprocessing preprocessing_from_json(const std::string& text) {
  const json value = parse(kPreprocessingKey, text);
  Fields fields(value, "preprocessing");
  Preprocessing preprocessing;
  preprocessing.resize_mode = static_cast<ResizeMode>(fields.choice("resize_mode", kResizeModes));
  preprocessing.resize_size = static_cast<int>(fields.integer("resize_size", 1, kMaxSide));
  preprocessing.crop_size = static_cast<int>(fields.integer("crop_size", 1, kMaxSide));
  preprocessing.interpolation = static_cast<Interpolation>(fields.choice("interpolation", kInterpolations));
  preprocessing.mean = fields.channels("mean", -Fields::kMaxChannel);
  preprocessing.std = fields.channels("std", 0);
  Fields decode(fields.at("decode"), "preprocessing.decode");
  preprocessing.decode.apply_exif_orientation = decode.truth("apply_exif_orientation");
  preprocessing.decode.alpha = static_cast<Alpha>(decode.choice("alpha", kAlphas));
  preprocessing.decode.clip_16_bit_grey = decode.truth("clip_16_bit_grey");
  preprocessing.decode.max_pixels = decode.integer("max_pixels", 1, kMaxPixels);
  decode.finish();
  fields.finish();
  return preprocessing;
}

void write_model_file(const std::filesystem::path& path, const ModelInfo& info, const StateDict& weights) {
  check_classes(info.classes, ErrorCategory::kData);
  json provenance = json::object();
  for (const auto& [key, value] : info.provenance) provenance[valid_utf8(key)] = valid_utf8(value);  // paths may hold any bytes
  StateDict state;
  state.tensors = weights.tensors;
  state.metadata = {
      {"format", "pt"},  // what the Python ecosystem's loaders look for
      {kFormatKey, std::string(kFormatVersion)},
      {kArchitectureKey, info.architecture},
      {kClassesKey, json(info.classes).dump()},
      {kPreprocessingKey, preprocessing_to_json(info.preprocessing)},
      {kTemperatureKey, json(info.temperature).dump()},
      {kMetricsKey, json(info.metrics).dump()},
      {kProvenanceKey, provenance.dump()},
  };
  info_from_metadata(state);  // what is written can be read: a wrong value is found now, not when the model is needed
  write_safetensors(path, state);
}

ModelFile read_model_file(const std::filesystem::path& path) {
  return reading(path, [](std::span<const std::byte> bytes) {
    ModelFile model;
    model.weights = read_safetensors(bytes);
    model.info = info_from_metadata(model.weights);
    return model;
  });
}

ModelInfo read_model_info(const std::filesystem::path& model_file) {
  return reading(model_file, [](std::span<const std::byte> bytes) { return info_from_metadata(read_safetensors_header(bytes)); });
}

}  // namespace headstart
