// Winograd's convolutions against the same functions in float64. Where the processor has no such instructions oneDNN's are tested in their
// place by training_layers_test.cpp, and these tests are skipped.
#include "model/winograd.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "generated.h"
#include "layer_inputs.h"
#include "support/tensor_compare.h"

namespace headstart {
namespace {

using test::activations, test::leaf, test::wide_leaf;

constexpr ConvolutionShape shape_of(std::int64_t in, std::int64_t out) { return {.in = in, .out = out, .kernel = 3}; }

class Winograd : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!suits_winograd(shape_of(64, 64))) GTEST_SKIP() << "the processor multiplies bfloat16 in no AVX-512, or in AMX";
  }
};

struct Case {
  std::int64_t images, in, out, height, width;
};

const Case kCases[] = {{1, 64, 64, 7, 7}, {3, 64, 128, 8, 12}, {2, 128, 64, 9, 5},
                       {1, 64, 64, 2, 2}, {5, 64, 64, 14, 13}, {2, 192, 128, 4, 6}};

// Whole numbers so small that every transform and sum is exact: what is found is the exact result, rounded once.
at::Tensor whole(const std::string& key, at::IntArrayRef shape, double largest, double step) {
  return (activations(key, shape, -largest / step, largest / step).round() * step).contiguous(at::MemoryFormat::ChannelsLast);
}

TEST_F(Winograd, OfWholeNumbersIsExact) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(testing::Message() << c.images << " images " << c.in << " to " << c.out << ", " << c.height << " x " << c.width);
    const at::Tensor values = whole("x", {c.images, c.in, c.height, c.width}, 3, 1);
    const at::Tensor weights = whole("w", {c.out, c.in, 3, 3}, 4, 4).to(at::kFloat);  // their transforms have quarters
    const at::Tensor gradient = whole("dy", {c.images, c.out, c.height, c.width}, 3, 1);
    const at::Tensor x = leaf(values), weight = leaf(weights), wide_x = wide_leaf(values), wide_weight = wide_leaf(weights);
    ASSERT_TRUE(can_convolve_winograd(x, shape_of(c.in, c.out)));
    const at::Tensor y = winograd_convolve(x, weight, {}, {}, Activation::kNone);
    const at::Tensor expected = convolve(wide_x, wide_weight, {}, shape_of(c.in, c.out));
    EXPECT_TRUE(y.is_contiguous(at::MemoryFormat::ChannelsLast));
    EXPECT_TRUE(test::tensors_equal(y.detach(), expected.detach().to(at::kBFloat16)));
    y.backward(gradient);
    expected.backward(gradient.to(at::kDouble));
    EXPECT_TRUE(test::tensors_equal(x.grad(), wide_x.grad().to(at::kBFloat16)));
    EXPECT_TRUE(test::tensors_equal(weight.grad(), wide_weight.grad().to(at::kFloat)));
  }
}

