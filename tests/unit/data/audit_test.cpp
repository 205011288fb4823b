#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "data/duplicates.h"
#include "headstart/dataset.h"
#include "headstart/error.h"
#include "headstart/image.h"
#include "support/shared_data.h"
#include "support/temp_dir.h"
#include "support/tiny_dataset.h"

namespace headstart {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

void write_bytes(const fs::path& path, std::span<const std::byte> bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

Image solid(int height, int width, std::uint8_t value) {
  return {{height, width}, std::vector<std::uint8_t>(static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * 3, value)};
}

// Big soft blobs: structure that survives re-encoding, different for every `which`.
Image blobs(int which, int height = 96, int width = 128) {
  Image image{{height, width}, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < 3; ++c) {
        const double phase = 1.7 * which + c;
        const double value = 128 + 60 * std::sin(phase + (3 + which % 5) * 1.0 * x / width * 3 +
                                                 2 * std::cos(phase * 3 + 4.0 * y / height * (1 + which % 3)));
        image.rgb.push_back(static_cast<std::uint8_t>(value));
      }
    }
  }
  return image;
}

const Problem* find_problem(const AuditReport& report, const std::string& path, const std::string& words) {
  const auto found = std::find_if(report.problems.begin(), report.problems.end(), [&](const Problem& problem) {
    return problem.path == path && problem.reason.find(words) != std::string::npos;
  });
  return found == report.problems.end() ? nullptr : &*found;
}

TEST(Audit, CountsClassesFormatsModesAndSizes) {
  const test::TempDir dir;
  for (int i = 0; i < 12; ++i) write_bytes(dir / "train/a" / (std::to_string(i) + ".png"), encode_png(blobs(i)));
  for (int i = 0; i < 15; ++i) write_bytes(dir / "train/b" / (std::to_string(i) + ".jpg"), encode_jpeg(blobs(20 + i, 64, 80)));
  for (int i = 0; i < 2; ++i) write_bytes(dir / "val/a" / (std::to_string(i) + ".png"), encode_png(blobs(50 + i)));
  write_bytes(dir / "val/b/0.png", encode_png(blobs(60, 300, 200)));
  write_bytes(dir / "test/b/0.png", encode_png(blobs(61)));
  const AuditReport report = audit(scan_photos(dir.path()), {.threads = 2});
  ASSERT_EQ(report.classes.size(), 2U);
  EXPECT_EQ(report.classes[0].name, "a");
  EXPECT_EQ(report.classes[0].photos, (std::array<std::int64_t, 3>{12, 2, 0}));
  EXPECT_EQ(report.classes[1].photos, (std::array<std::int64_t, 3>{15, 1, 1}));
  EXPECT_DOUBLE_EQ(report.imbalance, 15.0 / 12);
  EXPECT_EQ(report.formats, (std::map<std::string, std::int64_t>{{"jpeg", 15}, {"png", 16}}));
  EXPECT_EQ(report.modes, (std::map<std::string, std::int64_t>{{"RGB", 31}}));
  EXPECT_EQ(report.smallest, (ImageSize{64, 80}));
  EXPECT_EQ(report.median, (ImageSize{96, 128}));
  EXPECT_EQ(report.largest, (ImageSize{300, 200}));
  EXPECT_EQ(report.rotated_by_exif, 0);
  EXPECT_TRUE(report.unreadable.empty());
}

TEST(Audit, ListsUnreadablePhotosWithTheirReason) {
  const test::TempDir dir;
  test::make_tiny_dataset(dir.path(), 2, 12);
  std::ofstream(dir / "class_0/broken.jpg") << "no picture";
  std::ofstream(dir / "class_1/empty.png");
  std::ofstream(dir / "class_1/empty2.png");
  std::ofstream(dir / "class_1/short.ppm") << "P6\n40 40\n255\n123";
  const Catalog catalog = scan_photos(dir.path());
  fs::remove(dir / "class_0/photo_003.ppm");
  for (const int threads : {1, 3}) {
    const AuditReport report = audit(catalog, {.threads = threads});
    Names paths;
    for (const Problem& problem : report.unreadable) {
      paths.push_back(problem.path);
      EXPECT_FALSE(problem.reason.empty());
    }
    EXPECT_EQ(paths,
              (Names{"class_0/broken.jpg", "class_0/photo_003.ppm", "class_1/empty.png", "class_1/empty2.png", "class_1/short.ppm"}));
    EXPECT_EQ(report.formats.at("pnm"), 23);
    for (const DuplicateGroup& group : report.duplicates) EXPECT_FALSE(group.exact);  // two empty files are no copies of a photo
  }
}

