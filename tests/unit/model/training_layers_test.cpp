// The layers that training in bfloat16 on the CPU has of its own, against the same functions in float64.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "generated.h"
#include "layer_inputs.h"
#include "model/depthwise.h"
#include "model/fused_convolution.h"
#include "model/fused_norm.h"
#include "support/tensor_compare.h"

namespace headstart {
namespace {

using test::activations, test::leaf, test::wide_leaf, test::norm_of, test::wide, test::require_gradients, test::kRounded, test::kSummed;

struct NormCase {
  std::vector<std::int64_t> shape;
  Activation activation;
  bool added, scaled;
};

void expect_as_in_float64(const NormCase& c) {
  const at::Tensor values = activations("x", c.shape), gradient = activations("dy", c.shape, -1, 1);
  const at::Tensor other = activations("added", c.shape);
  BatchNorm norm = norm_of(c.shape[1], c.scaled);
  const BatchNorm expected_norm = wide(norm);
  require_gradients(norm);
  const at::Tensor x = leaf(values), added = c.added ? leaf(other) : at::Tensor();
  ASSERT_TRUE(can_fuse_norm(x, added, norm));
  const at::Tensor y = fused_norm(x, added, norm, c.activation);
  y.backward(gradient);

  const at::Tensor wide_x = wide_leaf(values), wide_added = c.added ? wide_leaf(other) : at::Tensor();
  at::Tensor expected = expected_norm(wide_x, NormMode::kBatchStatistics);
  if (c.added) expected = expected + wide_added;
  if (c.activation != Activation::kNone)
    expected = expected.clamp(0, c.activation == Activation::kRelu6 ? 6 : std::numeric_limits<double>::infinity());
  expected.backward(gradient.to(at::kDouble));

  EXPECT_TRUE(test::tensors_close(y.detach().to(at::kDouble), expected.detach(), kRounded));
  EXPECT_TRUE(test::tensors_close(x.grad().to(at::kDouble), wide_x.grad(), kRounded));
  if (c.added) {
    EXPECT_TRUE(test::tensors_close(added.grad().to(at::kDouble), wide_added.grad(), kRounded));
  }
  if (c.scaled) {
    EXPECT_TRUE(test::tensors_close(norm.weight.grad().to(at::kDouble), expected_norm.weight.grad(), kSummed));
  }
  EXPECT_TRUE(test::tensors_close(norm.bias.grad().to(at::kDouble), expected_norm.bias.grad(), kSummed));
  EXPECT_TRUE(test::tensors_close(norm.running_mean.to(at::kDouble), expected_norm.running_mean, kSummed));
  EXPECT_TRUE(test::tensors_close(norm.running_var.to(at::kDouble), expected_norm.running_var, kSummed));
}

TEST(FusedNorm, EqualsNormAdditionAndActivation) {
  const std::vector<std::vector<std::int64_t>> shapes = {{2, 8, 3, 5}, {3, 40, 7, 7}, {1, 64, 1, 2}, {4, 24, 20, 31}, {2, 512, 9, 9}};
  for (const auto& shape : shapes) {
    for (const Activation activation : {Activation::kNone, Activation::kRelu, Activation::kRelu6}) {
      for (const bool added : {false, true}) {
        // Where the sum rounds to 6 in bfloat16 the gradient ends a little early: no network adds before ReLU6.
        if (added && activation == Activation::kRelu6) continue;
        SCOPED_TRACE(testing::Message() << at::IntArrayRef(shape) << " activation " << static_cast<int>(activation) << " added " << added);
        expect_as_in_float64({.shape = shape, .activation = activation, .added = added, .scaled = true});
      }
    }
  }
  expect_as_in_float64({.shape = {3, 16, 5, 5}, .activation = Activation::kRelu, .added = false, .scaled = false});
}

TEST(FusedNorm, KeepsTheVarianceOfValuesFarFromZero) {
  // Multiples of a half between 62 and 66: exact in bfloat16.
  const at::Tensor x = (test::generate("x", 2 * 8 * 60 * 60, 124, 132).round() / 2)
                           .to(at::kBFloat16)
                           .view({2, 8, 60, 60})
                           .contiguous(at::MemoryFormat::ChannelsLast);
  const BatchNorm norm = norm_of(8, /*scaled=*/true), expected = wide(norm);
  const at::Tensor y = fused_norm(x, {}, norm, Activation::kNone).detach();
  EXPECT_TRUE(test::tensors_close(y.to(at::kDouble), expected(x.to(at::kDouble), NormMode::kBatchStatistics).detach(),
                                  {.relative = 0.004, .absolute = 1e-4}));  // float32 at 64: 4e-6, over a deviation of 1.2
  EXPECT_TRUE(test::tensors_close(norm.running_var.to(at::kDouble), expected.running_var, kSummed));
}

TEST(FusedNorm, HasTheSameBitsForAnyNumberOfThreads) {
  const auto results = [](int threads) {
    at::set_num_threads(threads);
    BatchNorm norm = norm_of(24, /*scaled=*/true);
    require_gradients(norm);
    const at::Tensor x = leaf(activations("x", {4, 24, 40, 40})), added = leaf(activations("added", {4, 24, 40, 40}));
    fused_norm(x, added, norm, Activation::kRelu).backward(activations("dy", {4, 24, 40, 40}));
    at::set_num_threads(1);
    return std::vector{x.grad(), added.grad(), norm.weight.grad(), norm.bias.grad(), norm.running_mean, norm.running_var};
  };
  const auto one = results(1), three = results(3);
  for (std::size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(test::tensors_equal(three[i], one[i])) << i;
}

TEST(FusedNorm, KeepsNaN) {
  for (const Activation activation : {Activation::kNone, Activation::kRelu, Activation::kRelu6}) {
    at::Tensor x = activations("x", {2, 8, 4, 4});
    x[1][3][2][2] = std::numeric_limits<float>::quiet_NaN();
    const at::Tensor y = fused_norm(x, {}, norm_of(8, true), activation);
    EXPECT_TRUE(y.isnan().any().item<bool>());
  }
}

TEST(FusedNorm, TakesGradientsInAnyLayout) {
  const auto gradient_of_x = [](bool expanded) {
    const at::Tensor x = leaf(activations("x", {2, 8, 4, 4}));
    const at::Tensor y = fused_norm(x, {}, norm_of(8, true), Activation::kRelu);
    y.backward(expanded ? at::ones({}, y.options()).expand_as(y) : at::ones_like(y));
    return x.grad();
  };
  EXPECT_TRUE(test::tensors_equal(gradient_of_x(true), gradient_of_x(false)));
}

TEST(FusedNorm, LeavesOthersToLibTorch) {
  const BatchNorm eight = norm_of(8, true);
  const at::Tensor x = activations("x", {2, 8, 4, 4});
  EXPECT_TRUE(can_fuse_norm(x, {}, eight));
  EXPECT_FALSE(can_fuse_norm(x, activations("added", {2, 8, 4, 3}), eight));  // LibTorch says what is wrong with it
  EXPECT_FALSE(can_fuse_norm(x, {}, norm_of(16, true)));
  EXPECT_FALSE(can_fuse_norm(activations("x", {2, 12, 4, 4}), {}, norm_of(12, true)));  // no whole vectors
  EXPECT_FALSE(can_fuse_norm(activations("x", {1, 8, 1, 1}), {}, eight));               // no variance
  EXPECT_FALSE(can_fuse_norm(x.to(at::kFloat), {}, eight));                             // exact by definition
  EXPECT_FALSE(can_fuse_norm(x.contiguous(), {}, eight));                               // channels first
}

struct DepthwiseCase {
  std::int64_t images, channels, height, width, kernel, stride;
  Padding padding;
};

ConvolutionShape shape_of(const DepthwiseCase& c) {
  return {.in = c.channels, .out = c.channels, .kernel = c.kernel, .stride = c.stride, .groups = c.channels, .padding = c.padding};
}

void expect_as_in_float64(const DepthwiseCase& c) {
  const ConvolutionShape shape = shape_of(c);
  const at::Tensor values = activations("x", {c.images, c.channels, c.height, c.width});
  const at::Tensor weights = test::generate("w", c.channels * c.kernel * c.kernel, -1, 1).view({c.channels, 1, c.kernel, c.kernel});
  const at::Tensor biases = test::generate("b", c.channels, -1, 1);
  const at::Tensor x = leaf(values), weight = leaf(weights), bias = leaf(biases);
  ASSERT_TRUE(can_convolve_depthwise(x, shape));
  const at::Tensor y = depthwise_convolve(x, weight, bias, shape);
  const at::Tensor wide_x = wide_leaf(values), wide_weight = wide_leaf(weights), wide_bias = wide_leaf(biases);
  const at::Tensor expected = convolve(wide_x, wide_weight, wide_bias, shape);
  ASSERT_EQ(y.sizes(), expected.sizes());
  const at::Tensor gradient = activations("dy", y.sizes(), -1, 1);
  y.backward(gradient);
  expected.backward(gradient.to(at::kDouble));
  EXPECT_TRUE(test::tensors_close(y.detach().to(at::kDouble), expected.detach(), kRounded));
  EXPECT_TRUE(test::tensors_close(x.grad().to(at::kDouble), wide_x.grad(), kRounded));
  EXPECT_TRUE(test::tensors_close(weight.grad().to(at::kDouble), wide_weight.grad(), kSummed));
  EXPECT_TRUE(test::tensors_close(bias.grad().to(at::kDouble), wide_bias.grad(), kSummed));
}

TEST(Depthwise, EqualsConvolutionInFloat64) {
  for (const std::int64_t kernel : {3, 5}) {
    for (const std::int64_t stride : {1, 2}) {
      for (const Padding padding : {Padding::kSymmetric, Padding::kTensorFlowSame}) {
        for (const std::int64_t side : {1, 2, 3, 4, 7, 8, 13, 28}) {
          SCOPED_TRACE(testing::Message() << "kernel " << kernel << " stride " << stride << " padding " << static_cast<int>(padding)
                                          << " side " << side);
          expect_as_in_float64(
              {.images = 2, .channels = 24, .height = side, .width = side + 1, .kernel = kernel, .stride = stride, .padding = padding});
        }
      }
    }
  }
  expect_as_in_float64({.images = 19, .channels = 8, .height = 3, .width = 2, .kernel = 5, .stride = 1, .padding = Padding::kSymmetric});
}

TEST(Depthwise, GivesGradientsOnlyWhereTheyAreAskedFor) {
  const ConvolutionShape shape =
      shape_of({.images = 2, .channels = 8, .height = 4, .width = 4, .kernel = 3, .stride = 1, .padding = Padding::kSymmetric});
  const at::Tensor x = activations("x", {2, 8, 4, 4}), weight = test::generate("w", 72, -1, 1).view({8, 1, 3, 3});
  EXPECT_FALSE(depthwise_convolve(x, weight, {}, shape).requires_grad());
  const at::Tensor trained = leaf(weight);
  depthwise_convolve(x, trained, {}, shape).sum().backward();
  EXPECT_TRUE(trained.grad().defined());
  const at::Tensor input = leaf(x);
  depthwise_convolve(input, weight, {}, shape).sum().backward();
  EXPECT_TRUE(input.grad().defined());
}

TEST(Depthwise, HasTheSameBitsForAnyNumberOfThreads) {
  const ConvolutionShape shape =
      shape_of({.images = 5, .channels = 24, .height = 9, .width = 9, .kernel = 5, .stride = 2, .padding = Padding::kTensorFlowSame});
  const auto results = [&shape](int threads) {
    at::set_num_threads(threads);
    const at::Tensor x = leaf(activations("x", {5, 24, 9, 9})), weight = leaf(test::generate("w", 600, -1, 1).view({24, 1, 5, 5}));
    const at::Tensor y = depthwise_convolve(x, weight, {}, shape);
    y.backward(activations("dy", y.sizes()));
    at::set_num_threads(1);
    return std::vector{y.detach(), x.grad(), weight.grad()};
  };
  const auto one = results(1), three = results(3);
  for (std::size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(test::tensors_equal(three[i], one[i])) << i;
}

TEST(Depthwise, KeepsNaN) {
  const ConvolutionShape shape =
      shape_of({.images = 2, .channels = 8, .height = 4, .width = 4, .kernel = 3, .stride = 1, .padding = Padding::kSymmetric});
  at::Tensor x = activations("x", {2, 8, 4, 4});
  x[1][3][2][2] = std::numeric_limits<float>::quiet_NaN();
  const at::Tensor weight = test::generate("w", 72, -1, 1).view({8, 1, 3, 3});
  for (const Activation activation : {Activation::kNone, Activation::kRelu6}) {
    EXPECT_TRUE(depthwise_convolve(x, weight, {}, shape, activation).isnan().any().item<bool>());
  }
}

TEST(Depthwise, LeavesOthersToLibTorch) {
  const at::Tensor x = activations("x", {2, 8, 4, 4});
  const ConvolutionShape own =
      shape_of({.images = 2, .channels = 8, .height = 4, .width = 4, .kernel = 3, .stride = 1, .padding = Padding::kSymmetric});
  const auto with = [own](auto change) {
    ConvolutionShape shape = own;
    change(shape);
    return shape;
  };
  EXPECT_TRUE(can_convolve_depthwise(x, own));
  EXPECT_FALSE(can_convolve_depthwise(x.to(at::kFloat), own));
  EXPECT_FALSE(can_convolve_depthwise(x.contiguous(), own));
  EXPECT_FALSE(can_convolve_depthwise(x, with([](ConvolutionShape& s) { s.groups = 1; })));
  EXPECT_FALSE(can_convolve_depthwise(x, with([](ConvolutionShape& s) { s.kernel = 7; })));
  EXPECT_FALSE(can_convolve_depthwise(x, with([](ConvolutionShape& s) { s.stride = 3; })));
  EXPECT_FALSE(can_convolve_depthwise(x, with([](ConvolutionShape& s) { s.out = 16; })));
}

struct ConvolutionCase {
  ConvolutionShape shape;
  Activation activation;
  bool added;
};

void expect_as_in_float64(const ConvolutionCase& c) {
  const ConvolutionShape& shape = c.shape;
  const at::Tensor values = activations("x", {3, shape.in, 9, 8});
  const at::Tensor weights = activations("w", {shape.out, shape.in / shape.groups, shape.kernel, shape.kernel}, -1, 1).to(at::kFloat);
  const at::Tensor biases = activations("b", {1, shape.out, 1, 1}, -1, 1).to(at::kFloat).flatten();
  const at::Tensor x = leaf(values), weight = leaf(weights), bias = leaf(biases);
  const at::Tensor wide_x = wide_leaf(values), wide_weight = wide_leaf(weights), wide_bias = wide_leaf(biases);
  const at::Tensor plain = convolve(wide_x, wide_weight, wide_bias, shape);
  const at::Tensor other = activations("added", plain.sizes());
  const at::Tensor added = c.added ? leaf(other) : at::Tensor(), wide_added = c.added ? wide_leaf(other) : at::Tensor();
  ASSERT_TRUE(can_fuse_convolution(x));
  const at::Tensor y = convolve(x, weight, bias, shape, c.activation, added);
  at::Tensor expected = c.added ? plain + wide_added : plain;
  if (c.activation != Activation::kNone)
    expected = expected.clamp(0, c.activation == Activation::kRelu6 ? 6 : std::numeric_limits<double>::infinity());
  // oneDNN adds in bfloat16: the sum's own rounding is joined by that of the convolution's part. Nothing is subtracted that is larger
  // than 64.
  EXPECT_TRUE(test::tensors_close(y.detach().to(at::kDouble), expected.detach(), {.relative = 0.004, .absolute = c.added ? 0.1 : 1e-5}));
  // Where the two round to different sides of a bound, the gradients differ by all of it: only the others are compared.
  const at::Tensor inside =
      (expected.detach() - 6).abs().gt(0.2).logical_and(expected.detach().abs().gt(0.2).logical_or(expected.detach().eq(0)));
  const at::Tensor agree = inside.logical_and(y.detach().gt(0).eq(expected.detach().gt(0))).to(at::kBFloat16);
  const at::Tensor gradient = activations("dy", y.sizes(), -1, 1) * agree;
  y.backward(gradient.contiguous(at::MemoryFormat::ChannelsLast));
  expected.backward(gradient.to(at::kDouble));
  EXPECT_TRUE(test::tensors_close(x.grad().to(at::kDouble), wide_x.grad(), {.relative = 0.004, .absolute = 1e-4}));
  // Weights' gradients come in bfloat16, of sums that cancel: a unit of the largest of them.
  const double largest = wide_weight.grad().abs().max().item<double>();
  EXPECT_TRUE(test::tensors_close(weight.grad().to(at::kDouble), wide_weight.grad(), {.relative = 0.004, .absolute = largest / 256}));
  EXPECT_TRUE(test::tensors_close(bias.grad().to(at::kDouble), wide_bias.grad(), {.relative = 0.004, .absolute = 0.05}));
  if (c.added) {
    EXPECT_TRUE(test::tensors_close(added.grad().to(at::kDouble), wide_added.grad(), kRounded));
  }
}

TEST(FusedConvolution, EqualsConvolutionAdditionAndActivation) {
  const ConvolutionShape shapes[] = {{.in = 3, .out = 16, .kernel = 7, .stride = 2},
                                     {.in = 16, .out = 24, .kernel = 1},
                                     {.in = 16, .out = 16, .kernel = 3, .stride = 2, .padding = Padding::kTensorFlowSame},
                                     {.in = 16, .out = 16, .kernel = 3}};
  for (const ConvolutionShape& shape : shapes) {
    for (const Activation activation : {Activation::kNone, Activation::kRelu, Activation::kRelu6}) {
      for (const bool added : {false, true}) {
        SCOPED_TRACE(testing::Message() << "kernel " << shape.kernel << " out " << shape.out << " activation "
                                        << static_cast<int>(activation) << " added " << added);
        expect_as_in_float64({.shape = shape, .activation = activation, .added = added});
      }
    }
  }
}

// As a process has it that has no share of a batch.
TEST(FusedConvolution, EmptyBatchesPass) {
  const at::Tensor weight = leaf(test::generate("w", 16 * 16, -1, 1).view({16, 16, 1, 1})), bias = leaf(test::generate("b", 16, -1, 1));
  const at::Tensor x = at::empty({0, 16, 8, 8}, at::TensorOptions(at::kBFloat16).memory_format(at::MemoryFormat::ChannelsLast));
  const at::Tensor y = convolve(x, weight, bias, {.in = 16, .out = 16, .kernel = 1}, Activation::kRelu);
  EXPECT_EQ(y.sizes(), (std::vector<std::int64_t>{0, 16, 8, 8}));
  y.sum().backward();
  EXPECT_EQ(weight.grad().abs().max().item<double>(), 0);
}

TEST(FusedConvolution, ActivatesDepthwiseOnesToo) {
  const ConvolutionShape shape = {.in = 16, .out = 16, .kernel = 5, .stride = 2, .groups = 16, .padding = Padding::kTensorFlowSame};
  for (const Activation activation : {Activation::kRelu, Activation::kRelu6}) {
    for (const bool added : {false, true}) {
      SCOPED_TRACE(testing::Message() << "activation " << static_cast<int>(activation) << " added " << added);
      expect_as_in_float64({.shape = shape, .activation = activation, .added = added});
    }
  }
}

struct Pass {
  at::Tensor logits;
  std::vector<std::pair<std::string, at::Tensor>> gradients, statistics;
};

// [8, 3, 64, 64]: fewer values a channel than this makes in the last layers, and batch statistics turn roundings into chaos.
at::Tensor eight_photos() { return test::generate("photos", 8 * 3 * 64 * 64, -2, 2).view({8, 3, 64, 64}); }

Pass pass_of(const char* architecture, const at::Tensor& photos, NormMode mode) {
  const auto network = test::generated_network(architecture, 3);
  for (const NamedParameter& parameter : network->parameters()) parameter.tensor.set_requires_grad(true);
  Pass pass;
  pass.logits = network->forward(photos, mode);
  (pass.logits * test::generate("dy", pass.logits.numel(), -1, 1).view(pass.logits.sizes())).sum().backward();
  for (const NamedParameter& parameter : network->parameters()) pass.gradients.emplace_back(parameter.name, parameter.tensor.grad());
  for (const NamedBuffer& buffer : network->buffers()) pass.statistics.emplace_back(buffer.name, buffer.tensor);
  return pass;
}

double cosine(const at::Tensor& a, const at::Tensor& b) {
  return (at::dot(a.flatten().to(at::kDouble), b.flatten().to(at::kDouble)) / (a.norm() * b.norm()).to(at::kDouble)).item<double>();
}

class WholeNetwork : public ::testing::TestWithParam<const char*> {};

// Of all parameters with gradients, the mean.
double mean_cosine(const Pass& pass, const Pass& exact) {
  double sum = 0, count = 0;
  for (std::size_t i = 0; i < pass.gradients.size(); ++i) {
    const at::Tensor& wanted = exact.gradients[i].second;
    if (wanted.norm().item<double>() < 1e-6) continue;  // a bias that the norm behind it takes away
    sum += cosine(pass.gradients[i].second, wanted);
    ++count;
  }
  return sum / count;
}

// Rounding to 8 bits in twenty to fifty layers turns gradients away from float32's: ours no further than LibTorch's own bfloat16, which
// photos with channels first go through, or a little where Winograd's transforms round as well (model/winograd.h). With random weights the
// two means lie within 0.01 of each other, or ours is nearer, where the gradients mean something (ResNet-50's, with batch statistics, are
// 0.26 and 0.24); a layer that is wired wrongly turns its gradient, and that of everything before it, by much more.
TEST_P(WholeNetwork, HasGradientsAsNearToFloat32AsLibTorchs) {
  const at::Tensor photos = eight_photos();
  for (const NormMode mode : {NormMode::kBatchStatistics, NormMode::kRunningStatistics}) {
    const Pass own = pass_of(GetParam(), photos.to(at::kBFloat16).contiguous(at::MemoryFormat::ChannelsLast), mode);
    const Pass libtorch = pass_of(GetParam(), photos.to(at::kBFloat16), mode), exact = pass_of(GetParam(), photos, mode);
    EXPECT_LT(1 - mean_cosine(own, exact), 1.1 * (1 - mean_cosine(libtorch, exact)) + 0.02) << static_cast<int>(mode);
    EXPECT_GT(cosine(own.logits.detach(), exact.logits.detach()), cosine(libtorch.logits.detach(), exact.logits.detach()) - 0.02);
    for (std::size_t i = 0; i < own.statistics.size(); ++i) {
      const at::Tensor& wanted = exact.statistics[i].second;
      const double distance = (own.statistics[i].second - wanted).norm().item<double>();
      const double of_libtorch = (libtorch.statistics[i].second - wanted).norm().item<double>();
      EXPECT_LE(distance, 1.5 * of_libtorch + 0.002 * wanted.norm().item<double>()) << own.statistics[i].first;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Networks, WholeNetwork, ::testing::Values("resnet18", "resnet50_v1", "resnet18_v2", "efficientnet_lite0"),
                         [](const auto& network) { return std::string(network.param); });

}  // namespace
}  // namespace headstart
