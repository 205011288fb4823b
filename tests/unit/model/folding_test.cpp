// Folded networks against the networks themselves.
#include "model/folding.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include "generated.h"
#include "support/tensor_compare.h"

namespace headstart {
namespace {

const at::Tensor kNothing;

ConvolutionNorm pair(const ConvolutionShape& shape) {
  ConvolutionNorm layer;
  layer.convolution = {.weight = test::generate_weight("pair", {shape.out, shape.in / shape.groups, shape.kernel, shape.kernel}),
                       .bias = {},
                       .shape = shape};
  layer.norm = {.weight = test::generate("scale", shape.out, 0.5, 1.5),
                .bias = test::generate("shift", shape.out, -1, 1),
                .running_mean = test::generate("mean", shape.out, -1, 1),
                .running_var = test::generate("variance", shape.out, 0.5, 1.5),
                .options = {}};
  return layer;
}

at::Tensor image(std::int64_t channels, std::int64_t side) {
  return test::generate("image", 2 * channels * side * side, -1, 1)
      .view({2, channels, side, side})
      .contiguous(at::MemoryFormat::ChannelsLast);
}

// The layer as it is written down: convolution, norm, addition, activation one after the other.
at::Tensor step_by_step(const ConvolutionNorm& layer, const at::Tensor& x, Activation activation, const at::Tensor& added) {
  at::Tensor y = layer.norm(layer.convolution(x), NormMode::kRunningStatistics);
  if (added.defined()) y = y + added;
  return activate_(y, activation);
}

const ConvolutionShape kShapes[] = {
    {.in = 3, .out = 8, .kernel = 7, .stride = 2},
    {.in = 8, .out = 8, .kernel = 3, .groups = 8},
    {.in = 8, .out = 8, .kernel = 5, .stride = 2, .groups = 8, .padding = Padding::kTensorFlowSame},
    {.in = 8, .out = 16, .kernel = 1},
};

// Sums of up to 147 terms below 1 in another order: a few units of float32's last place.
constexpr test::Tolerance kRounding = {.relative = 1e-5, .absolute = 1e-5};

TEST(FoldedLayer, EqualsConvolutionNormAdditionAndActivation) {
  const c10::NoGradGuard no_gradients;
  for (const ConvolutionShape& shape : kShapes) {
    const ConvolutionNorm layer = pair(shape);
    const FoldedWeights folded(std::vector{layer}, at::kFloat);
    const at::Tensor x = image(shape.in, 12);
    const at::Tensor added = test::generate("added", 1, -1, 1).expand_as(layer.convolution(x)).contiguous(at::MemoryFormat::ChannelsLast);
    for (const Activation activation : {Activation::kNone, Activation::kRelu, Activation::kRelu6}) {
      for (const at::Tensor& other : {kNothing, added}) {
        const at::Tensor expected = step_by_step(layer, x * 4, activation, other);
        EXPECT_TRUE(test::tensors_close(layer(x * 4, folded, activation, other), expected, kRounding));
        EXPECT_TRUE(test::tensors_close(layer(x * 4, NormMode::kRunningStatistics, activation, other), expected, kRounding));
      }
    }
  }
}

// Weights and outputs are rounded to 8 bits, a 256th of the largest each, and errors of up to 147 terms partly cancel out.
TEST(FoldedLayer, InBFloat16IsAsNearAsItsNumbers) {
  const c10::NoGradGuard no_gradients;
  for (const ConvolutionShape& shape : kShapes) {
    for (const std::int64_t side : {12, 15}) {  // padding of 3 and of 4 for kernels of 5 at stride 2
      const ConvolutionNorm layer = pair(shape);
      const FoldedWeights folded(std::vector{layer}, at::kBFloat16);
      const at::Tensor x = (image(shape.in, side) * 4).to(at::kBFloat16);
      const at::Tensor expected = step_by_step(layer, x.to(at::kFloat), Activation::kRelu6, kNothing);
      const at::Tensor found = layer(x, folded, Activation::kRelu6, kNothing);
      EXPECT_EQ(found.scalar_type(), at::kBFloat16);
      EXPECT_TRUE(test::tensors_close(found.to(at::kFloat), expected, {.absolute = 3.0 / 256 * 6}));
    }
  }
}

TEST(FoldedLayer, LeavesWhatIsAddedAlone) {
  const c10::NoGradGuard no_gradients;
  const ConvolutionNorm layer = pair(kShapes[3]);
  const FoldedWeights folded(std::vector{layer}, at::kFloat);
  const at::Tensor added = image(16, 6), before = added.clone();
  layer(image(8, 6), folded, Activation::kRelu, added);
  EXPECT_TRUE(test::tensors_equal(added, before));
}

class Folded : public ::testing::TestWithParam<const char*> {};

TEST_P(Folded, GivesTheNetworksLogits) {
  const c10::NoGradGuard no_gradients;
  const auto network = test::generated_network(GetParam(), 3);
  const at::Tensor input = test::generated_input(64);
  const at::Tensor logits = network->forward(input, NormMode::kBatchStatistics);  // moves the running statistics, which are folded next
  const at::Tensor expected = network->forward(input, NormMode::kRunningStatistics);
  const FoldedNetwork folded(*network, at::kFloat);
  const double largest = expected.abs().max().item<double>();
  EXPECT_TRUE(test::tensors_close(folded.forward(input), expected, {.absolute = 5e-5 * largest}));  // as golden_test.cpp's float32
  const at::Tensor brain = FoldedNetwork(*network, at::kBFloat16).forward(input);
  EXPECT_EQ(brain.scalar_type(), at::kFloat);
  EXPECT_TRUE(test::tensors_close(brain, expected, {.absolute = 0.25 * largest}));  // as its bfloat16
  EXPECT_FALSE(test::tensors_close(logits, expected, {.absolute = 5e-5 * largest}));
}

TEST_P(Folded, DoesNotFollowTheWeightsThatItWasMadeOf) {
  const c10::NoGradGuard no_gradients;
  const auto network = test::generated_network(GetParam(), 3);
  const FoldedNetwork folded(*network, at::kFloat);
  const at::Tensor before = folded.features(test::generated_input(64));
  for (const NamedParameter& parameter : network->parameters()) parameter.tensor.mul_(0.5);
  if (std::string_view(GetParam()) != "resnet18_v2") {  // whose blocks begin with a norm, which folds into nothing
    EXPECT_TRUE(test::tensors_equal(folded.features(test::generated_input(64)), before));
  }
  EXPECT_FALSE(test::tensors_equal(FoldedNetwork(*network, at::kFloat).features(test::generated_input(64)), before));
}

TEST_P(Folded, TheFirstStagesCanBeFoldedAlone) {
  const c10::NoGradGuard no_gradients;
  const auto network = test::generated_network(GetParam(), 3);
  const at::Tensor input = test::generated_input(64);
  const auto whole = network->fold(at::kFloat);
  for (std::size_t stages = 1; stages <= network->stages().size(); ++stages) {
    const auto first = network->fold(at::kFloat, stages);
    EXPECT_TRUE(test::tensors_equal(network->run_stages(input, 0, stages, *first), network->run_stages(input, 0, stages, *whole)))
        << stages;
  }
}

INSTANTIATE_TEST_SUITE_P(Architectures, Folded,
                         ::testing::Values("resnet18", "resnet50", "efficientnet_lite0", "resnet18_v1", "resnet18_v2"));

TEST(NetworkStages, AreTheWholeNetworkOneAfterTheOther) {
  const c10::NoGradGuard no_gradients;
  for (const char* const name : {"resnet18", "efficientnet_lite0", "resnet18_v1", "resnet18_v2"}) {
    const auto network = test::generated_network(name, 3);
    const at::Tensor input = test::generated_input(64);
    const std::size_t stages = network->stages().size();
    at::Tensor x = input;
    for (std::size_t i = 0; i < stages; ++i) x = network->run_stages(x, i, i + 1, NormMode::kRunningStatistics);
    EXPECT_TRUE(test::tensors_equal(Network::pool(x), network->features(input, NormMode::kRunningStatistics))) << name;
    EXPECT_EQ(network->parameters().front().stage, 0U);
    EXPECT_EQ(network->parameters().back().stage, stages);  // the output layer's
  }
}

}  // namespace
}  // namespace headstart
