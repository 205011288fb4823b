// Loading, saving, the output layer, and what a forward pass leaves alone.
#include "model/network.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <thread>
#include <vector>

#include "generated.h"
#include "headstart/error.h"
#include "support/tensor_compare.h"

namespace headstart {
namespace {

constexpr const char* kSmall = "efficientnet_lite0";  // the network with the fewest weights

// The message of the Error that `action` throws; "" when it throws none.
template <typename Action>
std::string error_of(ErrorCategory category, const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), category) << error.what();
    return error.what();
  }
  return "";
}

HostTensor* find(StateDict& state, const std::string& name) {
  for (auto& [key, tensor] : state.tensors) {
    if (key == name) return &tensor;
  }
  return nullptr;
}

HostTensor filled(std::vector<std::int64_t> shape, float value = 0.5F) { return to_host(at::full(shape, value)); }

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(NetworkState, LoadsIntoAnotherNetworkBitForBit) {
  const auto source = test::generated_network(kSmall, 3);
  const auto target = make_network(kSmall, 3, 7);
  target->load(source->state(), /*with_head=*/true);
  const auto expected = source->tensors();
  const auto actual = target->tensors();
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    EXPECT_EQ(actual[i].first, expected[i].first);
    EXPECT_TRUE(test::tensors_equal(actual[i].second, expected[i].second)) << actual[i].first;
  }
}

TEST(NetworkState, IsACopy) {
  const auto network = test::generated_network(kSmall, 3);
  StateDict state = network->state();
  const at::Tensor before = to_engine(*find(state, "_fc.bias"));
  network->parameters().back().tensor.fill_(9);
  EXPECT_TRUE(test::tensors_equal(to_engine(*find(state, "_fc.bias")), before));
}

TEST(NetworkLoad, ConvertsOtherFloatingPointTypes) {
  const auto network = test::generated_network(kSmall, 3);
  StateDict state = network->state();
  const at::Tensor half = at::rand({3, 1280}).to(at::kHalf), brain = at::rand({32}).to(at::kBFloat16), twice = at::rand({3}, at::kDouble);
  *find(state, "_fc.weight") = to_host(half);
  *find(state, "_bn0.weight") = to_host(brain);
  *find(state, "_fc.bias") = to_host(twice);
  network->load(state, true);
  for (const auto& [name, tensor] : network->tensors()) {
    EXPECT_EQ(tensor.scalar_type(), at::kFloat) << name;
    if (name == "_fc.weight") {
      EXPECT_TRUE(test::tensors_equal(tensor, half.to(at::kFloat)));
    }
    if (name == "_bn0.weight") {
      EXPECT_TRUE(test::tensors_equal(tensor, brain.to(at::kFloat)));
    }
    if (name == "_fc.bias") {
      EXPECT_TRUE(test::tensors_equal(tensor, twice.to(at::kFloat)));
    }
  }
}

TEST(NetworkLoad, IgnoresBatchCounters) {
  const auto network = test::generated_network(kSmall, 3);
  StateDict state = network->state();
  state.tensors.emplace_back("_bn0.num_batches_tracked", to_host(at::zeros({}, at::kLong)));
  EXPECT_NO_THROW(network->load(state, true));
}

TEST(NetworkLoad, WithoutHeadIgnoresTheSourcesOutputLayerWhateverItsShape) {
  const auto source = test::generated_network(kSmall, 1000);
  const auto network = make_network(kSmall, 3, 7);
  const at::Tensor head = network->parameters()[network->parameters().size() - 2].tensor.clone();
  StateDict state = source->state();
  *find(state, "_fc.bias") = filled({2, 2});
  network->load(state, /*with_head=*/false);
  EXPECT_TRUE(test::tensors_equal(network->parameters()[network->parameters().size() - 2].tensor, head));
  EXPECT_TRUE(test::tensors_equal(network->parameters()[0].tensor, source->parameters()[0].tensor));
}

