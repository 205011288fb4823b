// Published weights on real photos: logits and labels equal PyTorch's, from the file to the last layer.
//
// Needs $HEADSTART_PYTHON with what tools/golden/model_live.py asks for, the photos and ResNet-18 of ../shared, and the EfficientNet-Lite
// files in $HEADSTART_TEST_MODELS or the model cache; skips what is not there.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "headstart/image.h"
#include "headstart/preprocess.h"
#include "model/network.h"
#include "support/shared_data.h"
#include "support/tensor_compare.h"
#include "weights/state_dict.h"

namespace headstart {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kPhotosAClass = 4;

struct LiveCase {
  const char* architecture;
  const char* file;
};

fs::path environment_path(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? fs::path() : fs::path(value);
}

fs::path weights_file(const LiveCase& live) {
  if (std::string(live.architecture).starts_with("resnet")) return test::shared_dir() / "models" / live.file;
  const fs::path candidates[] = {environment_path("HEADSTART_TEST_MODELS"), environment_path("HEADSTART_CACHE") / "models",
                                 environment_path("XDG_CACHE_HOME") / "headstart" / "models",
                                 environment_path("HOME") / ".cache" / "headstart" / "models"};
  for (const fs::path& folder : candidates) {
    if (fs::exists(folder / live.file)) return folder / live.file;
  }
  return candidates[0] / live.file;
}

std::vector<fs::path> photos() {
  std::vector<fs::path> chosen;
  for (const char* name : {"hotdog", "not-hotdog"}) {
    std::vector<fs::path> all;
    for (const auto& entry : fs::directory_iterator(test::shared_dir() / "data" / "hotdog" / "test" / name)) all.push_back(entry.path());
    std::sort(all.begin(), all.end());
    for (std::size_t i = 0; i < kPhotosAClass; ++i) chosen.push_back(all[i * all.size() / kPhotosAClass]);
  }
  return chosen;
}

// [photos, 1000] as PyTorch computes them.
at::Tensor python_logits(const fs::path& python, const LiveCase& live, const fs::path& weights, const std::vector<fs::path>& paths) {
  std::string command = fmt::format("'{}' '{}' {} '{}'", python.string(), (test::source_dir() / "tools/golden/model_live.py").string(),
                                    live.architecture, weights.string());
  for (const fs::path& path : paths) command += fmt::format(" '{}'", path.string());
  std::string output;
  FILE* const pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("popen failed: " + command);
  char buffer[4096];
  for (std::size_t size; (size = fread(buffer, 1, sizeof buffer, pipe)) > 0;) output.append(buffer, size);
  if (pclose(pipe) != 0) throw std::runtime_error("failed: " + command);
  const auto rows = nlohmann::json::parse(output)["logits"].get<std::vector<std::vector<double>>>();
  std::vector<at::Tensor> tensors;
  for (const auto& row : rows) tensors.push_back(at::tensor(row, at::kFloat));
  return at::stack(tensors);
}

at::Tensor our_logits(const fs::path& weights, const std::vector<fs::path>& paths, Precision precision) {
  const StateDict state = read_weights(weights);
  const Architecture* architecture = recognize_architecture(state);
  if (architecture == nullptr) throw std::runtime_error("not recognised: " + weights.string());
  const auto network = architecture->make(*architecture, 1000, at::kCPU);
  network->load(state, /*with_head=*/true);
  std::vector<std::uint8_t> pixels;
  for (const fs::path& path : paths) {
    const Image view = preprocess(read_image(path), architecture->preprocessing);
    pixels.insert(pixels.end(), view.rgb.begin(), view.rgb.end());
  }
  const c10::NoGradGuard no_grad;
  const at::Tensor input = to_input(pixels, static_cast<int>(paths.size()), architecture->preprocessing, precision, at::kCPU);
  return network->forward(input, NormMode::kRunningStatistics);
}

class Live : public ::testing::TestWithParam<LiveCase> {};

TEST_P(Live, LogitsAndLabelsEqualPyTorchOnRealPhotos) {
  const fs::path python = environment_path("HEADSTART_PYTHON");
  const bool has_torch =
      !python.empty() && std::system(fmt::format("'{}' -c 'import torch, torchvision' 2> /dev/null", python.string()).c_str()) == 0;
  if (!has_torch) GTEST_SKIP() << "skipped: $HEADSTART_PYTHON names no Python with torch and torchvision";
  const fs::path weights = weights_file(GetParam());
  HEADSTART_SKIP_WITHOUT(weights);
  HEADSTART_SKIP_WITHOUT(test::shared_dir() / "data" / "hotdog");
  const std::vector<fs::path> paths = photos();
  const at::Tensor expected = python_logits(python, GetParam(), weights, paths);
  const at::Tensor actual = our_logits(weights, paths, Precision::kFloat32);
  // float32 sums in another order (channels_last) through up to 62 layers; a pixel that differs by one step moves logits by 1e-2.
  EXPECT_TRUE(test::tensors_close(actual, expected, {.absolute = 2e-4 * expected.abs().max().item<double>()}));
  EXPECT_TRUE(test::tensors_equal(actual.argmax(1), expected.argmax(1)));
  // bfloat16 keeps eight bits: logits within a twentieth of the largest.
  const at::Tensor coarse = our_logits(weights, paths, Precision::kBFloat16);
  EXPECT_TRUE(test::tensors_close(coarse, expected, {.absolute = 0.05 * expected.abs().max().item<double>()}));
}

INSTANTIATE_TEST_SUITE_P(Weights, Live,
                         ::testing::Values(LiveCase{"resnet18", "resnet18.pth"},
                                           LiveCase{"efficientnet_lite0", "efficientnet-lite0-57934424.pth"},
                                           LiveCase{"efficientnet_lite1", "efficientnet-lite1-77cc7160.pth"},
                                           LiveCase{"efficientnet_lite2", "efficientnet-lite2-9656183e.pth"}),
                         [](const auto& test) { return test.param.architecture; });

}  // namespace
}  // namespace headstart
