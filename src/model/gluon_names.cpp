#include "model/gluon_names.h"

#include <fmt/format.h>

#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "model/network.h"

namespace headstart {
namespace {

constexpr std::string_view kOutputLayer = "output";
constexpr std::string_view kOutputLayerCounted = "dense0";

// "conv12" of kind "conv": the kind and a number, nothing else.
bool is_counted(std::string_view word, std::string_view kind) {
  if (!word.starts_with(kind)) return false;
  word.remove_prefix(kind.size());
  return !word.empty() && word.find_first_not_of("0123456789") == std::string_view::npos;
}

// "resnetv20_stage1_conv0_weight" → "stage1_conv0_weight"; nothing for a name without a counted layer.
std::optional<std::string_view> without_network_prefix(std::string_view name) {
  constexpr std::array<std::string_view, 4> kKinds = {"stage", "conv", "batchnorm", "dense"};
  for (std::size_t begin = 0; begin < name.size();) {
    const std::size_t end = name.find('_', begin);
    if (end == std::string_view::npos) return std::nullopt;
    for (const std::string_view kind : kKinds) {
      if (is_counted(name.substr(begin, end - begin), kind)) return name.substr(begin);
    }
    begin = end + 1;
  }
  return std::nullopt;
}

// Counts a network's layers in the order of their making, which is that of its tensors.
class LayerCounter {
 public:
  // The counted name of "features.5.0.conv1.weight": "stage1_conv0_weight".
  std::string counted(const std::string& name) {
    const std::size_t dot = name.rfind('.');
    const std::string layer = name.substr(0, dot);
    const std::string field = name.substr(dot + 1);
    if (layer == kOutputLayer) return fmt::format("{}_{}", kOutputLayerCounted, field);
    if (layer != layer_) {
      layer_ = layer;
      const bool convolution = field == "weight";  // a norm's first tensor is its gamma
      std::string prefix = stage_prefix(layer) + (convolution ? "conv" : "batchnorm");
      const int number = numbers_[prefix]++;
      counted_layer_ = prefix + std::to_string(number);
    }
    return fmt::format("{}_{}", counted_layer_, field);
  }

 private:
  // "stage1_" for the first layer of features that has layers of its own, and so on; "" for the others.
  std::string stage_prefix(const std::string& layer) {
    const std::size_t begin = layer.find('.') + 1;
    const std::size_t end = layer.find('.', begin);
    if (end == std::string::npos) return "";
    const auto [stage, is_new] = stages_.try_emplace(layer.substr(begin, end - begin), stages_.size() + 1);
    return fmt::format("stage{}_", stage->second);
  }

  std::string layer_, counted_layer_;
  std::map<std::string, int> numbers_;         // by "stage1_conv"
  std::map<std::string, std::size_t> stages_;  // by the index in features
};

// Counted name → position in the state dict; nothing when a name is not of that form or there twice.
std::optional<std::map<std::string, std::size_t, std::less<>>> counted_names(const StateDict& state) {
  std::map<std::string, std::size_t, std::less<>> positions;
  for (std::size_t i = 0; i < state.tensors.size(); ++i) {
    const auto name = without_network_prefix(state.tensors[i].first);
    if (!name || !positions.emplace(*name, i).second) return std::nullopt;
  }
  return positions;
}

// The state dict in the architecture's order and under its names, or nothing when it is another network's.
std::optional<StateDict> renamed(const StateDict& state, const std::map<std::string, std::size_t, std::less<>>& positions,
                                 const Architecture& architecture) {
  const auto network = architecture.make(architecture, 1, at::kMeta);
  LayerCounter counter;
  StateDict result;
  result.metadata = state.metadata;
  for (const auto& [name, tensor] : network->tensors()) {
    const auto found = positions.find(counter.counted(name));
    if (found != positions.end()) {
      result.tensors.emplace_back(name, state.tensors[found->second].second);
    } else if (!name.starts_with(kOutputLayer)) {
      return std::nullopt;
    }
  }
  if (result.tensors.size() != state.tensors.size()) return std::nullopt;
  return result;
}

}  // namespace

StateDict with_structural_names(StateDict state) {
  const auto positions = counted_names(state);
  if (!positions || positions->empty()) return state;
  for (const Architecture& architecture : architectures()) {
    if (architecture.head_prefix != kOutputLayer) continue;
    if (auto result = renamed(state, *positions, architecture)) return std::move(*result);
  }
  return state;
}

}  // namespace headstart
