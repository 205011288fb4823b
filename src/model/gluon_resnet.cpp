// The ResNets of Gluon's model zoo (MXNet 1.9, gluon/model_zoo/vision/resnet.py), under the names that save_parameters writes:
// features.N counts the layers of the network, those without parameters included.
#include <ATen/ops/relu.h>
#include <fmt/format.h>

#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "model/families.h"
#include "model/layers.h"
#include "model/residual.h"

namespace headstart {
namespace {

// MXNet's momentum 0.9 is the share of the old statistics.
constexpr BatchNormOptions kNorm = {.eps = 1e-5, .momentum = 0.1, .names = NormNames::kGammaBeta};

// What a block is built from.
struct BlockPlace {
  std::string prefix;  // "features.5.0."
  ResidualBlock kind = ResidualBlock::kBasic;
  std::int64_t in = 0;   // channels
  std::int64_t out = 0;  // channels
  std::int64_t stride = 1;
  bool downsample = false;

  std::int64_t width() const { return kind == ResidualBlock::kBasic ? out : out / kBottleneckExpansion; }
};

// Version 2: norm and ReLU before each convolution. The projection takes what the first of them gives, and has no norm of its own.
struct BlockV2 {
  BatchNorm norm;
  std::vector<ConvolutionNorm> body;  // each with the norm before the next convolution
  Convolution last;
  std::optional<Convolution> downsample;

  at::Tensor operator()(const at::Tensor& x, NormPass mode) const {
    at::Tensor y = norm(x, mode);
    at::relu_(y);
    const at::Tensor shortcut = downsample ? (*downsample)(y) : x;
    for (const ConvolutionNorm& layer : body) y = layer(y, mode, Activation::kRelu);
    return last(y).add_(shortcut);
  }
};

// What both versions share: the stages' places and the names of layers.
class GluonResNet : public LayeredNetwork {
 protected:
  GluonResNet(const Architecture& self, const at::Device& device) : LayeredNetwork(self.name, device) {}

  // Adds the blocks of all stages, the first of them under features.`first`; returns the channels of the last.
  template <typename MakeBlock>
  std::int64_t add_stages(const GluonResNetSpec& spec, int first, const MakeBlock& make_block) {
    const std::int64_t expansion = spec.block == ResidualBlock::kBottleneck ? kBottleneckExpansion : 1;
    std::int64_t channels = 64;
    for (std::size_t stage = 0; stage < spec.blocks.size(); ++stage) {
      std::vector<std::invoke_result_t<MakeBlock, const BlockPlace&>> blocks;
      const std::int64_t out = (std::int64_t{64} << stage) * expansion;
      for (int i = 0; i < spec.blocks[stage]; ++i) {
        BlockPlace place;
        place.prefix = fmt::format("features.{}.{}.", first + static_cast<int>(stage), i);
        place.kind = spec.block;
        place.in = channels;
        place.out = out;
        place.stride = stage > 0 && i == 0 ? 2 : 1;
        place.downsample = channels != out;
        blocks.push_back(make_block(place));
        channels = out;
      }
      add_stage(fmt::format("stage{}", stage + 1), in_turn(std::move(blocks)));
    }
    return channels;
  }

  ConvolutionNorm add(const std::string& convolution, const std::string& norm, const ConvolutionShape& shape, bool with_bias = false) {
    return add_pair(convolution, norm, shape, kNorm, with_bias);
  }

  // The first convolution and what follows it.
  void add_stem(const std::string& convolution, const std::string& norm, const std::optional<BatchNorm>& input_norm) {
    const ConvolutionNorm first = add(convolution, norm, {.in = 3, .out = 64, .kernel = 7, .stride = 2});
    add_stage("stem", [first, input_norm](const at::Tensor& x, NormPass pass) {
      return stem(first, input_norm ? (*input_norm)(x, pass) : x, pass);
    });
  }
};

class ResNetV1 final : public GluonResNet {
 public:
  ResNetV1(const Architecture& self, const GluonResNetSpec& spec, std::int64_t classes, const at::Device& device)
      : GluonResNet(self, device) {
    add_stem("features.0", "features.1", std::nullopt);
    const std::int64_t channels = add_stages(spec, 4, [this](const BlockPlace& place) { return make_block(place); });
    add_output_layer(std::string(self.head_prefix), channels, classes);
  }

