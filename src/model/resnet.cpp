#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/relu.h>
#include <fmt/format.h>

#include <optional>
#include <string>
#include <vector>

#include "model/families.h"
#include "model/layers.h"

namespace headstart {
namespace {

constexpr std::int64_t kBottleneckExpansion = 4;

// A residual block: convolutions with norms and ReLU between them, plus the (projected) input, then ReLU. The ReLUs and the addition work
// in place: batch norm's backward needs its input, not its output.
struct Block {
  std::vector<ConvolutionNorm> body;
  std::optional<ConvolutionNorm> downsample;

  at::Tensor operator()(const at::Tensor& x, NormMode mode) const {
    at::Tensor y = x;
    for (std::size_t i = 0; i < body.size(); ++i) {
      y = body[i](y, mode);
      if (i + 1 < body.size()) at::relu_(y);
    }
    y += downsample ? (*downsample)(x, mode) : x;
    return at::relu_(y);
  }
};

class ResNet final : public LayeredNetwork {
 public:
  ResNet(const Architecture& self, const ResNetSpec& spec, std::int64_t classes, const at::Device& device)
      : LayeredNetwork(self.name, device) {
    stem_ = add("conv1", "bn1", {.in = 3, .out = 64, .kernel = 7, .stride = 2});
    std::int64_t channels = 64;
    for (std::size_t stage = 0; stage < spec.blocks.size(); ++stage) {
      const std::int64_t width = std::int64_t{64} << stage;
      for (int i = 0; i < spec.blocks[stage]; ++i) {
        const std::int64_t stride = stage > 0 && i == 0 ? 2 : 1;
        blocks_.push_back(make_block(fmt::format("layer{}.{}.", stage + 1, i), spec.block, channels, width, stride));
        channels = spec.block == ResidualBlock::kBottleneck ? width * kBottleneckExpansion : width;
      }
    }
    add_output_layer(std::string(self.head_prefix), channels, classes);
  }

  at::Tensor features(const at::Tensor& x, NormMode norm) override {
    at::Tensor y = stem_(x, norm);
    y = at::max_pool2d(at::relu_(y), {3, 3}, {2, 2}, {1, 1});
    for (const Block& block : blocks_) y = block(y, norm);
    return global_average(y);
  }

 private:
  ConvolutionNorm add(const std::string& convolution, const std::string& norm, const ConvolutionShape& shape) {
    ConvolutionNorm layer;
    layer.convolution = add_convolution(convolution, shape);
    layer.norm = add_batch_norm(norm, shape.out, {});
    return layer;
  }

  Block make_block(const std::string& prefix, ResidualBlock kind, std::int64_t in, std::int64_t width, std::int64_t stride) {
    Block block;
    std::int64_t out = width;
    if (kind == ResidualBlock::kBasic) {
      block.body.push_back(add(prefix + "conv1", prefix + "bn1", {.in = in, .out = width, .kernel = 3, .stride = stride}));
      block.body.push_back(add(prefix + "conv2", prefix + "bn2", {.in = width, .out = width, .kernel = 3}));
    } else {
      out = width * kBottleneckExpansion;
      block.body.push_back(add(prefix + "conv1", prefix + "bn1", {.in = in, .out = width}));
      block.body.push_back(add(prefix + "conv2", prefix + "bn2", {.in = width, .out = width, .kernel = 3, .stride = stride}));
      block.body.push_back(add(prefix + "conv3", prefix + "bn3", {.in = width, .out = out}));
    }
    if (stride != 1 || in != out) {
      block.downsample = add(prefix + "downsample.0", prefix + "downsample.1", {.in = in, .out = out, .stride = stride});
    }
    return block;
  }

  ConvolutionNorm stem_;
  std::vector<Block> blocks_;
};

}  // namespace

std::unique_ptr<Network> make_resnet(const Architecture& self, const ResNetSpec& spec, std::int64_t classes, const at::Device& device) {
  return std::make_unique<ResNet>(self, spec, classes, device);
}

}  // namespace headstart
