// Max-pooling of our own, behind a ReLU and behind a batch norm, against LibTorch's functions in turn.
#include "model/fused_pool.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <limits>
#include <span>
#include <vector>

#include "generated.h"
#include "layer_inputs.h"
#include "model/folding.h"
#include "model/fused_norm.h"
#include "model/residual.h"
#include "support/tensor_compare.h"

namespace headstart {
namespace {

using test::activations, test::leaf, test::wide_leaf, test::norm_of, test::wide, test::require_gradients, test::kRounded, test::kSummed;

const std::vector<std::vector<std::int64_t>> kShapes = {{2, 8, 1, 2},  {1, 8, 2, 1},   {3, 24, 5, 7},   {1, 40, 6, 8},
                                                        {2, 64, 9, 8}, {2, 72, 30, 5}, {1, 16, 57, 58}, {4, 128, 13, 13}};

at::Tensor pooled(const at::Tensor& x) { return at::max_pool2d(x, {3, 3}, {2, 2}, {1, 1}); }

// Multiples of an eighth between -1 and 1: an input's sum of four is exact in bfloat16, in which LibTorch adds them.
at::Tensor gradient_of(const at::Tensor& y) {
  return (test::generate("dy", y.numel(), -8, 8).round() / 8).to(at::kBFloat16).view(y.sizes()).contiguous(at::MemoryFormat::ChannelsLast);
}

void expect_as_libtorch(const at::Tensor& values) {
  const at::Tensor x = leaf(values), other = leaf(values);
  ASSERT_TRUE(can_fuse_pool(x));
  const at::Tensor y = fused_relu_pool(x), expected = pooled(at::relu(other));
  y.backward(gradient_of(y));
  expected.backward(gradient_of(y));
  EXPECT_TRUE(test::tensors_equal(y.detach(), expected.detach()));
  EXPECT_TRUE(test::tensors_equal(x.grad(), other.grad()));
  EXPECT_TRUE(test::tensors_equal(fused_relu_pool(values), expected.detach()));  // without gradients
}

TEST(FusedReluPool, EqualsLibTorchs) {
  for (const auto& shape : kShapes) {
    SCOPED_TRACE(testing::Message() << at::IntArrayRef(shape));
    expect_as_libtorch(activations("x", shape));
    expect_as_libtorch(activations("x", shape, -3, 3).round());  // ties in nearly every window
    expect_as_libtorch(activations("x", shape, -2, -1));         // nothing passes
  }
}

TEST(FusedReluPool, TakesWhatIsNoNumberAsLibTorchDoes) {
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();
  const at::Tensor x = activations("x", {2, 24, 9, 9}), which = test::generate("which", x.numel(), 0, 40).floor().view(x.sizes());
  const auto expect = [](const at::Tensor& values) { expect_as_libtorch(values.contiguous(at::MemoryFormat::ChannelsLast)); };
  expect(x.masked_fill(which == 0, kNaN).masked_fill(which == 1, kInfinity).masked_fill(which == 2, -kInfinity));
  expect(x.masked_fill(which < 20, kNaN).masked_fill(which == 0, -kNaN));
  expect(x.masked_fill(which < 30, -0.0F));
}

TEST(FusedReluPool, TakesGradientsInAnyLayout) {
  const at::Tensor values = activations("x", {2, 8, 5, 4}), x = leaf(values), other = leaf(values);
  fused_relu_pool(x).sum().backward();
  pooled(at::relu(other)).sum().backward();
  EXPECT_TRUE(test::tensors_equal(x.grad(), other.grad()));
}

TEST(FusedReluPool, LeavesOthersToLibTorch) {
  const at::Tensor x = activations("x", {2, 8, 4, 4});
  EXPECT_TRUE(can_fuse_pool(x));
  EXPECT_FALSE(can_fuse_pool(x.to(at::kFloat)));
  EXPECT_FALSE(can_fuse_pool(x.contiguous()));
  EXPECT_FALSE(can_fuse_pool(activations("x", {2, 12, 4, 4})));
  EXPECT_FALSE(can_fuse_pool(x.slice(0, 0, 0)));
}

// The output has the bits of the functions in turn. The gradients are those in float64, where maxima lie in the same places: nothing is
// rounded before it is compared.
void expect_as_in_turn(const at::Tensor& values, bool scaled) {
  BatchNorm norm = norm_of(values.size(1), scaled), other = norm_of(values.size(1), scaled);
  const BatchNorm expected_norm = wide(norm);
  require_gradients(norm);
  const at::Tensor x = leaf(values), wide_x = wide_leaf(values);
  ASSERT_TRUE(can_fuse_norm(x, {}, norm));
  const at::Tensor y = fused_norm_pool(x, norm);
  const at::Tensor rounded = fused_norm(values, {}, other, Activation::kRelu).detach();
  EXPECT_TRUE(test::tensors_equal(y.detach(), pooled(rounded)));
  EXPECT_TRUE(test::tensors_equal(norm.running_mean, other.running_mean));
  EXPECT_TRUE(test::tensors_equal(norm.running_var, other.running_var));

  const at::Tensor expected = pooled(expected_norm(wide_x, NormMode::kBatchStatistics).relu());
  y.backward(gradient_of(y));
  expected.backward(gradient_of(y).to(at::kDouble));
  EXPECT_TRUE(test::tensors_close(x.grad().to(at::kDouble), wide_x.grad(), kRounded));
  if (scaled) {
    EXPECT_TRUE(test::tensors_close(norm.weight.grad().to(at::kDouble), expected_norm.weight.grad(), kSummed));
  }
  EXPECT_TRUE(test::tensors_close(norm.bias.grad().to(at::kDouble), expected_norm.bias.grad(), kSummed));
}

TEST(FusedNormPool, EqualsNormActivationAndPoolingInTurn) {
  for (const auto& shape : kShapes) {
    SCOPED_TRACE(testing::Message() << at::IntArrayRef(shape));
    expect_as_in_turn(activations("x", shape), /*scaled=*/true);  // scales of both signs
    expect_as_in_turn(activations("x", shape, -3, 3).round(), /*scaled=*/true);
  }
  expect_as_in_turn(activations("x", {3, 16, 5, 5}), /*scaled=*/false);
}

TEST(FusedNormPool, HasTheSameBitsForAnyNumberOfThreads) {
  const auto results = [](int threads) {
    at::set_num_threads(threads);
    BatchNorm norm = norm_of(24, /*scaled=*/true);
    require_gradients(norm);
    const at::Tensor x = leaf(activations("x", {3, 24, 67, 41}));
    const at::Tensor y = fused_norm_pool(x, norm);
    y.backward(activations("dy", y.sizes()));
    at::set_num_threads(1);
    return std::vector{y.detach(), x.grad(), norm.weight.grad(), norm.bias.grad(), norm.running_mean, norm.running_var};
  };
  const auto one = results(1);
  for (const int threads : {2, 3}) {
    const auto more = results(threads);
    for (std::size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(test::tensors_equal(more[i], one[i])) << i;
  }
}

TEST(FusedNormPool, KeepsNaN) {
  at::Tensor x = activations("x", {2, 8, 4, 4});
  x[1][3][2][2] = std::numeric_limits<float>::quiet_NaN();
  const at::Tensor y = fused_norm_pool(x, norm_of(8, true));
  EXPECT_TRUE(y.select(1, 3).isnan().all().item<bool>());  // the statistics are NaN
  EXPECT_FALSE(y.select(1, 2).isnan().any().item<bool>());
}

struct Trained {
  at::Tensor y, gradient;
};

// A first layer's output and its weight's gradient.
Trained trained(const at::Tensor& x, NormPass pass, bool in_turn) {
  ConvolutionNorm layer{.convolution = {.weight = leaf(test::generate("w", 16 * 3 * 49, -0.2, 0.2).view({16, 3, 7, 7})),
                                        .bias = {},
                                        .shape = {.in = 3, .out = 16, .kernel = 7, .stride = 2}},
                        .norm = norm_of(16, /*scaled=*/true)};
  const at::Tensor y = in_turn ? pooled(layer(x, pass, Activation::kRelu)) : stem(layer, x, pass);
  y.backward(gradient_of(y).to(y.scalar_type()).contiguous(y.suggest_memory_format()));
  return {.y = y.detach(), .gradient = layer.convolution.weight.grad()};
}

TEST(Stem, EqualsItsLayersInTurn) {
  const at::Tensor photos = test::generate("photos", 4 * 3 * 37 * 42, -2, 2).view({4, 3, 37, 42});
  const at::Tensor rounded = photos.to(at::kBFloat16);
  for (const at::Tensor& x : {photos, rounded, rounded.contiguous(at::MemoryFormat::ChannelsLast)}) {
    for (const NormMode mode : {NormMode::kBatchStatistics, NormMode::kRunningStatistics}) {
      SCOPED_TRACE(testing::Message() << x.dtype() << " strides " << x.strides() << " mode " << static_cast<int>(mode));
      const Trained own = trained(x, mode, /*in_turn=*/false), expected = trained(x, mode, /*in_turn=*/true);
      EXPECT_TRUE(test::tensors_equal(own.y, expected.y));
      if (mode == NormMode::kBatchStatistics && can_fuse_pool(own.y)) continue;  // gradients go elsewhere: below
      EXPECT_TRUE(test::tensors_equal(own.gradient, expected.gradient));
    }
  }
}

// Outputs of the norm that are equal once they are rounded: LibTorch's gradients go to the first of them, ours to the largest before.
TEST(Stem, HasGradientsAsNearToFloat32AsItsLayersInTurn) {
  const at::Tensor photos = activations("photos", {4, 3, 75, 84}),
                   exact = trained(photos.to(at::kFloat), NormMode::kBatchStatistics, true).gradient;
  const auto distance = [&](bool in_turn) {
    return (trained(photos, NormMode::kBatchStatistics, in_turn).gradient - exact).norm().item<double>();
  };
  EXPECT_LE(distance(/*in_turn=*/false), 1.05 * distance(/*in_turn=*/true));
  EXPECT_LE(distance(/*in_turn=*/false), 0.1 * exact.norm().item<double>());
}

TEST(Stem, PredictsAsItsLayersInTurn) {
  const at::Tensor photos = test::generate("photos", 2 * 3 * 37 * 42, -2, 2).view({2, 3, 37, 42});
  const ConvolutionNorm layer{.convolution = {.weight = test::generate("w", 16 * 3 * 49, -0.2, 0.2).view({16, 3, 7, 7}),
                                              .bias = {},
                                              .shape = {.in = 3, .out = 16, .kernel = 7, .stride = 2}},
                              .norm = norm_of(16, /*scaled=*/true)};
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const FoldedWeights folded(std::span(&layer, 1), dtype);
    const at::Tensor x = photos.to(dtype).contiguous(at::MemoryFormat::ChannelsLast);
    EXPECT_TRUE(test::tensors_equal(stem(layer, x, folded), pooled(layer(x, folded, Activation::kRelu))));
  }
}

}  // namespace
}  // namespace headstart