TEST(NetworkLoad, WithoutHeadNeedsNoOutputLayer) {
  const auto network = test::generated_network(kSmall, 3);
  StateDict state = network->state();
  state.tensors.resize(state.tensors.size() - 2);
  EXPECT_NO_THROW(network->load(state, false));
  const std::string message = error_of(ErrorCategory::kModel, [&] { network->load(state, true); });
  EXPECT_TRUE(contains(message, "2 missing: _fc.weight and _fc.bias")) << message;
}

TEST(NetworkLoad, ListsMissingUnexpectedAndDifferentTensorsByName) {
  const auto network = test::generated_network(kSmall, 3);
  StateDict state = network->state();
  std::erase_if(state.tensors, [](const auto& entry) { return entry.first == "_conv_head.weight"; });
  state.tensors.emplace_back("classifier.weight", filled({3}));
  *find(state, "_fc.weight") = filled({1000, 1280});
  *find(state, "_bn1.running_mean") = to_host(at::zeros({1280}, at::kInt));
  const std::string message = error_of(ErrorCategory::kModel, [&] { network->load(state, true); });
  EXPECT_TRUE(contains(message, kSmall)) << message;
  EXPECT_TRUE(contains(message, "1 missing: _conv_head.weight")) << message;
  EXPECT_TRUE(contains(message, "1 unexpected: classifier.weight")) << message;
  EXPECT_TRUE(contains(message, "2 of another shape or type")) << message;
  EXPECT_TRUE(contains(message, "_fc.weight (expected [3, 1280], found [1000, 1280])")) << message;
  EXPECT_TRUE(contains(message, "_bn1.running_mean (expected floating point values, found I32)")) << message;
}

TEST(NetworkLoad, NamesTenTensorsOfALongListAndCountsTheRest) {
  const auto network = test::generated_network(kSmall, 3);
  const std::string message = error_of(ErrorCategory::kModel, [&] { network->load({}, true); });
  EXPECT_TRUE(contains(message, std::to_string(network->tensors().size()) + " missing")) << message;
  EXPECT_TRUE(contains(message, "_bn0.running_var")) << message;
  EXPECT_FALSE(contains(message, "_conv_head")) << message;
}

TEST(NetworkLoad, LeavesTheNetworkAloneWhenSomethingDoesNotFit) {
  const auto network = test::generated_network(kSmall, 3);
  const at::Tensor before = network->parameters()[0].tensor.clone();
  StateDict state = network->state();
  *find(state, "_conv_stem.weight") = filled({32, 3, 3, 3});
  std::erase_if(state.tensors, [](const auto& entry) { return entry.first == "_fc.bias"; });
  EXPECT_NE(error_of(ErrorCategory::kModel, [&] { network->load(state, true); }), "");
  EXPECT_TRUE(test::tensors_equal(network->parameters()[0].tensor, before));
}

TEST(NetworkLoad, RefusesTensorsWithoutTheirBytes) {
  const auto network = test::generated_network(kSmall, 3);
  StateDict state = network->state();
  find(state, "_fc.bias")->bytes = nullptr;
  EXPECT_TRUE(contains(error_of(ErrorCategory::kModel, [&] { network->load(state, true); }), "holds 0 bytes"));
  find(state, "_fc.bias")->bytes = std::make_shared<std::vector<std::byte>>(11);
  EXPECT_TRUE(contains(error_of(ErrorCategory::kModel, [&] { network->load(state, true); }), "holds 11 bytes"));
}