TEST(Audit, FindsExactCopiesWithinAndAcrossSplitsAndClasses) {
  const test::TempDir dir;
  int which = 10;
  for (const char* name : {"train/a", "train/b", "val/a", "val/b"}) write_bytes(dir / name / "own.png", encode_png(blobs(which++)));
  const auto copied = encode_png(blobs(1)), spread = encode_png(blobs(2));
  write_bytes(dir / "train/a/1.png", copied);
  write_bytes(dir / "train/a/2.png", copied);
  write_bytes(dir / "train/a/3.png", spread);
  write_bytes(dir / "val/b/3.png", spread);
  const AuditReport report = audit(scan_photos(dir.path()));
  std::vector<const DuplicateGroup*> exact;
  for (const DuplicateGroup& group : report.duplicates) {
    if (group.exact) exact.push_back(&group);
  }
  ASSERT_EQ(exact.size(), 2U);
  EXPECT_EQ(exact[0]->paths, (Names{"train/a/1.png", "train/a/2.png"}));
  EXPECT_FALSE(exact[0]->across_splits);
  EXPECT_FALSE(exact[0]->across_classes);
  EXPECT_EQ(exact[1]->paths, (Names{"train/a/3.png", "val/b/3.png"}));
  EXPECT_TRUE(exact[1]->across_splits);
  EXPECT_TRUE(exact[1]->across_classes);
  EXPECT_NE(find_problem(report, ".", "1 group of equal photos lie in more than one split"), nullptr);
  EXPECT_NE(find_problem(report, ".", "1 group of equal photos lie in more than one class"), nullptr);
}

TEST(Audit, FindsPhotosThatLookTheSame) {
  const test::TempDir dir;
  const Image image = blobs(3, 240, 320);
  write_bytes(dir / "train/a/original.png", encode_png(image));
  write_bytes(dir / "train/a/copy.png", encode_png(image));
  write_bytes(dir / "train/b/recompressed.jpg", encode_jpeg(image, 50));
  write_bytes(dir / "val/a/smaller.png", encode_png(resize(image, {120, 160}, Interpolation::kBilinear)));
  write_bytes(dir / "val/a/other.png", encode_png(blobs(4, 240, 320)));
  for (int i = 0; i < 3; ++i) write_bytes(dir / "train/b" / ("blank" + std::to_string(i) + ".png"), encode_png(solid(100 + i, 100, 250)));
  const AuditReport report = audit(scan_photos(dir.path()));
  ASSERT_EQ(report.duplicates.size(), 2U);
  EXPECT_TRUE(report.duplicates[0].exact);
  EXPECT_FALSE(report.duplicates[1].exact);
  EXPECT_EQ(report.duplicates[1].paths,
            (Names{"train/a/copy.png", "train/a/original.png", "train/b/recompressed.jpg", "val/a/smaller.png"}));
  EXPECT_TRUE(report.duplicates[1].across_splits);
  EXPECT_TRUE(report.duplicates[1].across_classes);
}

TEST(Audit, GivesAdvice) {
  const test::TempDir dir;
  for (int i = 0; i < 60; ++i)
    write_bytes(dir / "many" / (std::to_string(i) + ".png"), encode_png(solid(40, 40, static_cast<std::uint8_t>(i))));
  for (int i = 0; i < 5; ++i)
    write_bytes(dir / "few" / (std::to_string(i) + ".png"), encode_png(solid(40, 40, static_cast<std::uint8_t>(100 + i))));
  fs::create_directories(dir / "none");
  write_bytes(dir / "many/lie.jpg", encode_png(solid(40, 40, 77)));
  write_bytes(dir / "many/small.png", encode_png(solid(31, 500, 78)));
  const AuditReport report = audit(scan_photos(dir.path()));
  EXPECT_NE(find_problem(report, "none", "without photos"), nullptr);
  EXPECT_NE(find_problem(report, "few", "a class of 5 photos"), nullptr);
  EXPECT_NE(find_problem(report, "few", "'many' has 50 (12 to 1)"), nullptr);
  EXPECT_NE(find_problem(report, "many/lie.jpg", "its name says jpeg, its content is png"), nullptr);
  EXPECT_NE(find_problem(report, "many/small.png", "only 500 x 31 pixels"), nullptr);
  EXPECT_EQ(report.problems.size(), 5U);
}

