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
    const ConvolutionNorm first = add("conv1", "bn1", {.in = 3, .out = 64, .kernel = 7, .stride = 2});
    add_stage("stem", [first](const at::Tensor& x, NormPass norm) { return stem(first, x, norm); });
    std::int64_t channels = 64;
    for (std::size_t stage = 0; stage < spec.blocks.size(); ++stage) {
      const std::string name = fmt::format("layer{}", stage + 1);
      const std::int64_t width = std::int64_t{64} << stage;
      std::vector<PostNormBlock> blocks;
      for (int i = 0; i < spec.blocks[stage]; ++i) {
        const std::int64_t stride = stage > 0 && i == 0 ? 2 : 1;
        blocks.push_back(make_block(fmt::format("{}.{}.", name, i), spec.block, channels, width, stride));
        channels = spec.block == ResidualBlock::kBottleneck ? width * kBottleneckExpansion : width;
      }
      add_stage(name, in_turn(std::move(blocks)));
    }
    add_output_layer(std::string(self.head_prefix), channels, classes);
  }

 private:
  ConvolutionNorm add(const std::string& convolution, const std::string& norm, const ConvolutionShape& shape) {
    return add_pair(convolution, norm, shape, {});
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
};

}  // namespace

std::unique_ptr<Network> make_resnet(const Architecture& self, const ResNetSpec& spec, std::int64_t classes, const at::Device& device) {
  return std::make_unique<ResNet>(self, spec, classes, device);
}

}  // namespace headstart
