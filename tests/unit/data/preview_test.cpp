#include "headstart/preview.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>

#include "data/loader.h"
#include "data/sampler.h"
#include "support/errors.h"
#include "support/temp_dir.h"
#include "support/tiny_dataset.h"

namespace headstart {
namespace {

// The pixels of one cell, u8 [side, side, 3].
std::vector<std::uint8_t> pixels_of(const Preview& preview, const PreviewCell& cell) {
  std::vector<std::uint8_t> out;
  for (int y = 0; y < preview.cell; ++y) {
    const auto from =
        preview.picture.rgb.begin() + ((cell.top + y) * static_cast<std::ptrdiff_t>(preview.picture.size.width) + cell.left) * 3;
    out.insert(out.end(), from, from + preview.cell * std::ptrdiff_t{3});
  }
  return out;
}

std::vector<std::string> paths_of_row(const Preview& preview, int row) {
  std::vector<std::string> paths;
  for (const PreviewCell& cell : preview.cells) {
    if (cell.row == row) paths.push_back(cell.path);
  }
  return paths;
}

// All training photos of a class, those set aside for validation included, by path.
std::vector<std::string> training_paths(const Catalog& catalog, std::int32_t label) {
  std::vector<std::string> paths;
  for (const auto* samples : {&catalog.train, &catalog.validation}) {
    for (const Sample& sample : *samples) {
      if (sample.label == label) paths.push_back(sample.path);
    }
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

class PreviewTest : public testing::Test {
 protected:
  Catalog make(int classes, int photos_per_class) {
    test::make_tiny_dataset(dir_.path(), classes, photos_per_class);
    return scan_photos(dir_.path(), {.seed = 5});
  }
  test::TempDir dir_;
};

TEST_F(PreviewTest, IsTheBooksGridByDefault) {
  const Catalog catalog = make(3, 12);
  const Preview preview = preview_grid(catalog);
  ASSERT_EQ(preview.cells.size(), 16U);
  EXPECT_EQ(preview.row_label, (std::vector<std::int32_t>{0, 2}));
  EXPECT_EQ(preview.row_reversed, (std::vector<bool>{false, true}));
  std::vector<std::string> first = training_paths(catalog, 0), last = training_paths(catalog, 2);
  ASSERT_EQ(first.size(), 12U);
  first.resize(8);
  std::reverse(last.begin(), last.end());
  last.resize(8);
  EXPECT_EQ(paths_of_row(preview, 0), first);
  EXPECT_EQ(paths_of_row(preview, 1), last);
  EXPECT_EQ(preview.cell, 160);
  EXPECT_TRUE(preview.skipped.empty());
  EXPECT_EQ(preview.picture.rgb.size(), static_cast<std::size_t>(preview.picture.size.height) * preview.picture.size.width * 3);
}

TEST_F(PreviewTest, SpreadsRowsOverTheClassesAndGivesSpareRowsToEach) {
  const Catalog catalog = make(5, 12);
  EXPECT_EQ(preview_grid(catalog, {.rows = 3, .columns = 2, .cell = 16}).row_label, (std::vector<std::int32_t>{0, 2, 4}));
  EXPECT_EQ(preview_grid(catalog, {.rows = 5, .columns = 1, .cell = 16}).row_label, (std::vector<std::int32_t>{0, 1, 2, 3, 4}));
  const Preview one = preview_grid(catalog, {.rows = 1, .columns = 3, .cell = 16});
  EXPECT_EQ(one.row_label, (std::vector<std::int32_t>{0}));
  EXPECT_EQ(one.row_reversed, std::vector<bool>{false});
  const Preview many = preview_grid(catalog, {.rows = 12, .columns = 2, .cell = 16});
  EXPECT_EQ(many.row_label, (std::vector<std::int32_t>{0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 4, 4}));
  const std::vector<std::string> expected = training_paths(catalog, 1);
  EXPECT_EQ(paths_of_row(many, 3), (std::vector<std::string>{expected[2], expected[3]}));  // goes on where the row above ended
}

TEST_F(PreviewTest, LeavesCellsEmptyWhereAClassHasTooFewPhotos) {
  const Preview preview = preview_grid(make(2, 3), {.cell = 20});
  EXPECT_EQ(preview.cells.size(), 6U);
  EXPECT_EQ(paths_of_row(preview, 1).size(), 3U);
}

TEST_F(PreviewTest, ShowsWholePhotosInProportionOnAGround) {
  for (const char* const name : {"a", "b"}) {
    std::vector<std::uint8_t> rgb;
    for (int i = 0; i < 10 * 40; ++i) rgb.insert(rgb.end(), {200, 10, 30});
    for (int i = 0; i < 3; ++i) test::write_ppm(dir_ / name / (std::to_string(i) + ".ppm"), 10, 40, rgb);
  }
  const Preview preview = preview_grid(scan_photos(dir_.path()), {.cell = 80});
  const std::vector<std::uint8_t> cell = pixels_of(preview, preview.cells.front());
  const auto pixel = [&](int y, int x) {
    return std::vector<int>{cell[(y * 80 + x) * 3], cell[(y * 80 + x) * 3 + 1], cell[(y * 80 + x) * 3 + 2]};
  };
  // 40 x 10 pixels become 80 x 20, in the middle.
  for (const int y : {30, 49}) {
    for (const int x : {0, 40, 79}) EXPECT_EQ(pixel(y, x), (std::vector<int>{200, 10, 30})) << y << ' ' << x;
  }
  const std::vector<int> ground = pixel(0, 0);
  EXPECT_EQ(ground[0], ground[2]);
  EXPECT_EQ(pixel(29, 40), ground);
  EXPECT_EQ(pixel(50, 40), ground);
}

TEST_F(PreviewTest, ScalesExactly) {
  const Catalog catalog = make(2, 4);
  const Preview preview = preview_grid(catalog, {.columns = 2, .cell = 28});
  for (const PreviewCell& cell : preview.cells) {
    const Image expected = resize(read_image(catalog.root / cell.path), {28, 28}, Interpolation::kBilinear);
    EXPECT_TRUE(pixels_of(preview, cell) == expected.rgb) << cell.path;
  }
}

// What the loader of the loop's first epoch feeds, whatever the order and the size of the batches.
std::map<std::string, std::vector<std::uint8_t>> first_epoch(const Catalog& catalog, const PreviewOptions& options,
                                                             std::uint32_t epoch = 0) {
  Loader loader(catalog.train, {.root = catalog.root,
                                .preprocessing = options.preprocessing,
                                .augmentation = options.augmentation,
                                .batch_size = 5,
                                .threads = 2,
                                .seed = options.seed});
  loader.start(epoch_order(catalog.train, static_cast<int>(catalog.classes.size()), Imbalance::kNone, options.seed, epoch), epoch);
  std::map<std::string, std::vector<std::uint8_t>> views;
  while (const auto batch = loader.next()) {
    const auto size = static_cast<std::ptrdiff_t>(batch->pixels.size()) / batch->count;
    for (int i = 0; i < batch->count; ++i) {
      const auto from = batch->pixels.begin() + i * size;
      views[catalog.train[batch->sample_indices[static_cast<std::size_t>(i)]].path] = {from, from + size};
    }
  }
  return views;
}

TEST_F(PreviewTest, AugmentedCellsEqualWhatTrainingSeesInItsFirstEpoch) {
  const Catalog catalog = make(2, 12);
  PreviewOptions options{.augmented = true, .seed = 77};
  options.preprocessing.crop_size = 24;
  const auto expected = first_epoch(catalog, options);
  const auto next_epoch = first_epoch(catalog, options, 1);
  const Preview preview = preview_grid(catalog, options);
  EXPECT_EQ(preview.cell, 24);
  ASSERT_EQ(preview.cells.size(), 16U);
  std::size_t differ = 0;
  for (const PreviewCell& cell : preview.cells) {
    ASSERT_EQ(expected.count(cell.path), 1U) << cell.path;
    EXPECT_TRUE(pixels_of(preview, cell) == expected.at(cell.path)) << cell.path;
    differ += pixels_of(preview, cell) == next_epoch.at(cell.path) ? 0 : 1;
  }
  EXPECT_EQ(differ, 16U);  // else the comparison above would prove nothing
  options.seed = 78;
  EXPECT_FALSE(preview_grid(catalog, options).picture.rgb == preview.picture.rgb);
}

TEST_F(PreviewTest, AugmentedViewsLeaveOutWhatIsSetAsideForValidation) {
  const Catalog catalog = make(2, 10);
  ASSERT_EQ(catalog.validation.size(), 4U);
  PreviewOptions options{.columns = 10, .cell = 16};
  EXPECT_EQ(preview_grid(catalog, options).cells.size(), 20U);
  options.augmented = true;
  const Preview augmented = preview_grid(catalog, options);
  EXPECT_EQ(augmented.cells.size(), 16U);
  for (const Sample& sample : catalog.validation) {
    for (const PreviewCell& cell : augmented.cells) EXPECT_NE(cell.path, sample.path);
  }
  options.augmented = false;
  options.split = Split::kValidation;
  EXPECT_EQ(preview_grid(catalog, options).cells.size(), 4U);
}

TEST_F(PreviewTest, UnreadablePhotosAreNamedAndTheNextOnesTakeTheirPlaces) {
  test::make_tiny_dataset(dir_.path(), 2, 8);
  for (const char* const name : {"class_0/photo_001.ppm", "class_1/photo_007.ppm"}) std::ofstream(dir_ / name) << "no picture";
  const Catalog catalog = scan_photos(dir_.path());
  for (const bool augmented : {false, true}) {
    PreviewOptions options{.columns = 3, .cell = 16, .augmented = augmented};
    const Preview preview = preview_grid(catalog, options);
    EXPECT_EQ(preview.cells.size(), 6U);
    for (const Problem& problem : preview.skipped) EXPECT_FALSE(problem.reason.empty());
    if (augmented) continue;  // a broken photo may have been set aside
    ASSERT_EQ(preview.skipped.size(), 2U);
    EXPECT_EQ(preview.skipped[0].path, "class_0/photo_001.ppm");
    EXPECT_EQ(preview.skipped[1].path, "class_1/photo_007.ppm");
    EXPECT_EQ(paths_of_row(preview, 0),
              (std::vector<std::string>{"class_0/photo_000.ppm", "class_0/photo_002.ppm", "class_0/photo_003.ppm"}));
    EXPECT_EQ(paths_of_row(preview, 1),
              (std::vector<std::string>{"class_1/photo_006.ppm", "class_1/photo_005.ppm", "class_1/photo_004.ppm"}));
  }
}

TEST_F(PreviewTest, RefusesWhatCannotBeShown) {
  const Catalog catalog = make(2, 4);
  const auto refused = [&](const PreviewOptions& options, ErrorCategory category = ErrorCategory::kUsage) {
    return test::error_of([&] { preview_grid(catalog, options); }, category);
  };
  test::expect_contains(refused({.rows = 0}), "rows");
  test::expect_contains(refused({.rows = 101}), "101");
  test::expect_contains(refused({.columns = 0}), "columns");
  test::expect_contains(refused({.cell = 7}), "cell");
  test::expect_contains(refused({.cell = -1}), "cell");
  test::expect_contains(refused({.cell = 1025}), "1025");
  test::expect_contains(refused({.rows = 100, .columns = 100, .cell = 1024}), "smaller cells");
  test::expect_contains(refused({.split = Split::kValidation, .augmented = true}), "training photos");
  test::expect_contains(refused({.split = Split::kTest}, ErrorCategory::kData), "no test photos");
  PreviewOptions no_crop{.augmented = true};
  no_crop.preprocessing.crop_size = 0;
  test::expect_contains(refused(no_crop), "crop_size");
}

TEST_F(PreviewTest, PhotosOfWhichNoneCanBeReadAreADataError) {
  for (const char* const name : {"a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg"}) {
    std::filesystem::create_directories((dir_ / name).parent_path());
    std::ofstream(dir_ / name) << "no picture";
  }
  const Catalog catalog = scan_photos(dir_.path());
  test::expect_contains(test::error_of([&] { preview_grid(catalog); }, ErrorCategory::kData), "a/1.jpg");
}

}  // namespace
}  // namespace headstart
