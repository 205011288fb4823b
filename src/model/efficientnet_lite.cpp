#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "model/families.h"
#include "model/layers.h"

namespace headstart {
namespace {

// One stage of EfficientNet-Lite0; the others scale repeats and channels.
struct Stage {
  int repeats, kernel, stride, expand, in, out;
};
constexpr std::array<Stage, 7> kStages = {{{1, 3, 1, 1, 32, 16},
                                           {2, 3, 2, 6, 16, 24},
                                           {2, 5, 2, 6, 24, 40},
                                           {3, 3, 2, 6, 40, 80},
                                           {3, 5, 1, 6, 80, 112},
                                           {4, 5, 2, 6, 112, 192},
                                           {1, 3, 1, 6, 192, 320}}};
constexpr std::int64_t kStemChannels = 32;
constexpr std::int64_t kHeadChannels = 1280;
// The package's batch_norm_momentum 0.99 is TensorFlow's convention.
constexpr BatchNormOptions kNorm = {.eps = 1e-3, .momentum = 0.01};

// Channels times width, to a multiple of 8, never more than 10% below (TensorFlow's round_filters).
std::int64_t scale_channels(int channels, double width) {
  constexpr std::int64_t kDivisor = 8;
  const double scaled = channels * width;
  std::int64_t rounded = std::max(kDivisor, static_cast<std::int64_t>(scaled + kDivisor / 2.0) / kDivisor * kDivisor);
  if (static_cast<double>(rounded) < 0.9 * scaled) rounded += kDivisor;
  return rounded;
}

// Inverted bottleneck: expand 1x1, depthwise, project 1x1 without activation, plus the input where the shape is kept.
struct Block {
  std::optional<ConvolutionNorm> expand;
  ConvolutionNorm depthwise, project;
  bool skip = false;

  at::Tensor operator()(const at::Tensor& x, NormPass mode) const {
    at::Tensor y = expand ? (*expand)(x, mode, Activation::kRelu6) : x;
    y = depthwise(y, mode, Activation::kRelu6);
    return project(y, mode, Activation::kNone, skip ? x : at::Tensor());
  }
};

// The package's dropout and drop-connect are left to the training recipe.
class EfficientNetLite final : public LayeredNetwork {
 public:
  EfficientNetLite(const Architecture& self, const EfficientNetLiteSpec& spec, std::int64_t classes, const at::Device& device)
      : LayeredNetwork(self.name, device) {
    add_convolution_stage("stem", "_conv_stem", "_bn0", {.in = 3, .out = kStemChannels, .kernel = 3, .stride = 2});
    int block = 0;
    std::int64_t channels = kStemChannels;
    for (std::size_t stage = 0; stage < kStages.size(); ++stage) {
      const Stage& row = kStages[stage];
      const bool fixed = stage == 0 || stage + 1 == kStages.size();
      const int repeats = fixed ? row.repeats : static_cast<int>(std::ceil(spec.depth * row.repeats));
      const std::int64_t out = scale_channels(row.out, spec.width);
      std::vector<Block> blocks;
      for (int i = 0; i < repeats; ++i) {
        blocks.push_back(make_block(fmt::format("_blocks.{}.", block++), row, channels, out, i == 0 ? row.stride : 1));
        channels = out;
      }
      add_stage(fmt::format("stage{}", stage + 1), in_turn(std::move(blocks)));
    }
    add_convolution_stage("top", "_conv_head", "_bn1", {.in = channels, .out = kHeadChannels});
    add_output_layer(std::string(self.head_prefix), kHeadChannels, classes);
  }

 private:
  ConvolutionNorm add(const std::string& convolution, const std::string& norm, ConvolutionShape shape) {
    shape.padding = Padding::kTensorFlowSame;
    return add_pair(convolution, norm, shape, kNorm);
  }

  void add_convolution_stage(const std::string& name, const std::string& convolution, const std::string& norm,
                             const ConvolutionShape& shape) {
    add_stage(name,
              [layer = add(convolution, norm, shape)](const at::Tensor& x, NormPass pass) { return layer(x, pass, Activation::kRelu6); });
  }

  Block make_block(const std::string& prefix, const Stage& row, std::int64_t in, std::int64_t out, std::int64_t stride) {
    const std::int64_t wide = in * row.expand;
    Block block;
    if (row.expand != 1) block.expand = add(prefix + "_expand_conv", prefix + "_bn0", {.in = in, .out = wide});
    block.depthwise =
        add(prefix + "_depthwise_conv", prefix + "_bn1", {.in = wide, .out = wide, .kernel = row.kernel, .stride = stride, .groups = wide});
    block.project = add(prefix + "_project_conv", prefix + "_bn2", {.in = wide, .out = out});
    block.skip = stride == 1 && in == out;
    return block;
  }
};

}  // namespace

std::unique_ptr<Network> make_efficientnet_lite(const Architecture& self, const EfficientNetLiteSpec& spec, std::int64_t classes,
                                                const at::Device& device) {
  return std::make_unique<EfficientNetLite>(self, spec, classes, device);
}

}  // namespace headstart