TEST(ReplaceHead, DrawsXavierUniformWeightsAndZeroBiases) {
  const auto network = test::generated_network(kSmall, 1000);
  network->replace_head(37, {.seed = 5});
  EXPECT_EQ(network->classes(), 37);
  EXPECT_EQ(network->feature_count(), 1280);
  const NamedParameter& weight = network->parameters()[network->parameters().size() - 2];
  const NamedParameter& bias = network->parameters().back();
  EXPECT_EQ(weight.tensor.sizes().vec(), (std::vector<std::int64_t>{37, 1280}));
  EXPECT_TRUE(test::tensors_equal(bias.tensor, at::zeros({37})));
  const double bound = std::sqrt(6.0 / (37 + 1280));
  const double largest = weight.tensor.abs().max().item<double>();
  EXPECT_TRUE(largest <= bound * (1 + 1e-6)) << largest;  // rounding to float32 may round up
  EXPECT_TRUE(largest > 0.999 * bound) << largest;  // of 47,360 draws the largest is nearer to the bound than 1 - 1/4736 but for e^-10
  // The mean of n uniform draws deviates by bound / sqrt(3 n); five of these happen by chance once in two million seeds.
  EXPECT_TRUE(std::abs(weight.tensor.mean().item<double>()) <= 5 * bound / std::sqrt(3.0 * 37 * 1280));
}

TEST(ReplaceHead, DependsOnTheSeedAlone) {
  const auto one = test::generated_network(kSmall, 2), other = make_network(kSmall, 9, 1);
  one->replace_head(4, {.seed = 11});
  other->replace_head(4, {.seed = 11});
  const std::size_t weight = one->parameters().size() - 2;
  EXPECT_TRUE(test::tensors_equal(one->parameters()[weight].tensor, other->parameters()[weight].tensor));
  other->replace_head(4, {.seed = 12});
  EXPECT_FALSE(test::tensors_equal(one->parameters()[weight].tensor, other->parameters()[weight].tensor));
  EXPECT_NE(error_of(ErrorCategory::kUsage, [&] { one->replace_head(0, {.seed = 1}); }), "");
}

TEST(MakeNetwork, DrawsKaimingWeightsFromTheSeed) {
  const auto network = make_network("resnet18", 10, 3);
  const auto again = make_network("resnet18", 10, 3), other = make_network("resnet18", 10, 4);
  for (std::size_t i = 0; i < network->parameters().size(); ++i) {
    const auto& [name, tensor, role, stage, in_head] = network->parameters()[i];
    EXPECT_TRUE(test::tensors_equal(tensor, again->parameters()[i].tensor)) << name;
    if (role == ParameterRole::kNormScale) {
      EXPECT_TRUE(test::tensors_equal(tensor, at::ones_like(tensor))) << name;
    }
    if (role == ParameterRole::kNormShift) {
      EXPECT_TRUE(test::tensors_equal(tensor, at::zeros_like(tensor))) << name;
    }
    if (in_head) {
      EXPECT_TRUE(tensor.abs().max().item<double>() <= 1.0 / std::sqrt(512.0)) << name;
    }
    if (tensor.dim() != 4) continue;
    EXPECT_FALSE(test::tensors_equal(tensor, other->parameters()[i].tensor)) << name;
    const auto n = static_cast<double>(tensor.numel());
    const double expected = std::sqrt(2.0 / static_cast<double>(tensor.size(0) * tensor.size(2) * tensor.size(3)));
    // The standard deviation of n normal draws deviates by 1 / sqrt(2 n), their mean by 1 / sqrt(n): six of these never happen.
    EXPECT_TRUE(std::abs(tensor.std().item<double>() / expected - 1) <= 6 / std::sqrt(2 * n)) << name;
    EXPECT_TRUE(std::abs(tensor.mean().item<double>() / expected) <= 6 / std::sqrt(n)) << name;
  }
}

TEST(MakeNetwork, RefusesUnknownNamesAndNoClasses) {
  const std::string message = error_of(ErrorCategory::kUsage, [] { make_network("resnet19", 2); });
  EXPECT_TRUE(contains(message, "resnet18")) << message;
  EXPECT_TRUE(contains(message, "efficientnet_lite2")) << message;
  EXPECT_NE(error_of(ErrorCategory::kUsage, [] { make_network("resnet18", 0); }), "");
}