TEST(Audit, AdviceOnManyPhotosIsCutShort) {
  const test::TempDir dir;
  for (const char* name : {"a", "b"}) {
    for (int i = 10; i < 40; ++i)
      write_bytes(dir / name / (std::to_string(i) + ".gif"),
                  encode_png(solid(40, 40, static_cast<std::uint8_t>(name[0] == 'a' ? i : i + 100))));
  }
  const AuditReport report = audit(scan_photos(dir.path()));
  EXPECT_EQ(report.problems.size(), 21U);
  EXPECT_EQ(report.problems.front().path, "a/10.gif");
  EXPECT_NE(find_problem(report, ".", "40 photos more like a/29.gif"), nullptr);
}

TEST(Audit, ReportsProgressAndStopsWhenAsked) {
  const test::TempDir dir;
  test::make_tiny_dataset(dir.path(), 2, 10);
  const Catalog catalog = scan_photos(dir.path());
  AuditOptions options;
  options.threads = 2;
  std::int64_t last = -1;
  const auto caller = std::this_thread::get_id();
  options.on_progress = [&](std::int64_t done, std::int64_t total) {
    EXPECT_EQ(total, 20);
    EXPECT_GE(done, last);
    EXPECT_EQ(std::this_thread::get_id(), caller);
    last = done;
  };
  audit(catalog, options);
  EXPECT_EQ(last, 20);
  options.should_stop = [] { return true; };
  try {
    audit(catalog, options);
    ADD_FAILURE() << "was not stopped";
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kInterrupted);
  }
}

TEST(Audit, TheThreadsDoNotChangeTheReport) {
  const test::TempDir dir;
  test::make_tiny_dataset(dir.path(), 3, 12);
  fs::copy(dir / "class_0/photo_001.ppm", dir / "class_1/copy.ppm");
  const Catalog catalog = scan_photos(dir.path());
  const AuditReport one = audit(catalog, {.threads = 1}), four = audit(catalog, {.threads = 4});
  ASSERT_EQ(one.duplicates.size(), four.duplicates.size());
  for (std::size_t i = 0; i < one.duplicates.size(); ++i) EXPECT_EQ(one.duplicates[i].paths, four.duplicates[i].paths);
  ASSERT_EQ(one.problems.size(), four.problems.size());
  for (std::size_t i = 0; i < one.problems.size(); ++i) EXPECT_EQ(one.problems[i].reason, four.problems[i].reason);
}

TEST(ExactGroups, EqualHashesAreNotEnough) {
  std::vector<PhotoPrint> prints(6);
  for (std::size_t i = 0; i < prints.size(); ++i) prints[i].content = 42, prints[i].bytes = 10;
  prints[5].bytes = 11;
  // 0, 2 and 4 are really equal; 1 and 3 are; 5 differs in length.
  const auto groups = exact_groups(prints, [](std::uint32_t a, std::uint32_t b) { return a % 2 == b % 2; });
  EXPECT_EQ(groups, (Groups{{0, 2, 4}, {1, 3}}));
}

TEST(Audit, EveryTrickyFileGivesAPictureOrAReason) {
  const fs::path root = test::shared_dir() / "data/tricky";
  HEADSTART_SKIP_WITHOUT(root);
  Catalog catalog;
  catalog.root = root;
  catalog.classes = {"tricky"};
  walk_photos(root, [&](const fs::path& path) { catalog.train.push_back({path.lexically_relative(root).string(), 0}); });
  ASSERT_GT(catalog.train.size(), 100U);
  const AuditReport report = audit(catalog);
  std::int64_t readable = 0;
  for (const auto& [format, count] : report.formats) readable += count;
  EXPECT_EQ(readable + static_cast<std::int64_t>(report.unreadable.size()), static_cast<std::int64_t>(catalog.train.size()));
  EXPECT_GT(report.rotated_by_exif, 0);
  for (const Problem& problem : report.unreadable) EXPECT_FALSE(problem.reason.empty()) << problem.path;
}

}  // namespace
}  // namespace headstart
