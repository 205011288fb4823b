#include "eval/photo_batches.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "headstart/error.h"
#include "headstart/image.h"
#include "support/temp_dir.h"
#include "support/tiny_dataset.h"

namespace headstart {
namespace {

constexpr int kSide = 16;

Preprocessing small() { return {.resize_size = 20, .crop_size = kSide}; }

// `count` different photos; the ones whose index is in `broken` are text.
std::vector<std::filesystem::path> make_photos(const test::TempDir& folder, int count, const std::vector<int>& broken = {}) {
  std::vector<std::filesystem::path> paths;
  for (int i = 0; i < count; ++i) {
    paths.push_back(folder / (std::to_string(i) + ".ppm"));
    test::write_ppm(paths.back(), 24, 24, test::tiny_photo(i % 5, i, 1, 24));
  }
  for (const int i : broken) std::ofstream(paths[static_cast<std::size_t>(i)]) << "no picture at all";
  return paths;
}

PhotoBatches::Pull pull_from(const std::vector<std::filesystem::path>& paths, std::size_t& at) {
  return [&paths, &at]() -> std::optional<std::filesystem::path> {
    if (at == paths.size()) return std::nullopt;
    return paths[at++];
  };
}

struct Collected {
  std::vector<std::string> names;  // "3", or "3!" for one with an error
  std::vector<std::size_t> sizes;  // photos of every batch
  std::vector<std::uint8_t> pixels;
};

Collected collect(const std::vector<std::filesystem::path>& paths, int batch_size, int threads) {
  std::size_t at = 0;
  PhotoBatches batches(pull_from(paths, at), {.preprocessing = small(), .batch_size = batch_size, .threads = threads});
  Collected all;
  while (const PreparedBatch* batch = batches.next({})) {
    all.sizes.push_back(batch->photos.size());
    int readable = 0;
    for (const PreparedPhoto& photo : batch->photos) {
      all.names.push_back(photo.path.stem().string() + (photo.error.empty() ? "" : "!"));
      readable += photo.error.empty() ? 1 : 0;
    }
    EXPECT_EQ(batch->readable, readable);
    EXPECT_EQ(batch->pixels.size(), static_cast<std::size_t>(readable) * kSide * kSide * 3);
    all.pixels.insert(all.pixels.end(), batch->pixels.begin(), batch->pixels.end());
  }
  return all;
}

TEST(PhotoBatches, KeepOrderAndPixelsWhateverTheThreadsAndTheBatchSize) {
  const test::TempDir folder;
  const auto paths = make_photos(folder, 23, {4, 11});
  std::vector<std::uint8_t> expected;
  for (const auto& path : paths) {
    if (path.stem() == "4" || path.stem() == "11") continue;
    const Image view = preprocess(read_image(path), small());
    expected.insert(expected.end(), view.rgb.begin(), view.rgb.end());
  }
  for (const int threads : {1, 4}) {
    for (const int batch_size : {1, 5, 23, 100}) {
      const Collected all = collect(paths, batch_size, threads);
      ASSERT_EQ(all.names.size(), 23U);
      for (int i = 0; i < 23; ++i) {
        EXPECT_EQ(all.names[static_cast<std::size_t>(i)], std::to_string(i) + (i == 4 || i == 11 ? "!" : ""));
      }
      EXPECT_EQ(all.pixels, expected);
      EXPECT_EQ(all.sizes.front(), static_cast<std::size_t>(std::min(batch_size, 23)));
    }
  }
}

TEST(PhotoBatches, OfNoPhotosEndAtOnce) { EXPECT_TRUE(collect({}, 4, 2).sizes.empty()); }

TEST(PhotoBatches, NameMissingFilesAndFoldersAsErrors) {
  const test::TempDir folder;
  const Collected all = collect({folder / "missing.jpg", folder.path()}, 4, 2);
  ASSERT_EQ(all.names.size(), 2U);
  EXPECT_EQ(all.names[0], "missing!");
  EXPECT_EQ(all.names[1].back(), '!');
}

TEST(PhotoBatches, PullAheadOnlyAFewBatches) {
  const test::TempDir folder;
  const auto paths = make_photos(folder, 1);
  std::atomic<int> pulled = 0;
  PhotoBatches batches([&]() -> std::optional<std::filesystem::path> { return ++pulled, paths[0]; },
                       {.preprocessing = small(), .batch_size = 2, .threads = 2});
  for (int consumed = 1; consumed <= 5; ++consumed) {
    ASSERT_NE(batches.next({}), nullptr);
    std::this_thread::sleep_for(std::chrono::milliseconds(30));  // time to run away, if it did
    EXPECT_LE(pulled, 2 * (consumed + 2));
  }
}

TEST(PhotoBatches, HandOutWhatCameBeforeAnExceptionOfTheSource) {
  const test::TempDir folder;
  const auto paths = make_photos(folder, 5);
  std::size_t at = 0;
  PhotoBatches batches(
      [&]() -> std::optional<std::filesystem::path> {
        if (at == paths.size()) throw std::runtime_error("the pipe broke");
        return paths[at++];
      },
      {.preprocessing = small(), .batch_size = 2, .threads = 2});
  std::size_t photos = 0;
  try {
    while (const PreparedBatch* batch = batches.next({})) photos += batch->photos.size();
    FAIL() << "the exception was lost";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "the pipe broke");
  }
  EXPECT_EQ(photos, 5U);
}

TEST(PhotoBatches, StopWhenAskedAlsoWhileTheSourceKeepsThemWaiting) {
  std::atomic<bool> release = false;
  std::atomic<bool> stop = false;
  PhotoBatches batches(
      [&]() -> std::optional<std::filesystem::path> {
        while (!release) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        return std::nullopt;
      },
      {.preprocessing = small(), .batch_size = 2, .threads = 1});
  std::thread asker([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    stop = true;
  });
  try {
    batches.next([&] { return stop.load(); });
    ADD_FAILURE() << "it was not stopped";
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kInterrupted);
  }
  asker.join();
  release = true;  // the destructor waits for the source
}

TEST(PhotoBatches, CanBeAbandonedAtAnyTime) {
  const test::TempDir folder;
  const auto paths = make_photos(folder, 40);
  for (int taken = 0; taken < 4; ++taken) {
    std::size_t at = 0;
    PhotoBatches batches(pull_from(paths, at), {.preprocessing = small(), .batch_size = 3, .threads = 3});
    for (int i = 0; i < taken; ++i) ASSERT_NE(batches.next({}), nullptr);
  }
}

TEST(PhotoBatches, RefuseABatchSizeBelowOne) {
  EXPECT_THROW(PhotoBatches([] { return std::optional<std::filesystem::path>(); }, {.preprocessing = small(), .batch_size = 0}), Error);
}

}  // namespace
}  // namespace headstart
