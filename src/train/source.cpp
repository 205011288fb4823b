#include "train/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "core/hash.h"
#include "headstart/classifier.h"
#include "headstart/error.h"
#include "headstart/models.h"
#include "headstart/text.h"
#include "model/gluon_names.h"
#include "model/initialise.h"
#include "train/resolve.h"
#include "train/shared_inputs.h"
#include "weights/model_file.h"

namespace headstart {
namespace {

// The known model that is meant, or nullptr for a weights file. A name that is neither is refused by find_source_model().
const SourceModel* known_model(const std::string& model) {
  if (model.empty()) return &source_models().front();
  const auto known = std::find_if(source_models().begin(), source_models().end(), [&](const auto& m) { return m.name == model; });
  if (known != source_models().end()) return &*known;
  std::error_code error;
  if (std::filesystem::exists(model, error)) return nullptr;
  if (model.find('/') == std::string::npos) return &find_source_model(model);
  throw Error(ErrorCategory::kFile, fmt::format("source model: there is no weights file {}", model));
}

std::filesystem::path obtain(const SourceModel& known, const SourceRequest& request) {
  if (const auto cached = cached_model(known)) return *cached;
  const auto log = [&](const std::string& message) {
    if (request.log) request.log(LogLevel::kInfo, message);
  };
  log(fmt::format("fetching the source model {} ({}) from {}", known.name, human_bytes(known.bytes), known.origin));
  const std::filesystem::path file = fetch_model(known, {.should_stop = request.should_stop});
  log(fmt::format("fetched {}", file.string()));
  return file;
}

// What a headstart model file says of itself; nothing for other weights files.
std::optional<ModelInfo> own_info(const std::filesystem::path& file, const StateDict& weights) {
  if (!weights.metadata.contains("headstart.format")) return std::nullopt;
  return read_model_info(file);
}

// Names of the output layer's rows: a headstart model file's own labels, ImageNet's for a network of a thousand classes.
std::vector<std::vector<std::string>> output_classes(const StateDict& weights, const Architecture& architecture,
                                                     const std::optional<ModelInfo>& info) {
  const HostTensor* const weight = weights.find(fmt::format("{}.weight", architecture.head_prefix));
  if (weight == nullptr || weight->shape.size() != 2 || weight->shape.back() == 0) return {};
  std::vector<std::vector<std::string>> classes(static_cast<std::size_t>(weight->shape.front()));
  if (!info && classes.size() == imagenet_classes().size()) return imagenet_classes();
  if (!info || info->classes.size() != classes.size()) return classes;
  for (std::size_t i = 0; i < classes.size(); ++i) classes[i] = {info->classes[i]};
  return classes;
}

// The architecture that options name, without a look at any weights; nullptr when they name a file.
const Architecture* named_architecture(const std::string& architecture, const std::string& model) {
  if (!architecture.empty()) return &find_architecture(architecture);
  if (model.empty()) return &find_architecture(source_models().front().architecture);
  const auto named = std::find_if(architectures().begin(), architectures().end(), [&](const Architecture& a) { return a.name == model; });
  return named == architectures().end() ? nullptr : &*named;
}

// What training from scratch needs of a source: its architecture.
Source unread_source(const Architecture& architecture) {
  Source source;
  source.model = architecture.name;
  source.architecture = &architecture;
  source.preprocessing = architecture.preprocessing;
  return source;
}

}  // namespace

bool reads_weights(const SourceRequest& request) {
  return !request.scratch || named_architecture(request.architecture, request.model) == nullptr;
}

Source open_source(const SourceRequest& request) {
  if (!reads_weights(request)) return unread_source(*named_architecture(request.architecture, request.model));
  const SourceModel* const known = known_model(request.model);
  const std::filesystem::path file = known != nullptr ? obtain(*known, request) : std::filesystem::absolute(request.model);
  Source source;
  source.model = known != nullptr ? known->name : file.string();
  source.sha256 = file_digest(file, DigestKind::kSha256);
  source.weights = with_structural_names(read_weights(file));
  source.provenance["source_sha256"] = source.sha256;
  if (known != nullptr) {
    source.architecture = &find_architecture(known->architecture);
    source.preprocessing = source.architecture->preprocessing;
    source.provenance["source_model"] = known->name;
    source.provenance["source_licence"] = known->licence;
    source.provenance["source_origin"] = known->origin;
    source.classes = output_classes(source.weights, *source.architecture, std::nullopt);
    return source;
  }
  const std::optional<ModelInfo> info = own_info(file, source.weights);
  const bool says_it = request.architecture.empty() && info;
  source.architecture = &choose_architecture(source.weights, says_it ? info->architecture : request.architecture, file);
  source.preprocessing = info ? info->preprocessing : source.architecture->preprocessing;
  source.classes = output_classes(source.weights, *source.architecture, info);
  source.provenance["source_model"] = valid_utf8(file.filename().string());
  if (info && info->provenance.contains("source_licence")) source.provenance["source_licence"] = info->provenance.at("source_licence");
  return source;
}

Preprocessing source_preprocessing(const TrainOptions& options) {
  const std::string model = source_name(options);
  const Architecture* const named = named_architecture(options.architecture, model);
  if (named != nullptr) return recipe_preprocessing(options.recipe, named->preprocessing);
  return recipe_preprocessing(options.recipe, shared_or_own(options.shared)->impl().source({.model = model})->preprocessing);
}

std::unique_ptr<Network> make_target_network(const Source& source, std::int64_t classes, const ResolvedOptions& options) {
  std::unique_ptr<Network> network = make_network(source.architecture->name, classes, options.seed);
  if (options.scratch) {
    if (options.scratch_init == ScratchInit::kXavier) initialise_xavier(*network, options.seed);
    return network;
  }
  network->load(source.weights, /*with_head=*/false);
  network->replace_head(classes, {.seed = options.seed, .weight = options.head_init, .bias = options.head_bias});
  return network;
}

}  // namespace headstart
