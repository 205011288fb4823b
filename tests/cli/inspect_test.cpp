// headstart inspect, of photos and of models.
#include "cli/fixture.h"

namespace headstart::test {
namespace {

using nlohmann::json;

TEST(Inspect, PhotosAreCountedForPeople) {
  const Outcome outcome = run({"inspect", photos_folder().string()});
  EXPECT_EXIT_CODE(outcome, 0);
  for (const char* const text : {"24 photos of 3 classes", "class_0", "class_2", "validation", "40x40"})
    EXPECT_TRUE(says(outcome.out, text));
}

TEST(Inspect, PhotosAreDescribedAsJson) {
  const TempDir folder;
  make_tiny_dataset(folder.path(), 2, 5);
  std::filesystem::copy_file(folder / "class_0/photo_000.ppm", folder / "class_1/copy.ppm");
  write_text(folder / "class_1/bad.jpg", "no picture");
  std::filesystem::create_directories(folder / "empty_class");
  const Outcome outcome = run({"inspect", folder.path().string(), "--json", "--quiet"});
  EXPECT_EXIT_CODE(outcome, 0);
  EXPECT_EQ(outcome.err, "");
  const json report = json::parse(outcome.out);
  ASSERT_EQ(report["classes"].size(), 2U);
  const auto& first = report["classes"][0];
  EXPECT_EQ(first["name"], "class_0");
  EXPECT_EQ(first["train"].get<int>() + first["validation"].get<int>(), 5);
  ASSERT_EQ(report["unreadable"].size(), 1U);
  EXPECT_EQ(report["unreadable"][0]["path"], "class_1/bad.jpg");
  ASSERT_EQ(report["duplicates"].size(), 1U);
  EXPECT_EQ(report["duplicates"][0]["exact"], true);
  EXPECT_EQ(report["duplicates"][0]["across_classes"], true);
  EXPECT_TRUE(says(report["problems"].dump(), "empty_class"));
}

TEST(Inspect, FileNamesOfAnyBytesKeepTheJsonValid) {
  const TempDir folder;
  make_tiny_dataset(folder.path(), 2, 3);
  write_text(folder.path() / "class_0" / "bad\xFF\x1b[31m.jpg", "no picture");
  const Outcome outcome = run({"inspect", folder.path().string(), "--json"});
  EXPECT_EXIT_CODE(outcome, 0);
  EXPECT_EQ(json::parse(outcome.out)["unreadable"].size(), 1U);
  EXPECT_FALSE(says(run({"inspect", folder.path().string()}).out, "\x1b"));
}

TEST(Inspect, AModelTellsWhatItIs) {
  const Outcome outcome = run({"inspect", model_file().string()});
  EXPECT_EXIT_CODE(outcome, 0);
  for (const char* const text : {"efficientnet_lite0", "class_1", "36", "32x32", "87.5%", "0.5000", "seed"})
    EXPECT_TRUE(says(outcome.out, text));
}

TEST(Inspect, AModelIsDescribedAsJson) {
  const Outcome outcome = run({"inspect", model_file().string(), "--json"});
  EXPECT_EXIT_CODE(outcome, 0);
  const json model = json::parse(outcome.out);
  EXPECT_EQ(model["architecture"], "efficientnet_lite0");
  EXPECT_EQ(model["classes"], (std::vector<std::string>{"class_0", "class_1", "class_2"}));
  EXPECT_EQ(model["preprocessing"]["crop_size"], 32);
  EXPECT_EQ(model["metrics"]["validation_top1"], 0.875);
  EXPECT_EQ(model["provenance"]["seed"], "7");
}

TEST(Inspect, WhatIsNotThereIsAFileError) {
  const Outcome outcome = run({"inspect", "/nowhere/at-all"});
  EXPECT_EXIT_CODE(outcome, ErrorCategory::kFile);
  EXPECT_TRUE(says(outcome.err, "/nowhere/at-all"));
}

TEST(Inspect, AFileThatIsNoModelIsAModelError) {
  const TempDir folder;
  write_text(folder / "model.safetensors", "no model");
  EXPECT_EXIT_CODE(run({"inspect", (folder / "model.safetensors").string()}), ErrorCategory::kModel);
  const Outcome weights = run({"inspect", weights_file().string()});
  EXPECT_EXIT_CODE(weights, ErrorCategory::kModel);
  EXPECT_TRUE(says(weights.err, "train"));
}

TEST(Inspect, OneClassIsNoDataset) {
  const TempDir folder;
  make_tiny_dataset(folder.path(), 1, 3);
  EXPECT_EXIT_CODE(run({"inspect", folder.path().string()}), ErrorCategory::kData);
}

}  // namespace
}  // namespace headstart::test