 private:
  PostNormBlock make_block(const BlockPlace& place) {
    const std::string body = place.prefix + "body.";
    const std::int64_t width = place.width();
    PostNormBlock block;
    if (place.kind == ResidualBlock::kBasic) {
      block.body.push_back(add(body + "0", body + "1", {.in = place.in, .out = width, .kernel = 3, .stride = place.stride}));
      block.body.push_back(add(body + "3", body + "4", {.in = width, .out = width, .kernel = 3}));
    } else {
      block.body.push_back(add(body + "0", body + "1", {.in = place.in, .out = width, .stride = place.stride}, /*with_bias=*/true));
      block.body.push_back(add(body + "3", body + "4", {.in = width, .out = width, .kernel = 3}));
      block.body.push_back(add(body + "6", body + "7", {.in = width, .out = place.out}, /*with_bias=*/true));
    }
    if (place.downsample) {
      const std::string shortcut = place.prefix + "downsample.";
      block.downsample = add(shortcut + "0", shortcut + "1", {.in = place.in, .out = place.out, .stride = place.stride});
    }
    return block;
  }
};

class ResNetV2 final : public GluonResNet {
 public:
  ResNetV2(const Architecture& self, const GluonResNetSpec& spec, std::int64_t classes, const at::Device& device)
      : GluonResNet(self, device) {
    add_stem("features.1", "features.2", add_fixed_batch_norm("features.0", 3, kNorm));
    const std::int64_t channels = add_stages(spec, 5, [this](const BlockPlace& place) { return make_block(place); });
    const BatchNorm final_norm = add_batch_norm("features.9", channels, kNorm);
    add_stage("top", [final_norm](const at::Tensor& x, NormPass pass) { return final_norm(x, pass).relu_(); });
    add_output_layer(std::string(self.head_prefix), channels, classes);
  }

 private:
  BlockV2 make_block(const BlockPlace& place) {
    const std::int64_t width = place.width();
    BlockV2 block;
    block.norm = add_batch_norm(place.prefix + "bn1", place.in, kNorm);
    if (place.kind == ResidualBlock::kBasic) {
      block.body.push_back(add_with_next_norm(place, 1, {.in = place.in, .out = width, .kernel = 3, .stride = place.stride}));
      block.last = add_convolution(place.prefix + "conv2", {.in = width, .out = width, .kernel = 3});
    } else {
      block.body.push_back(add_with_next_norm(place, 1, {.in = place.in, .out = width}));
      block.body.push_back(add_with_next_norm(place, 2, {.in = width, .out = width, .kernel = 3, .stride = place.stride}));
      block.last = add_convolution(place.prefix + "conv3", {.in = width, .out = place.out});
    }
    if (place.downsample) {
      block.downsample = add_convolution(place.prefix + "downsample", {.in = place.in, .out = place.out, .stride = place.stride});
    }
    return block;
  }

  ConvolutionNorm add_with_next_norm(const BlockPlace& place, int number, const ConvolutionShape& shape) {
    return add(fmt::format("{}conv{}", place.prefix, number), fmt::format("{}bn{}", place.prefix, number + 1), shape);
  }
};

}  // namespace

std::unique_ptr<Network> make_gluon_resnet(const Architecture& self, const GluonResNetSpec& spec, std::int64_t classes,
                                           const at::Device& device) {
  if (spec.version == GluonVersion::kV1) return std::make_unique<ResNetV1>(self, spec, classes, device);
  return std::make_unique<ResNetV2>(self, spec, classes, device);
}

}  // namespace headstart
