// Gluon's two ways of naming tensors, against MXNet's own names (tools/golden/gluon.py).
#include "model/gluon_names.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "model/network.h"
#include "support/shared_data.h"

namespace headstart {
namespace {

// The state dict of an architecture, without bytes, under the counted names of MXNet.
StateDict counted(const std::string& architecture, const std::string& prefix) {
  std::ifstream file(test::source_dir() / "tests/golden/model/gluon_names.json");
  const auto names = nlohmann::json::parse(file).at("names").at(architecture).get<std::vector<std::string>>();
  const Architecture& row = find_architecture(architecture);
  const auto network = row.make(row, 5, at::kMeta);
  StateDict state;
  const auto tensors = network->tensors();
  EXPECT_EQ(tensors.size(), names.size());
  for (std::size_t i = 0; i < std::min(names.size(), tensors.size()); ++i) {
    state.tensors.emplace_back(prefix + names[i], HostTensor{Dtype::kFloat32, tensors[i].second.sizes().vec(), nullptr});
  }
  return state;
}

std::vector<std::string> names_of(const StateDict& state) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : state.tensors) names.push_back(name);
  return names;
}

class GluonNames : public ::testing::TestWithParam<std::string> {};

TEST_P(GluonNames, CountedNamesBecomePlacesWhateverTheOrderAndThePrefix) {
  const Architecture& architecture = find_architecture(GetParam());
  std::vector<std::string> places;
  for (const auto& [name, tensor] : architecture.make(architecture, 5, at::kMeta)->tensors()) places.push_back(name);
  for (const std::string prefix : {"", "resnetv20_", "my_net3_"}) {
    StateDict state = counted(GetParam(), prefix);
    std::reverse(state.tensors.begin(), state.tensors.end());
    const StateDict renamed = with_structural_names(state);
    EXPECT_EQ(names_of(renamed), places) << prefix;
    EXPECT_EQ(recognize_architecture(renamed), &architecture) << prefix;
  }
}

TEST_P(GluonNames, ANewOutputLayerMayHaveAPrefixOfItsOwnOrBeMissing) {
  StateDict state = counted(GetParam(), "resnetv20_");
  state.tensors.back().first = "resnetv21_dense0_bias";
  EXPECT_EQ(recognize_architecture(with_structural_names(state)), &find_architecture(GetParam()));
  state.tensors.resize(state.tensors.size() - 2);
  EXPECT_EQ(recognize_architecture(with_structural_names(state)), &find_architecture(GetParam()));
}

TEST_P(GluonNames, AnotherNetworkIsLeftAlone) {
  StateDict state = counted(GetParam(), "resnetv20_");
  state.tensors.erase(state.tensors.begin() + 20);
  EXPECT_EQ(names_of(with_structural_names(state)), names_of(state)) << "one tensor less";
  state = counted(GetParam(), "resnetv20_");
  state.tensors.emplace_back("resnetv20_conv9_weight", HostTensor{});
  EXPECT_EQ(names_of(with_structural_names(state)), names_of(state)) << "one tensor more";
  state = counted(GetParam(), "resnetv20_");
  state.tensors[1].first = "other" + state.tensors[0].first.substr(9);
  EXPECT_EQ(names_of(with_structural_names(state)), names_of(state)) << "one layer twice";
}

INSTANTIATE_TEST_SUITE_P(Architectures, GluonNames,
                         ::testing::Values("resnet18_v1", "resnet34_v1", "resnet50_v1", "resnet18_v2", "resnet34_v2", "resnet50_v2"),
                         [](const auto& test) { return test.param; });

TEST(GluonNamesOfOthers, AreLeftAlone) {
  for (const char* const name : {"conv1.weight", "features.0.gamma", "stage1_", "_", "", "conv_weight", "conv1", "resnetv20_conv0"}) {
    StateDict state;
    state.tensors.emplace_back(name, HostTensor{});
    EXPECT_EQ(names_of(with_structural_names(state)), (std::vector<std::string>{name}));
  }
  EXPECT_TRUE(with_structural_names({}).tensors.empty());
}

}  // namespace
}  // namespace headstart
