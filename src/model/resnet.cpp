#include <ATen/ops/relu.h>
#include <fmt/format.h>

#include <string>
#include <vector>

#include "model/families.h"
#include "model/layers.h"
#include "model/residual.h"

namespace headstart {
namespace {

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

  at::Tensor features(const at::Tensor& x, NormPass norm) override {
    at::Tensor y = stem_(x, norm);
    y = stem_pool(at::relu_(y));
    for (const PostNormBlock& block : blocks_) y = block(y, norm);
    return global_average(y);
  }

 private:
  ConvolutionNorm add(const std::string& convolution, const std::string& norm, const ConvolutionShape& shape) {
    ConvolutionNorm layer;
    layer.convolution = add_convolution(convolution, shape);
    layer.norm = add_batch_norm(norm, shape.out, {});
    return layer;
  }

  PostNormBlock make_block(const std::string& prefix, ResidualBlock kind, std::int64_t in, std::int64_t width, std::int64_t stride) {
    PostNormBlock block;
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
  std::vector<PostNormBlock> blocks_;
};

}  // namespace

std::unique_ptr<Network> make_resnet(const Architecture& self, const ResNetSpec& spec, std::int64_t classes, const at::Device& device) {
  return std::make_unique<ResNet>(self, spec, classes, device);
}

}  // namespace headstart