TEST(NetworkForward, RunningStatisticsStayBitEqualWhenTheyAreUsed) {
  const auto network = test::generated_network(kSmall, 3);
  const StateDict before = network->state();
  for (const NamedParameter& parameter : network->parameters()) parameter.tensor.set_requires_grad(true);
  network->forward(test::generated_input(64), NormMode::kRunningStatistics).sum().backward();
  for (const NamedBuffer& buffer : network->buffers()) {
    EXPECT_TRUE(test::tensors_equal(buffer.tensor, to_engine(*before.find(buffer.name)))) << buffer.name;
  }
  network->forward(test::generated_input(64), NormMode::kBatchStatistics);
  for (const NamedBuffer& buffer : network->buffers()) {
    EXPECT_FALSE(test::tensors_equal(buffer.tensor, to_engine(*before.find(buffer.name)))) << buffer.name;
  }
}

TEST(NetworkForward, FrozenLayersGetNoGradientAndTheRestTheSame) {
  const auto network = test::generated_network(kSmall, 3);
  network->parameters().back().tensor.set_requires_grad(true);
  network->forward(test::generated_input(64), NormMode::kRunningStatistics).sum().backward();
  EXPECT_FALSE(network->parameters()[0].tensor.grad().defined());
  EXPECT_TRUE(test::tensors_equal(network->parameters().back().tensor.grad(), at::full({3}, 2.0F)));
}

TEST(NetworkForward, KeepsTheInputsDtypeInFeaturesAndAnswersInFloat32) {
  const c10::NoGradGuard no_grad;
  for (const char* name : {"resnet18", kSmall}) {
    const auto network = test::generated_network(name, 3);
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
      const at::Tensor features = network->features(test::generated_input(64).to(dtype), NormMode::kRunningStatistics);
      EXPECT_EQ(features.scalar_type(), dtype);
      EXPECT_EQ(features.sizes().vec(), (std::vector<std::int64_t>{2, network->feature_count()}));
      EXPECT_EQ(network->head(features).scalar_type(), at::kFloat);
    }
  }
}

TEST(NetworkForward, BFloat16GradientsArriveInFloat32) {
  const auto network = test::generated_network(kSmall, 3);
  for (const NamedParameter& parameter : network->parameters()) parameter.tensor.set_requires_grad(true);
  network->forward(test::generated_input(64).to(at::kBFloat16), NormMode::kBatchStatistics).sum().backward();
  for (const NamedParameter& parameter : network->parameters()) {
    ASSERT_TRUE(parameter.tensor.grad().defined()) << parameter.name;
    EXPECT_EQ(parameter.tensor.grad().scalar_type(), at::kFloat) << parameter.name;
  }
}

TEST(NetworkForward, MayRunOnSeveralThreads) {
  const auto network = test::generated_network(kSmall, 3);
  const at::Tensor input = test::generated_input(64);
  std::vector<at::Tensor> logits(3);
  std::vector<std::thread> threads;
  for (at::Tensor& out : logits) {
    threads.emplace_back([&network, &input, &out] {
      const c10::NoGradGuard no_grad;
      out = network->forward(input, NormMode::kRunningStatistics);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(test::tensors_equal(logits[1], logits[0]));
  EXPECT_TRUE(test::tensors_equal(logits[2], logits[0]));
}

TEST(NetworkForward, OnePixelABatchHasNoStatistics) {
  const auto network = test::generated_network(kSmall, 3);
  const at::Tensor pixel = at::zeros({1, 3, 2, 2});
  EXPECT_TRUE(contains(error_of(ErrorCategory::kUsage, [&] { network->forward(pixel, NormMode::kBatchStatistics); }), "frozen statistics"));
  EXPECT_NO_THROW(network->forward(pixel, NormMode::kRunningStatistics));
}

TEST(NetworkTo, KeepsTheLayersOnTheSameTensors) {
  const auto network = test::generated_network(kSmall, 3);
  const at::Tensor before = network->parameters()[0].tensor;
  network->to(at::kCPU);
  EXPECT_TRUE(before.is_same(network->parameters()[0].tensor));
}

}  // namespace
}  // namespace headstart