TEST_F(Winograd, AddsBiasAndInputAndActivates) {
  const at::Tensor values = whole("x", {3, 64, 9, 8}, 2, 1), other = whole("added", {3, 64, 9, 8}, 200, 8);
  const at::Tensor weights = whole("w", {64, 64, 3, 3}, 4, 4).to(at::kFloat), biases = test::generate("b", 64, -9, 9).round();
  const at::Tensor gradient = whole("dy", {3, 64, 9, 8}, 3, 1);
  for (const Activation activation : {Activation::kNone, Activation::kRelu, Activation::kRelu6}) {
    for (const bool has_added : {false, true}) {
      SCOPED_TRACE(testing::Message() << "activation " << static_cast<int>(activation) << " added " << has_added);
      const at::Tensor x = leaf(values), weight = leaf(weights), bias = leaf(biases), added = has_added ? leaf(other) : at::Tensor();
      const at::Tensor wide_x = wide_leaf(values), wide_weight = wide_leaf(weights), wide_bias = wide_leaf(biases);
      const at::Tensor wide_added = has_added ? wide_leaf(other) : at::Tensor();
      const at::Tensor y = winograd_convolve(x, weight, bias, added, activation);
      at::Tensor expected = convolve(wide_x, wide_weight, wide_bias, shape_of(64, 64));
      if (has_added) expected = expected + wide_added;
      if (activation != Activation::kNone) {
        // Gradients pass strictly between the bounds, in LibTorch at the bounds too: whole numbers lie on them.
        const double high = activation == Activation::kRelu6 ? 6 : std::numeric_limits<double>::infinity();
        const at::Tensor inside = expected.detach().gt(0).logical_and(expected.detach().lt(high));
        expected = at::where(inside, expected, expected.detach().clamp(0, high));
      }
      EXPECT_TRUE(test::tensors_equal(y.detach(), expected.detach().to(at::kBFloat16)));
      y.backward(gradient);
      expected.backward(gradient.to(at::kDouble));
      EXPECT_TRUE(test::tensors_equal(x.grad(), wide_x.grad().to(at::kBFloat16)));
      EXPECT_TRUE(test::tensors_equal(weight.grad(), wide_weight.grad().to(at::kFloat)));
      EXPECT_TRUE(test::tensors_equal(bias.grad(), wide_bias.grad().to(at::kFloat)));
      if (has_added) {
        EXPECT_TRUE(test::tensors_equal(added.grad(), wide_added.grad().to(at::kBFloat16)));
      }
      const c10::NoGradGuard no_gradients;
      EXPECT_TRUE(test::tensors_equal(winograd_convolve_transformed(x, winograd_weight(weight), bias, added, activation), y));
    }
  }
}

double distance(const at::Tensor& found, const at::Tensor& expected) {
  return ((found.detach().to(at::kDouble) - expected.detach()).norm() / expected.detach().norm()).item<double>();
}

// Transformed inputs and weights are rounded to 8 bits, each off by 2^-9 / sqrt(3) = 0.0011 of itself on average, and the sums that take
// the transform back make about twice as much of it; measured are 0.0034 to 0.0044, with the output's own rounding. A tap or a pixel in the
// wrong place makes 0.1 and more.
TEST_F(Winograd, IsAsExactAsBFloat16) {
  for (const Case& c : kCases) {
    const at::Tensor values = activations("x", {c.images, c.in, c.height, c.width}, 0, 2);  // as behind a ReLU
    const at::Tensor weights = activations("w", {c.out, c.in, 3, 3}, -1, 1).to(at::kFloat);
    const at::Tensor gradient = activations("dy", {c.images, c.out, c.height, c.width}, -1, 1);
    const at::Tensor x = leaf(values), weight = leaf(weights), wide_x = wide_leaf(values), wide_weight = wide_leaf(weights);
    const at::Tensor y = winograd_convolve(x, weight, {}, {}, Activation::kNone);
    const at::Tensor expected = convolve(wide_x, wide_weight, {}, shape_of(c.in, c.out));
    y.backward(gradient);
    expected.backward(gradient.to(at::kDouble));
    EXPECT_LE(distance(y, expected), 0.006);
    EXPECT_LE(distance(x.grad(), wide_x.grad()), 0.006);
    EXPECT_LE(distance(weight.grad(), wide_weight.grad()), 0.006);
  }
}

