// The ResNets of Gluon's model zoo (MXNet 1.9, gluon/model_zoo/vision/resnet.py), under the names that save_parameters writes:
// features.N counts the layers of the network, those without parameters included.
#include <ATen/ops/relu.h>
#include <fmt/format.h>

#include <optional>
#include <string>
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
  struct Layer {
    BatchNorm norm;
    Convolution convolution;
  };
  std::vector<Layer> body;
  std::optional<Convolution> downsample;

  at::Tensor operator()(const at::Tensor& x, NormPass mode) const {
    at::Tensor shortcut = x;
    at::Tensor y = x;
    for (std::size_t i = 0; i < body.size(); ++i) {
      y = body[i].norm(y, mode);
      at::relu_(y);
      if (i == 0 && downsample) shortcut = (*downsample)(y);
      y = body[i].convolution(y);
    }
    return y.add_(shortcut);
  }
};

// What both versions share: the stages' places and the names of layers.
template <typename Block>
class GluonResNet : public LayeredNetwork {
 protected:
  GluonResNet(const Architecture& self, const at::Device& device) : LayeredNetwork(self.name, device) {}

  // Adds the blocks of all stages, the first of them under features.`first`; returns the channels of the last.
  template <typename MakeBlock>
  std::int64_t add_stages(const GluonResNetSpec& spec, int first, const MakeBlock& make_block) {
    const std::int64_t expansion = spec.block == ResidualBlock::kBottleneck ? kBottleneckExpansion : 1;
    std::int64_t channels = 64;
    for (std::size_t stage = 0; stage < spec.blocks.size(); ++stage) {
      const std::int64_t out = (std::int64_t{64} << stage) * expansion;
      for (int i = 0; i < spec.blocks[stage]; ++i) {
        BlockPlace place;
        place.prefix = fmt::format("features.{}.{}.", first + static_cast<int>(stage), i);
        place.kind = spec.block;
        place.in = channels;
        place.out = out;
        place.stride = stage > 0 && i == 0 ? 2 : 1;
        place.downsample = channels != out;
        blocks_.push_back(make_block(place));
        channels = out;
      }
    }
    return channels;
  }

  ConvolutionNorm add_pair(const std::string& convolution, const std::string& norm, const ConvolutionShape& shape, bool with_bias = false) {
    ConvolutionNorm layer;
    layer.convolution = add_convolution(convolution, shape, with_bias);
    layer.norm = add_batch_norm(norm, shape.out, kNorm);
    return layer;
  }

  at::Tensor through_blocks(at::Tensor x, NormPass norm) const {
    for (const Block& block : blocks_) x = block(x, norm);
    return x;
  }

 private:
  std::vector<Block> blocks_;
};

class ResNetV1 final : public GluonResNet<PostNormBlock> {
 public:
  ResNetV1(const Architecture& self, const GluonResNetSpec& spec, std::int64_t classes, const at::Device& device)
      : GluonResNet(self, device) {
    stem_ = add_pair("features.0", "features.1", {.in = 3, .out = 64, .kernel = 7, .stride = 2});
    const std::int64_t channels = add_stages(spec, 4, [this](const BlockPlace& place) { return make_block(place); });
    add_output_layer(std::string(self.head_prefix), channels, classes);
  }

  at::Tensor features(const at::Tensor& x, NormPass norm) override {
    at::Tensor y = stem_(x, norm);
    return global_average(through_blocks(stem_pool(at::relu_(y)), norm));
  }

 private:
  PostNormBlock make_block(const BlockPlace& place) {
    const std::string body = place.prefix + "body.";
    const std::int64_t width = place.width();
    PostNormBlock block;
    if (place.kind == ResidualBlock::kBasic) {
      block.body.push_back(add_pair(body + "0", body + "1", {.in = place.in, .out = width, .kernel = 3, .stride = place.stride}));
      block.body.push_back(add_pair(body + "3", body + "4", {.in = width, .out = width, .kernel = 3}));
    } else {
      block.body.push_back(add_pair(body + "0", body + "1", {.in = place.in, .out = width, .stride = place.stride}, /*with_bias=*/true));
      block.body.push_back(add_pair(body + "3", body + "4", {.in = width, .out = width, .kernel = 3}));
      block.body.push_back(add_pair(body + "6", body + "7", {.in = width, .out = place.out}, /*with_bias=*/true));
    }
    if (place.downsample) {
      const std::string shortcut = place.prefix + "downsample.";
      block.downsample = add_pair(shortcut + "0", shortcut + "1", {.in = place.in, .out = place.out, .stride = place.stride});
    }
    return block;
  }

  ConvolutionNorm stem_;
};

class ResNetV2 final : public GluonResNet<BlockV2> {
 public:
  ResNetV2(const Architecture& self, const GluonResNetSpec& spec, std::int64_t classes, const at::Device& device)
      : GluonResNet(self, device) {
    input_norm_ = add_fixed_batch_norm("features.0", 3, kNorm);
    stem_ = add_pair("features.1", "features.2", {.in = 3, .out = 64, .kernel = 7, .stride = 2});
    const std::int64_t channels = add_stages(spec, 5, [this](const BlockPlace& place) { return make_block(place); });
    final_norm_ = add_batch_norm("features.9", channels, kNorm);
    add_output_layer(std::string(self.head_prefix), channels, classes);
  }

  at::Tensor features(const at::Tensor& x, NormPass norm) override {
    at::Tensor y = stem_(input_norm_(x, norm), norm);
    y = final_norm_(through_blocks(stem_pool(at::relu_(y)), norm), norm);
    return global_average(at::relu_(y));
  }

 private:
  BlockV2 make_block(const BlockPlace& place) {
    const std::int64_t width = place.width();
    BlockV2 block;
    if (place.kind == ResidualBlock::kBasic) {
      add_layer(block, place, {.in = place.in, .out = width, .kernel = 3, .stride = place.stride});
      add_layer(block, place, {.in = width, .out = width, .kernel = 3});
    } else {
      add_layer(block, place, {.in = place.in, .out = width});
      add_layer(block, place, {.in = width, .out = width, .kernel = 3, .stride = place.stride});
      add_layer(block, place, {.in = width, .out = place.out});
    }
    if (place.downsample) {
      block.downsample = add_convolution(place.prefix + "downsample", {.in = place.in, .out = place.out, .stride = place.stride});
    }
    return block;
  }

  void add_layer(BlockV2& block, const BlockPlace& place, const ConvolutionShape& shape) {
    const std::size_t number = block.body.size() + 1;
    BlockV2::Layer layer;
    layer.norm = add_batch_norm(fmt::format("{}bn{}", place.prefix, number), shape.in, kNorm);
    layer.convolution = add_convolution(fmt::format("{}conv{}", place.prefix, number), shape);
    block.body.push_back(layer);
  }

  BatchNorm input_norm_, final_norm_;
  ConvolutionNorm stem_;
};

}  // namespace

std::unique_ptr<Network> make_gluon_resnet(const Architecture& self, const GluonResNetSpec& spec, std::int64_t classes,
                                           const at::Device& device) {
  if (spec.version == GluonVersion::kV1) return std::make_unique<ResNetV1>(self, spec, classes, device);
  return std::make_unique<ResNetV2>(self, spec, classes, device);
}

}  // namespace headstart
