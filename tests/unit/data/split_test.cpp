#include "data/split.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <string>

#include "headstart/dataset.h"
#include "support/temp_dir.h"

namespace headstart {
namespace {

namespace fs = std::filesystem;

void touch_photos(const fs::path& folder, int count, int first = 0) {
  fs::create_directories(folder);
  for (int i = first; i < first + count; ++i) std::ofstream(folder / ("p" + std::to_string(i) + ".jpg")) << "x";
}

std::set<std::string> validation_of(const Catalog& catalog, std::size_t prefix = 0) {
  std::set<std::string> paths;
  for (const Sample& sample : catalog.validation) paths.insert(sample.path.substr(prefix));
  return paths;
}

TEST(Split, TakesTheRoundedShareWithAtLeastOnePhotoOnEachSide) {
  EXPECT_EQ(validation_count(1, 0.2), 0);
  EXPECT_EQ(validation_count(2, 0.2), 1);
  EXPECT_EQ(validation_count(2, 0.99), 1);
  EXPECT_EQ(validation_count(3, 0.01), 1);
  EXPECT_EQ(validation_count(10, 0.2), 2);
  EXPECT_EQ(validation_count(12, 0.2), 2);
  EXPECT_EQ(validation_count(13, 0.2), 3);
  EXPECT_EQ(validation_count(1000, 0.2), 200);
}

TEST(Split, IsStratifiedAndKeepsSinglePhotosInTrainWithAProblem) {
  const test::TempDir dir;
  touch_photos(dir / "one", 1);
  touch_photos(dir / "two", 2);
  touch_photos(dir / "many", 50);
  const Catalog catalog = scan_photos(dir.path());
  std::vector<int> train(3), validation(3);
  for (const Sample& sample : catalog.train) ++train[static_cast<std::size_t>(sample.label)];
  for (const Sample& sample : catalog.validation) ++validation[static_cast<std::size_t>(sample.label)];
  EXPECT_EQ(catalog.classes, (std::vector<std::string>{"many", "one", "two"}));
  EXPECT_EQ(train, (std::vector<int>{40, 1, 1}));
  EXPECT_EQ(validation, (std::vector<int>{10, 0, 1}));
  ASSERT_EQ(catalog.problems.size(), 1U);
  EXPECT_EQ(catalog.problems[0].path, "one/p0.jpg");
  EXPECT_NE(catalog.problems[0].reason.find("only photo of its class"), std::string::npos);
}

TEST(Split, DependsOnTheSeedAndIsRepeatable) {
  const test::TempDir dir;
  for (const char* name : {"a", "b"}) touch_photos(dir / name, 50);
  const auto first = validation_of(scan_photos(dir.path(), {.seed = 1}));
  EXPECT_EQ(first, validation_of(scan_photos(dir.path(), {.seed = 1})));
  const auto second = validation_of(scan_photos(dir.path(), {.seed = 2}));
  EXPECT_NE(first, second);
  EXPECT_EQ(first.size(), second.size());
}

// What decides is the path below the training folder: moving the classes into train/ keeps the split.
TEST(Split, IsTheSameInBothLayoutsAndWhateverTheOrderOfCreation) {
  const test::TempDir dir, other;
  for (const char* name : {"a", "b"}) touch_photos(dir / name, 30);
  for (const char* name : {"b", "a"}) {
    touch_photos(other / "train" / name, 15, 15);
    touch_photos(other / "train" / name, 15, 0);
  }
  EXPECT_EQ(validation_of(scan_photos(dir.path())), validation_of(scan_photos(other.path()), std::string("train/").size()));
}

TEST(Split, AnAddedPhotoOrClassMovesAtMostOnePhotoAcross) {
  const test::TempDir dir;
  for (const char* name : {"b", "c"}) touch_photos(dir / name, 40);
  const auto before = validation_of(scan_photos(dir.path()));
  touch_photos(dir / "a", 10);
  touch_photos(dir / "b", 1, 40);
  const auto after = validation_of(scan_photos(dir.path()));
  std::vector<std::string> gone;
  std::set_difference(before.begin(), before.end(), after.begin(), after.end(), std::back_inserter(gone));
  EXPECT_LE(gone.size(), 1U);
}

// 10,000 photos, 20%: each of ten equal ranges of names gets its share (binomial standard deviation 12.6; five of them).
TEST(Split, ChoosesEvenlyAlongTheNames) {
  Catalog catalog;
  catalog.classes = {"a"};
  for (int i = 0; i < 10'000; ++i) catalog.train.push_back({"a/" + std::to_string(10'000 + i) + ".jpg", 0, 1, 1});
  split_off_validation(catalog, "", {});
  ASSERT_EQ(catalog.validation.size(), 2000U);
  std::vector<int> counts(10);
  for (const Sample& sample : catalog.validation) ++counts[static_cast<std::size_t>(sample.path[3] - '0')];
  for (const int count : counts) EXPECT_NEAR(count, 200, 63);
}