// Tiles enough for several parts of the weights' gradient.
TEST_F(Winograd, HasTheSameBitsForAnyNumberOfThreads) {
  const auto results = [](int threads) {
    at::set_num_threads(threads);
    const at::Tensor x = leaf(activations("x", {9, 64, 66, 64})), weight = leaf(activations("w", {64, 64, 3, 3}).to(at::kFloat));
    const at::Tensor bias = leaf(test::generate("b", 64, -1, 1));
    const at::Tensor y = winograd_convolve(x, weight, bias, {}, Activation::kRelu);
    y.backward(activations("dy", y.sizes()));
    at::set_num_threads(1);
    return std::vector{y.detach(), x.grad(), weight.grad(), bias.grad()};
  };
  const auto one = results(1), three = results(3);
  for (std::size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(test::tensors_equal(three[i], one[i])) << i;
}

// A photo by itself has few tiles: its outputs are shared out among the threads.
TEST_F(Winograd, OfOnePhotoHasTheSameBitsForAnyNumberOfThreads) {
  const c10::NoGradGuard no_gradients;
  const at::Tensor x = activations("x", {1, 512, 7, 7}), weight = winograd_weight(activations("w", {512, 512, 3, 3}));
  const at::Tensor bias = test::generate("b", 512, -1, 1), one = winograd_convolve_transformed(x, weight, bias, {}, Activation::kRelu);
  at::set_num_threads(4);
  const at::Tensor four = winograd_convolve_transformed(x, weight, bias, {}, Activation::kRelu);
  at::set_num_threads(1);
  EXPECT_TRUE(test::tensors_equal(four, one));
}

TEST_F(Winograd, GivesGradientsOnlyWhereTheyAreAskedFor) {
  const at::Tensor x = activations("x", {2, 64, 4, 4}), weight = activations("w", {64, 64, 3, 3}).to(at::kFloat);
  EXPECT_FALSE(winograd_convolve(x, weight, {}, {}, Activation::kNone).requires_grad());
  const at::Tensor trained = leaf(weight), input = leaf(x);
  winograd_convolve(x, trained, {}, {}, Activation::kNone).sum().backward();
  EXPECT_TRUE(trained.grad().defined());
  winograd_convolve(input, weight, {}, {}, Activation::kNone).sum().backward();
  EXPECT_TRUE(input.grad().defined());
}

TEST_F(Winograd, KeepsNaN) {
  at::Tensor x = activations("x", {2, 64, 4, 4});
  x[1][3][2][2] = std::numeric_limits<float>::quiet_NaN();
  const at::Tensor weight = activations("w", {64, 64, 3, 3}).to(at::kFloat);
  for (const Activation activation : {Activation::kNone, Activation::kRelu, Activation::kRelu6}) {
    EXPECT_TRUE(winograd_convolve(x, weight, {}, {}, activation).isnan().any().item<bool>());
  }
}

TEST_F(Winograd, LeavesOthersToOneDnn) {
  const at::Tensor x = activations("x", {2, 64, 8, 8});
  const auto with = [](auto change) {
    ConvolutionShape shape = shape_of(64, 64);
    change(shape);
    return shape;
  };
  EXPECT_TRUE(can_convolve_winograd(x, shape_of(64, 64)));
  EXPECT_FALSE(can_convolve_winograd(x.to(at::kFloat), shape_of(64, 64)));                 // exact by definition
  EXPECT_FALSE(can_convolve_winograd(x.contiguous(), shape_of(64, 64)));                   // channels first
  EXPECT_FALSE(can_convolve_winograd(activations("x", {2, 64, 1, 8}), shape_of(64, 64)));  // half of each tile would be wasted
  EXPECT_FALSE(can_convolve_winograd(x.narrow(0, 0, 0), shape_of(64, 64)));                // a process without a share of the batch
  EXPECT_FALSE(can_convolve_winograd(x, shape_of(128, 64)));                               // LibTorch says what is wrong with it
  EXPECT_FALSE(can_convolve_winograd(x, with([](ConvolutionShape& s) { s.out = 32; })));
  EXPECT_FALSE(can_convolve_winograd(x, with([](ConvolutionShape& s) { s.kernel = 5; })));
  EXPECT_FALSE(can_convolve_winograd(x, with([](ConvolutionShape& s) { s.stride = 2; })));
  EXPECT_FALSE(can_convolve_winograd(x, with([](ConvolutionShape& s) { s.groups = 2; })));
}

}  // namespace
}  // namespace headstart
