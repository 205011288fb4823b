// Layers by themselves: padding, layout, dtype.
#include "model/layers.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "generated.h"
#include "support/tensor_compare.h"

namespace headstart {
namespace {

Convolution convolution(const ConvolutionShape& shape) {
  return {.weight = test::generate_weight("convolution", {shape.out, shape.in / shape.groups, shape.kernel, shape.kernel}), .shape = shape};
}

at::Tensor image(std::int64_t channels, std::int64_t height, std::int64_t width) {
  return test::generate("image", channels * height * width, -1, 1).view({1, channels, height, width});
}

TEST(ConvolutionLayer, TensorFlowSamePadsTheOddPixelAtBottomAndRight) {
  // A kernel of ones over ones counts the pixels below it: at stride 2 on 4 pixels, none is missing at the top and left.
  Convolution layer = convolution({.in = 1, .out = 1, .kernel = 3, .stride = 2, .padding = Padding::kTensorFlowSame});
  layer.weight.fill_(1);
  const at::Tensor counts = at::tensor({9, 6, 6, 4}, at::kFloat).view({1, 1, 2, 2});
  EXPECT_TRUE(test::tensors_equal(layer(at::ones({1, 1, 4, 4})), counts));
}

TEST(ConvolutionLayer, TensorFlowSameHalvesEverySizeRoundingUp) {
  for (const std::int64_t kernel : {3, 5}) {
    for (const std::int64_t stride : {1, 2}) {
      const Convolution layer = convolution({.in = 2, .out = 4, .kernel = kernel, .stride = stride, .padding = Padding::kTensorFlowSame});
      for (const std::int64_t height : {1, 2, 5, 6, 7}) {
        for (const std::int64_t width : {1, 6, 7}) {
          const std::vector<std::int64_t> expected = {1, 4, (height + stride - 1) / stride, (width + stride - 1) / stride};
          EXPECT_EQ(layer(image(2, height, width)).sizes().vec(), expected) << "kernel " << kernel << " stride " << stride;
        }
      }
    }
  }
}

TEST(ConvolutionLayer, TensorFlowSameIsAsymmetricInOneDirectionAlone) {
  // 7 rows need one row on each side, 6 columns one column at the right only.
  const ConvolutionShape shape = {.in = 2, .out = 4, .kernel = 3, .stride = 2, .padding = Padding::kTensorFlowSame};
  const Convolution layer = convolution(shape);
  const at::Tensor x = image(2, 7, 6);
  const at::Tensor padded = at::constant_pad_nd(x, {0, 1, 1, 1}, 0);
  EXPECT_TRUE(test::tensors_close(layer(x), at::conv2d(padded, layer.weight, {}, 2), {.absolute = 1e-6}));  // sums of 18 terms below 1
}

TEST(ConvolutionLayer, KeepsChannelsLastAndComputesInTheInputsDtype) {
  const Convolution layer = convolution({.in = 8, .out = 16, .kernel = 3});
  const at::Tensor x = test::generate("image", 8 * 6 * 6 * 2, -1, 1).view({2, 8, 6, 6});
  const at::Tensor plain = layer(x);
  const at::Tensor last = layer(x.contiguous(at::MemoryFormat::ChannelsLast));
  EXPECT_TRUE(last.is_contiguous(at::MemoryFormat::ChannelsLast));
  EXPECT_TRUE(test::tensors_close(last, plain, {.absolute = 1e-5}));  // sums of 72 terms below 1 in another order
  const at::Tensor brain = layer(x.to(at::kBFloat16));
  EXPECT_EQ(brain.scalar_type(), at::kBFloat16);
  EXPECT_TRUE(test::tensors_close(brain.to(at::kFloat), plain, {.relative = 0.02, .absolute = 0.03}));  // eight bits of mantissa
}

TEST(BatchNormLayer, MixesBFloat16ActivationsWithFloat32Statistics) {
  BatchNorm layer;
  layer.weight = test::generate("scale", 8, 0.5, 1.5).set_requires_grad(true);
  layer.bias = test::generate("shift", 8, -1, 1).set_requires_grad(true);
  layer.running_mean = at::zeros({8});
  layer.running_var = at::ones({8});
  const at::Tensor x = test::generate("image", 2 * 8 * 5 * 5, -1, 1).view({2, 8, 5, 5}).contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor brain = x.to(at::kBFloat16).set_requires_grad(true);
  const at::Tensor out = layer(brain, NormMode::kBatchStatistics);
  EXPECT_EQ(out.scalar_type(), at::kBFloat16);
  EXPECT_TRUE(out.is_contiguous(at::MemoryFormat::ChannelsLast));
  (out * out).sum().backward();
  EXPECT_EQ(layer.weight.grad().scalar_type(), at::kFloat);
  EXPECT_EQ(brain.grad().scalar_type(), at::kBFloat16);
  const at::Tensor values = brain.detach().to(at::kFloat);
  // float32 statistics of bfloat16 values; momentum 0.1.
  EXPECT_TRUE(test::tensors_close(layer.running_mean, values.mean(at::IntArrayRef{0, 2, 3}) * 0.1, {.absolute = 1e-6}));
}

}  // namespace
}  // namespace headstart
