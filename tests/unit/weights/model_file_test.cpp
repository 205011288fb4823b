#include "weights/model_file.h"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "support/temp_dir.h"
#include "weights_testing.h"

namespace headstart::test {
namespace {

using nlohmann::json;

ModelInfo sample_info() {
  ModelInfo info;
  info.architecture = "resnet18";
  info.classes = {"cat", "dög, \"the\" other", "zebra"};
  info.preprocessing.resize_mode = ResizeMode::kSquash;
  info.preprocessing.resize_size = 232;
  info.preprocessing.crop_size = 200;
  info.preprocessing.interpolation = Interpolation::kBicubic;
  info.preprocessing.mean = {0.498F, 0.1F, 1.0F / 3.0F};
  info.preprocessing.decode = {.apply_exif_orientation = false, .alpha = Alpha::kDrop, .clip_16_bit_grey = true, .max_pixels = 1000};
  info.temperature = 1.0 / 3.0;
  info.metrics = {{"validation_top1", 0.9375}, {"test_top1", 1.0 / 3.0}};
  info.provenance = {{"seed", "7"}, {"photos", "/home/k\xC3\xA4the"}};
  return info;
}

StateDict sample_weights() {
  StateDict state;
  state.tensors.emplace_back("fc.weight", make_tensor({3, 1}, std::vector<float>{1, 2, 3}));
  return state;
}

void expect_equal(const Preprocessing& a, const Preprocessing& b) {
  EXPECT_EQ(a.resize_mode, b.resize_mode);
  EXPECT_EQ(a.resize_size, b.resize_size);
  EXPECT_EQ(a.crop_size, b.crop_size);
  EXPECT_EQ(a.interpolation, b.interpolation);
  EXPECT_EQ(a.mean, b.mean);
  EXPECT_EQ(a.std, b.std);
  EXPECT_EQ(a.decode.apply_exif_orientation, b.decode.apply_exif_orientation);
  EXPECT_EQ(a.decode.alpha, b.decode.alpha);
  EXPECT_EQ(a.decode.clip_16_bit_grey, b.decode.clip_16_bit_grey);
  EXPECT_EQ(a.decode.max_pixels, b.decode.max_pixels);
}

void expect_equal(const ModelInfo& a, const ModelInfo& b) {
  EXPECT_EQ(a.architecture, b.architecture);
  EXPECT_EQ(a.classes, b.classes);
  EXPECT_EQ(a.temperature, b.temperature);
  EXPECT_EQ(a.metrics, b.metrics);
  EXPECT_EQ(a.provenance, b.provenance);
  expect_equal(a.preprocessing, b.preprocessing);
}

TEST(ModelFile, WhatIsWrittenReadsBackEqual) {
  const TempDir folder;
  write_model_file(folder / "model.safetensors", sample_info(), sample_weights());
  const ModelFile model = read_model_file(folder / "model.safetensors");
  expect_equal(model.info, sample_info());
  expect_equal(read_model_info(folder / "model.safetensors"), sample_info());
  ASSERT_EQ(model.weights.tensors.size(), 1U);
  EXPECT_EQ(text_of(model.weights.tensors[0].second.data()), text_of(sample_weights().tensors[0].second.data()));
  EXPECT_EQ(model.weights.metadata.at("format"), "pt");
}

TEST(ModelFile, PreprocessingIsWrittenForPeople) {
  EXPECT_EQ(
      preprocessing_to_json({}),
      R"({"crop_size":224,"decode":{"alpha":"flatten_on_white","apply_exif_orientation":true,"clip_16_bit_grey":false,"max_pixels":178956970},)"
      R"("interpolation":"bilinear","mean":[0.485,0.456,0.406],"resize_mode":"shorter_side","resize_size":256,"std":[0.229,0.224,0.225]})");
}

TEST(ModelFile, PreprocessingReadsBackBitEqual) {
  Preprocessing odd;
  odd.mean = {std::numeric_limits<float>::denorm_min(), -0.25F, 0.1F + 0.2F};
  odd.std = {std::numeric_limits<float>::min(), 1.0F / 3.0F, 999.0F};
  expect_equal(preprocessing_from_json(preprocessing_to_json(odd)), odd);
}

TEST(ModelFile, EveryFieldOfPreprocessingIsChecked) {
  const auto refused = [](const std::function<void(json&)>& change) {
    json value = json::parse(preprocessing_to_json({}));
    change(value);
    return error_of([&] { preprocessing_from_json(value.dump()); });
  };
  const std::map<std::string, std::pair<std::function<void(json&)>, std::string>> cases = {
      {"crop 0", {[](json& v) { v["crop_size"] = 0; }, "preprocessing.crop_size"}},
      {"crop 4097", {[](json& v) { v["crop_size"] = 4097; }, "from 1 to 4096"}},
      {"crop 2^64-1", {[](json& v) { v["crop_size"] = ~std::uint64_t{0}; }, "from 1 to 4096"}},
      {"crop -1", {[](json& v) { v["crop_size"] = -1; }, "from 1 to 4096"}},
      {"crop 224.5", {[](json& v) { v["crop_size"] = 224.5; }, "whole number"}},
      {"crop text", {[](json& v) { v["crop_size"] = "224"; }, "whole number"}},
      {"resize 0", {[](json& v) { v["resize_size"] = 0; }, "preprocessing.resize_size"}},
      {"no resize", {[](json& v) { v.erase("resize_size"); }, "missing"}},
      {"resize mode", {[](json& v) { v["resize_mode"] = "longer_side"; }, "'shorter_side' or 'squash'"}},
      {"interpolation", {[](json& v) { v["interpolation"] = 1; }, "'bilinear' or 'bicubic' or 'opencv-bilinear'"}},
      {"two means",
       {[](json& v) {
          v["mean"] = {0, 0};
        },
        "three numbers"}},
      {"mean is text", {[](json& v) { v["mean"][1] = "0.5"; }, "preprocessing.mean"}},
      {"mean null, which NaN becomes", {[](json& v) { v["mean"][0] = nullptr; }, "preprocessing.mean"}},
      {"mean out of float's range", {[](json& v) { v["mean"][0] = 1e300; }, "preprocessing.mean"}},
      {"std 0", {[](json& v) { v["std"][2] = 0; }, "above 0"}},
      {"std so small that it is 0 as float", {[](json& v) { v["std"][2] = 1e-300; }, "above 0"}},
      {"std negative", {[](json& v) { v["std"][0] = -0.2; }, "above 0"}},
      {"no decode", {[](json& v) { v.erase("decode"); }, "preprocessing.decode"}},
      {"decode is a list", {[](json& v) { v["decode"] = json::array(); }, "no JSON object"}},
      {"exif 1", {[](json& v) { v["decode"]["apply_exif_orientation"] = 1; }, "true or false"}},
      {"alpha", {[](json& v) { v["decode"]["alpha"] = ""; }, "preprocessing.decode.alpha"}},
      {"pixels 0", {[](json& v) { v["decode"]["max_pixels"] = 0; }, "preprocessing.decode.max_pixels"}},
      {"unknown field", {[](json& v) { v["gamma"] = 2; }, "preprocessing.gamma"}},
      {"unknown decode field", {[](json& v) { v["decode"]["gamma"] = 2; }, "preprocessing.decode.gamma"}},
  };
  for (const auto& [name, damage] : cases) {
    SCOPED_TRACE(name);
    expect_contains(refused(damage.first), damage.second);
  }
  error_of([] { preprocessing_from_json("{"); });
  error_of([] { preprocessing_from_json("[]"); });
  error_of([] { preprocessing_from_json(std::string(1'000'000, '[')); });
}

TEST(ModelFile, EveryFieldOfTheMetadataIsChecked) {
  const TempDir folder;
  const auto path = folder / "model.safetensors";
  const auto refused = [&](const std::string& key, const std::optional<std::string>& value) {
    write_model_file(path, sample_info(), sample_weights());
    StateDict state = read_weights(path);
    state.metadata.erase(key);
    if (value) state.metadata[key] = *value;
    write_safetensors(path, state);
    const std::string message = error_of([&] { read_model_file(path); });
    EXPECT_EQ(error_of([&] { read_model_info(path); }), message);
    expect_contains(message, path.string());
    return message;
  };
  expect_contains(refused("headstart.format", {}), "headstart train PHOTOS --model FILE");
  expect_contains(refused("headstart.format", "2"), "'2'");
  for (const std::string key : {"architecture", "classes", "preprocessing", "metrics", "provenance"}) {
    expect_contains(refused("headstart." + key, {}), "'headstart." + key + "': missing");
    if (key != "architecture") expect_contains(refused("headstart." + key, "{]"), "no valid JSON");
  }
  expect_contains(refused("headstart.architecture", ""), "empty");
  expect_contains(refused("headstart.classes", "{}"), "list of texts");
  expect_contains(refused("headstart.classes", "[1]"), "list of texts");
  expect_contains(refused("headstart.classes", "[]"), "0 of them");
  expect_contains(refused("headstart.classes", R"(["a","b","a"])"), "'a' is there twice");
  expect_contains(refused("headstart.classes", R"(["a",""])"), "empty");
  expect_contains(refused("headstart.classes", R"(["a","b\u0000c"])"), "zero byte");
  for (const char* const bad : {"0", "-1", "1e9", "\"1\"", "null"}) {
    expect_contains(refused("headstart.temperature", bad), "expected a number from 0.001 to 1000");
  }
  expect_contains(refused("headstart.metrics", "[]"), "JSON object");
  expect_contains(refused("headstart.metrics", R"({"top1":"0.9"})"), "'top1' is no number");
  expect_contains(refused("headstart.metrics", R"({"top1":null})"), "'top1' is no number");
  expect_contains(refused("headstart.provenance", R"({"seed":7})"), "'seed' is no text");
}

TEST(ModelFile, WhatIsNoModelSaysWhatToDo) {
  for (const std::string name : {"zip.pth", "legacy.pth", "python.safetensors"}) {
    expect_contains(error_of([&] { read_model_file(golden_dir() / name); }), "headstart train PHOTOS --model FILE");
    expect_contains(error_of([&] { read_model_info(golden_dir() / name); }), "headstart train PHOTOS --model FILE");
  }
  const TempDir folder;
  write_file_atomically(folder / "page", "<html>");
  expect_contains(error_of([&] { read_model_info(folder / "page"); }), "web page");
  error_of([&] { read_model_info(folder / "absent"); }, ErrorCategory::kFile);
}

TEST(ModelFile, WrongInformationIsRefusedWhenItIsWritten) {
  const TempDir folder;
  const auto refused = [&](const std::function<void(ModelInfo&)>& change, ErrorCategory category) {
    ModelInfo info = sample_info();
    change(info);
    const std::string message = error_of([&] { write_model_file(folder / "model.safetensors", info, sample_weights()); }, category);
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
    return message;
  };
  expect_contains(refused([](ModelInfo& info) { info.classes[1] = "\xff"; }, ErrorCategory::kData), "rename its folder");
  refused([](ModelInfo& info) { info.classes[1] = info.classes[0]; }, ErrorCategory::kData);
  refused([](ModelInfo& info) { info.metrics["top1"] = std::numeric_limits<double>::quiet_NaN(); }, ErrorCategory::kModel);
  refused([](ModelInfo& info) { info.preprocessing.std[0] = 0; }, ErrorCategory::kModel);
  refused([](ModelInfo& info) { info.preprocessing.mean[0] = std::numeric_limits<float>::infinity(); }, ErrorCategory::kModel);
  refused([](ModelInfo& info) { info.architecture = ""; }, ErrorCategory::kModel);
}

TEST(ModelFile, AFolderNameThatIsNoUtf8MayStandInTheProvenance) {
  const TempDir folder;
  ModelInfo info = sample_info();
  info.provenance["photos"] = "/home/\xff";
  write_model_file(folder / "model.safetensors", info, sample_weights());
  EXPECT_EQ(read_model_info(folder / "model.safetensors").provenance.at("photos"), "/home/\xEF\xBF\xBD");
}

}  // namespace
}  // namespace headstart::test