Catalog small_catalog() {
  Catalog catalog;
  catalog.classes = {"a", "b"};
  catalog.train = {{"a/1.jpg", 0, 10, 100}, {"b/1.jpg", 1, 20, 200}};
  catalog.validation = {{"a/2.jpg", 0, 30, 300}};
  return catalog;
}

TEST(Fingerprint, IsSixteenHexDigitsAndRepeatable) {
  const std::string value = fingerprint(small_catalog());
  EXPECT_EQ(value.size(), 16U);
  EXPECT_EQ(value.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_EQ(value, fingerprint(small_catalog()));
}

// Frozen: a run folder of an older version must be resumable.
TEST(Fingerprint, KeepsItsValueOverVersions) { EXPECT_EQ(fingerprint(small_catalog()), "8213f3012a4af297"); }

TEST(Fingerprint, ChangesWithEveryFactOfEveryPhoto) {
  std::set<std::string> values = {fingerprint(small_catalog())};
  const auto differs = [&](const std::function<void(Catalog&)>& change) {
    Catalog catalog = small_catalog();
    change(catalog);
    return values.insert(fingerprint(catalog)).second;
  };
  EXPECT_TRUE(differs([](Catalog& c) { c.classes[0] = "x"; }));
  EXPECT_TRUE(differs([](Catalog& c) { c.train[0].path = "a/3.jpg"; }));
  EXPECT_TRUE(differs([](Catalog& c) { c.train[0].label = 1; }));
  EXPECT_TRUE(differs([](Catalog& c) { c.train[0].bytes = 11; }));
  EXPECT_TRUE(differs([](Catalog& c) { c.train[0].mtime_ns = 101; }));
  EXPECT_TRUE(differs([](Catalog& c) { std::swap(c.train[0], c.train[1]); }));
  EXPECT_TRUE(differs([](Catalog& c) { c.test = std::move(c.validation); }));
  EXPECT_TRUE(differs([](Catalog& c) { c.validation.clear(); }));
  EXPECT_FALSE(differs([](Catalog& c) { c.problems.push_back({"a", "not part of the data"}); }));
  EXPECT_FALSE(differs([](Catalog& c) { c.root = "elsewhere"; }));
}

TEST(Split, AShareIsStratifiedAndPartOfALargerShare) {
  const test::TempDir dir;
  touch_photos(dir / "one", 1);
  touch_photos(dir / "many", 100);
  const Catalog all = scan_photos(dir.path());
  Catalog half = all, tenth = all, none = all;
  keep_share(half, 0.5, 7);
  keep_share(tenth, 0.1, 7);
  keep_share(none, 0, 7);
  EXPECT_EQ(half.train.size(), 41U);  // 40 of 80, and the only one
  EXPECT_EQ(half.validation.size(), 10U);
  EXPECT_EQ(none.train.size(), 3U);
  EXPECT_EQ(none.validation.size(), 2U);
  const auto before = [](const Sample& a, const Sample& b) { return a.path < b.path; };
  const Catalog* const by_size[] = {&none, &tenth, &half, &all};
  for (std::size_t i = 1; i < std::size(by_size); ++i) {
    for (const Split split : {Split::kTrain, Split::kValidation}) {
      const std::vector<Sample>&small = by_size[i - 1]->samples(split), &large = by_size[i]->samples(split);
      EXPECT_TRUE(std::is_sorted(small.begin(), small.end(), before));
      EXPECT_TRUE(std::includes(large.begin(), large.end(), small.begin(), small.end(), before));
    }
  }
}

}  // namespace
}  // namespace headstart
