// Files that torch.save wrote (tools/golden/weights.py), and real weights where they are at hand.
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "support/temp_dir.h"
#include "weights_testing.h"

namespace headstart::test {
namespace {

std::string hex(std::span<const std::byte> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string digits;
  for (const std::byte byte : bytes) {
    digits += kDigits[std::to_integer<unsigned>(byte) >> 4];
    digits += kDigits[std::to_integer<unsigned>(byte) & 15];
  }
  return digits;
}

nlohmann::json expected_files() { return nlohmann::json::parse(read_text_file(golden_dir() / "expected.json")).at("files"); }

TEST(TorchFiles, EveryGoldenFileGivesPythonsTensors) {
  const nlohmann::json files = expected_files();
  ASSERT_GE(files.size(), 10U);
  for (const auto& [name, rows] : files.items()) {
    SCOPED_TRACE(name);
    const StateDict state = read_weights(golden_dir() / name);
    ASSERT_EQ(state.tensors.size(), rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      // safetensors' Python writer sorts the header, so its files are compared by name alone.
      const std::string& key = rows[i].at("name").get_ref<const std::string&>();
      if (name.find(".pth") != std::string::npos) {
        EXPECT_EQ(state.tensors[i].first, key);
      }
      const HostTensor* tensor = state.find(key);
      ASSERT_NE(tensor, nullptr) << key;
      EXPECT_EQ(to_string(tensor->dtype), rows[i].at("dtype").get<std::string>()) << key;
      EXPECT_EQ(tensor->shape, rows[i].at("shape").get<std::vector<std::int64_t>>()) << key;
      EXPECT_EQ(hex(tensor->data()), rows[i].at("bytes").get<std::string>()) << key;
    }
  }
}

TEST(TorchFiles, WhatIsNoStateDictIsRefusedWithAdvice) {
  const std::map<std::string, std::string> reasons = {
      {"refused_complex.pth", "complex64"},
      {"refused_whole_model.pth", "'torch.nn.modules.linear.Linear'"},
      {"refused_bare_tensor.pth", "save model.state_dict()"},
      {"refused_no_tensors.pth", "its keys: 'epoch' and 'lr'"},
  };
  for (const auto& [name, reason] : reasons) {
    SCOPED_TRACE(name);
    const std::string message = error_of([path = golden_dir() / name] { read_weights(path); });
    expect_contains(message, reason);
    expect_contains(message, name);
  }
}

TEST(TorchFiles, CutAtAnyByteTheyAreRefused) {
  for (const std::string name : {"zip_protocol4.pth", "legacy_protocol4.pth", "python.safetensors"}) {
    const TempDir folder;
    const std::string whole = read_text_file(golden_dir() / name);
    for (std::size_t length = 0; length < whole.size(); ++length) {
      const std::span<const std::byte> cut = bytes_of(whole).first(length);
      EXPECT_THROW(
          {
            if (name.find("zip") == 0) read_torch_zip(cut);
            if (name.find("legacy") == 0) read_torch_legacy(cut);
            if (name.find("python") == 0) read_safetensors(cut);
          },
          Error)
          << name << " cut to " << length;
    }
  }
}

TEST(TorchFiles, AChangedByteNeverLeavesTheFileUnlessItIsRefused) {
  expect_changed_bytes_are_survived("zip_without_crc.pth", [](std::span<const std::byte> bytes) { read_torch_zip(bytes); });
  expect_changed_bytes_are_survived("legacy_protocol4.pth", [](std::span<const std::byte> bytes) { read_torch_legacy(bytes); });
  expect_changed_bytes_are_survived("python.safetensors", [](std::span<const std::byte> bytes) { read_safetensors(bytes); });
}

TEST(TorchFiles, TheFuzzersCorpusEndsInAStateDictOrAnError) {
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(source_dir() / "tests/corpus/weights")) {
    const std::string bytes = read_text_file(entry.path());
    ++files;
    for (const auto& read : {read_torch_zip, read_torch_legacy, read_safetensors}) {
      try {
        read(bytes_of(bytes));
      } catch (const Error& error) {
        EXPECT_EQ(error.category(), ErrorCategory::kModel) << entry.path();
      }
    }
  }
  EXPECT_GE(files, 4U);
}

TEST(TorchFiles, AChangedByteOfAStorageIsNoticedByItsChecksum) {
  std::string whole = read_text_file(golden_dir() / "zip_protocol3.pth");
  const ZipDirectory zip(bytes_of(whole));
  const ZipEntry* entry = zip.find("zip_protocol3/data/0");
  ASSERT_NE(entry, nullptr);
  const auto position = static_cast<std::size_t>(zip.read(*entry).data() - bytes_of(whole).data());
  whole[position] = static_cast<char>(whole[position] ^ 1);
  expect_contains(error_of([&] { read_torch_zip(bytes_of(whole)); }), "CRC-32");
}

TEST(TorchFiles, PrefixesAreStrippedOnlyWhenEveryTensorHasThem) {
  const TempDir folder;
  const auto names_after = [&](const std::vector<std::string>& names) {
    std::vector<std::pair<std::string, std::string>> items;
    for (const std::string& name : names) items.emplace_back(name, tensor());
    write_file_atomically(folder / "weights.pth", torch_zip_around(state_dict_pickle(items)));
    std::vector<std::string> read;
    for (const auto& [name, value] : read_weights(folder / "weights.pth").tensors) read.push_back(name);
    return read;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(names_after({"module.a", "module.b"}), (Names{"a", "b"}));
  EXPECT_EQ(names_after({"backbone.module.a", "backbone.module.b"}), (Names{"a", "b"}));
  EXPECT_EQ(names_after({"module.a", "fc.b"}), (Names{"module.a", "fc.b"}));
  EXPECT_EQ(names_after({"backbone.a", "module.b"}), (Names{"backbone.a", "module.b"}));
  EXPECT_EQ(names_after({"module."}), (Names{"module."}));
}

// Sums of float32 values in double: adding in another order changes them by rounding only, far less than the tolerance.
void expect_sum(const StateDict& state, const std::string& name, const std::vector<std::int64_t>& shape, double expected) {
  const HostTensor* tensor = state.find(name);
  ASSERT_NE(tensor, nullptr) << name;
  EXPECT_EQ(tensor->dtype, Dtype::kFloat32);
  EXPECT_EQ(tensor->shape, shape);
  double sum = 0;
  for (std::int64_t i = 0; i < tensor->elements(); ++i) {
    float value = 0;
    std::memcpy(&value, tensor->data().data() + static_cast<std::size_t>(i) * 4, 4);
    sum += static_cast<double>(value);
  }
  EXPECT_NEAR(sum, expected, 1e-8 * (1 + std::abs(expected))) << name;
}

TEST(RealWeights, ResNet18HasPythonsSums) {
  const auto path = shared_dir() / "models/resnet18.pth";
  HEADSTART_SKIP_WITHOUT(path);
  const StateDict state = read_weights(path);
  EXPECT_EQ(state.tensors.size(), 102U);
  // print(repr(torch.load(path)[name].double().sum().item())) with torch 2.15.0
  expect_sum(state, "conv1.weight", {64, 3, 7, 7}, 0.27707798516873616);
  expect_sum(state, "layer1.0.bn1.running_var", {64}, 64.23143766075373);
  expect_sum(state, "layer4.1.conv2.weight", {512, 512, 3, 3}, -61.317254242210254);
  expect_sum(state, "fc.weight", {1000, 512}, 0.02995539040907147);
  expect_sum(state, "fc.bias", {1000}, -5.973772204015404e-05);
}

TEST(RealWeights, EfficientNetLite0HasPythonsSums) {
  const char* folder = std::getenv("HEADSTART_TEST_MODELS");
  const char* cache = std::getenv("HEADSTART_CACHE");
  const std::filesystem::path home = std::getenv("HOME") != nullptr ? std::getenv("HOME") : "/";
  std::filesystem::path path = cache != nullptr ? std::filesystem::path(cache) / "models" : home / ".cache/headstart/models";
  if (folder != nullptr) path = folder;
  path /= "efficientnet-lite0-57934424.pth";
  HEADSTART_SKIP_WITHOUT(path);
  const StateDict state = read_weights(path);
  EXPECT_EQ(state.tensors.size(), 296U);
  expect_sum(state, "_conv_stem.weight", {32, 3, 3, 3}, -26.811376610887237);
  expect_sum(state, "_bn1.running_var", {1280}, 13721.746045589447);
  expect_sum(state, "_fc.weight", {1000, 1280}, -470.63256730128705);
}

}  // namespace
}  // namespace headstart::test
