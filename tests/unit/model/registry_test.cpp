// The table of architectures, and telling one from a file's tensors.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "generated.h"
#include "headstart/error.h"
#include "model/network.h"

namespace headstart {
namespace {

// Names and shapes of an architecture, as the header of a file would give them: no bytes.
StateDict header_of(const Architecture& architecture, std::int64_t classes) {
  StateDict state;
  for (const auto& [name, tensor] : architecture.make(architecture, classes, at::kMeta)->tensors()) {
    state.tensors.emplace_back(name, HostTensor{.dtype = Dtype::kFloat32, .shape = tensor.sizes().vec(), .bytes = nullptr});
  }
  return state;
}

TEST(Registry, NamesAreUniqueAndFound) {
  std::set<std::string_view> names;
  for (const Architecture& architecture : architectures()) {
    EXPECT_TRUE(names.insert(architecture.name).second) << architecture.name;
    EXPECT_EQ(&find_architecture(architecture.name), &architecture);
  }
  EXPECT_EQ(names.size(), 14U);
}

TEST(Registry, ANetworkKnowsItsNameAndOutputLayer) {
  for (const Architecture& architecture : architectures()) {
    const auto network = architecture.make(architecture, 7, at::kMeta);
    EXPECT_EQ(network->architecture(), architecture.name);
    EXPECT_EQ(network->classes(), 7);
    EXPECT_EQ(network->parameters().back().name, std::string(architecture.head_prefix) + ".bias");
    for (const NamedParameter& parameter : network->parameters()) {
      EXPECT_EQ(parameter.in_head, parameter.name.starts_with(std::string(architecture.head_prefix) + ".")) << parameter.name;
    }
  }
}

TEST(Recognize, TellsEveryArchitectureWhateverItsClasses) {
  for (const Architecture& architecture : architectures()) {
    EXPECT_EQ(recognize_architecture(header_of(architecture, 1000)), &architecture) << architecture.name;
    StateDict state = header_of(architecture, 3);
    state.tensors.emplace_back("bn1.num_batches_tracked", HostTensor{.dtype = Dtype::kInt64, .shape = {}, .bytes = nullptr});
    EXPECT_EQ(recognize_architecture(state), &architecture) << architecture.name;
    state = header_of(architecture, 3);
    std::erase_if(state.tensors, [&](const auto& entry) { return entry.first.starts_with(std::string(architecture.head_prefix) + "."); });
    EXPECT_EQ(recognize_architecture(state), &architecture) << architecture.name;
  }
}

TEST(Recognize, KnowsNothingThatDiffersInATensor) {
  const StateDict resnet = header_of(find_architecture("resnet50"), 1000);
  EXPECT_EQ(recognize_architecture({}), nullptr);
  StateDict state = resnet;
  state.tensors.erase(state.tensors.begin() + 10);
  EXPECT_EQ(recognize_architecture(state), nullptr) << "one tensor less";
  state = resnet;
  state.tensors.emplace_back("layer4.3.conv1.weight", HostTensor{.dtype = Dtype::kFloat32, .shape = {1}, .bytes = nullptr});
  EXPECT_EQ(recognize_architecture(state), nullptr) << "one tensor more";
  state = resnet;
  for (auto& [name, tensor] : state.tensors) {
    if (name == "layer1.0.conv2.weight") tensor.shape = {64, 2, 3, 3};  // as ResNeXt's groups
  }
  EXPECT_EQ(recognize_architecture(state), nullptr) << "another shape";
}

TEST(Registry, PreprocessingIsThePublishedOne) {
  const Preprocessing& resnet = find_architecture("resnet18").preprocessing;
  EXPECT_EQ(resnet.resize_size, 256);
  EXPECT_EQ(resnet.crop_size, 224);
  EXPECT_EQ(resnet.interpolation, Interpolation::kBilinear);
  const Preprocessing& lite = find_architecture("efficientnet_lite2").preprocessing;
  EXPECT_EQ(lite.resize_size, 292);
  EXPECT_EQ(lite.crop_size, 260);
  EXPECT_EQ(lite.interpolation, Interpolation::kBicubic);
  const Preprocessing& gluon = find_architecture("resnet18_v2").preprocessing;
  EXPECT_EQ(gluon.resize_mode, ResizeMode::kSquash);
  EXPECT_EQ(gluon.resize_size, 256);
  EXPECT_EQ(gluon.interpolation, Interpolation::kOpenCvBilinear);
}

}  // namespace
}  // namespace headstart
