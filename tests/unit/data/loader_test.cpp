#include "data/loader.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "data/sampler.h"
#include "headstart/error.h"
#include "headstart/image.h"
#include "support/temp_dir.h"
#include "support/tiny_dataset.h"

namespace headstart {
namespace {

namespace fs = std::filesystem;

constexpr int kCrop = 24;

void write_bytes(const fs::path& path, std::span<const std::byte> bytes) {
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

// 3 classes of 9 tiny photos: PPM, and every third one a JPEG or a PNG.
class LoaderTest : public testing::Test {
 protected:
  void SetUp() override {
    test::make_tiny_dataset(dir_.path(), 3, 9, 1);
    for (int label = 0; label < 3; ++label) {
      const fs::path folder = dir_ / ("class_" + std::to_string(label));
      for (const int i : {1, 4, 7}) {
        const fs::path ppm = folder / ("photo_00" + std::to_string(i) + ".ppm");
        const Image image = read_image(ppm);
        fs::remove(ppm);
        write_bytes(folder / ("jpeg_" + std::to_string(i) + ".jpg"), encode_jpeg(image));
        if (i == 7) write_bytes(folder / "png.png", encode_png(image));
      }
    }
    rescan();
  }

  // All photos in one list, in path order.
  void rescan() {
    const Catalog catalog = scan_for_evaluation(dir_.path(), test::tiny_class_names(3));
    samples_ = catalog.test;
    ASSERT_EQ(samples_.size(), 30U);
  }

  LoaderOptions options(int threads, int batch_size = 4, int batches_ahead = 3) const {
    LoaderOptions options;
    options.root = dir_.path();
    options.preprocessing.resize_size = 28;
    options.preprocessing.crop_size = kCrop;
    options.augmentation.emplace();
    options.batch_size = batch_size;
    options.threads = threads;
    options.batches_ahead = batches_ahead;
    options.seed = 11;
    return options;
  }

  std::vector<std::uint32_t> order(std::uint32_t epoch) const { return epoch_order(samples_, 3, Imbalance::kNone, 11, epoch); }

  test::TempDir dir_;
  std::vector<Sample> samples_;
};

// Runs to the end of the epoch, giving every other batch back.
std::vector<Batch> drain(Loader& loader) {
  std::vector<Batch> batches;
  while (auto batch = loader.next()) {
    batches.push_back(*batch);
    if (batches.size() % 2 == 0) loader.recycle(std::move(*batch));
  }
  EXPECT_FALSE(loader.next().has_value());
  return batches;
}

void expect_equal(const std::vector<Batch>& a, const std::vector<Batch>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].count, b[i].count);
    EXPECT_EQ(a[i].requested, b[i].requested);
    EXPECT_EQ(a[i].labels, b[i].labels);
    EXPECT_EQ(a[i].sample_indices, b[i].sample_indices);
    EXPECT_TRUE(a[i].pixels == b[i].pixels) << "batch " << i;
  }
}

void expect_whole(const Batch& batch) {
  EXPECT_EQ(batch.pixels.size(), static_cast<std::size_t>(batch.count) * kCrop * kCrop * 3);
  EXPECT_EQ(batch.labels.size(), static_cast<std::size_t>(batch.count));
  EXPECT_EQ(batch.sample_indices.size(), static_cast<std::size_t>(batch.count));
}

std::map<std::uint32_t, std::vector<std::uint8_t>> pixels_by_sample(const std::vector<Batch>& batches) {
  std::map<std::uint32_t, std::vector<std::uint8_t>> pixels;
  constexpr std::ptrdiff_t kPhoto = kCrop * kCrop * 3;
  for (const Batch& batch : batches) {
    for (std::ptrdiff_t i = 0; i < batch.count; ++i) {
      pixels[batch.sample_indices[static_cast<std::size_t>(i)]].assign(batch.pixels.begin() + i * kPhoto,
                                                                       batch.pixels.begin() + (i + 1) * kPhoto);
    }
  }
  return pixels;
}

// From files in memory, from some of them, or from none: the same batches, in every epoch, fast and exact.
TEST_F(LoaderTest, KeptFilesChangeNoBatch) {
  for (const bool fast : {true, false}) {
    LoaderOptions none = options(0);
    none.augmentation->fast_decode = fast;
    none.kept_file_bytes = 0;
    Loader plain(samples_, none);
    for (const std::int64_t bytes : {std::int64_t{6000}, std::int64_t{1} << 30}) {
      LoaderOptions some = none;
      some.threads = 3;
      some.kept_file_bytes = bytes;
      Loader kept(samples_, some);
      for (std::uint32_t epoch = 0; epoch < 3; ++epoch) {
        plain.start(order(epoch), epoch);
        kept.start(order(epoch), epoch);
        expect_equal(drain(plain), drain(kept));
      }
    }
  }
}

// The balanced sampler draws a photo several times in an epoch: threads meet at it.
TEST_F(LoaderTest, ThreadsThatDecodeTheSamePhotoAgree) {
  std::vector<std::uint32_t> same(40, 0);
  for (std::uint32_t i = 0; i < samples_.size(); ++i) {
    if (samples_[i].path.ends_with(".jpg")) std::fill(same.begin(), same.end(), i);
  }
  Loader one(samples_, options(0)), four(samples_, options(4));
  for (std::uint32_t epoch = 0; epoch < 2; ++epoch) {
    one.start(same, epoch);
    four.start(same, epoch);
    expect_equal(drain(one), drain(four));
  }
}

TEST_F(LoaderTest, AKeptPhotoOutlastsItsFile) {
  Loader loader(samples_, options(0));
  loader.start(order(0), 0);
  drain(loader);
  for (const Sample& sample : samples_) fs::remove(dir_.path() / sample.path);
  loader.start(order(1), 1);
  int photos = 0;
  for (const Batch& batch : drain(loader)) photos += batch.count;
  EXPECT_EQ(photos, 30);
  EXPECT_TRUE(loader.skipped().empty());
}

TEST_F(LoaderTest, BatchesFollowTheOrderWithTheirLabels) {
  Loader loader(samples_, options(0));
  const auto wanted = order(1);
  loader.start(wanted, 1);
  const auto batches = drain(loader);
  ASSERT_EQ(batches.size(), 8U);
  std::vector<std::uint32_t> seen;
  for (const Batch& batch : batches) {
    expect_whole(batch);
    EXPECT_EQ(batch.count, batch.requested);
    for (std::size_t i = 0; i < batch.sample_indices.size(); ++i) {
      seen.push_back(batch.sample_indices[i]);
      EXPECT_EQ(batch.labels[i], samples_[seen.back()].label);
    }
  }
  EXPECT_EQ(seen, wanted);
  EXPECT_EQ(batches.back().count, 2);
  EXPECT_TRUE(loader.skipped().empty());
}

TEST_F(LoaderTest, AnyNumberOfThreadsGivesTheSerialBatchesBitForBit) {
  for (const bool training : {true, false}) {
    std::vector<std::vector<Batch>> serial;
    for (const int threads : {0, 1, 2, 4}) {
      for (const int ahead : {1, 2, 5}) {
        LoaderOptions with = options(threads, 4, ahead);
        if (!training) with.augmentation.reset();
        Loader loader(samples_, with);
        for (std::uint32_t epoch = 1; epoch <= 3; ++epoch) {
          loader.start(order(epoch), epoch);
          const auto batches = drain(loader);
          if (serial.size() < epoch) {
            serial.push_back(batches);
          } else {
            expect_equal(batches, serial[epoch - 1]);
          }
        }
      }
    }
    // Views are drawn anew for every epoch, or never.
    EXPECT_EQ(pixels_by_sample(serial[0]) == pixels_by_sample(serial[1]), !training);
  }
}

TEST_F(LoaderTest, TheBatchSizeDoesNotChangeAPhotosPixels) {
  std::map<std::uint32_t, std::vector<std::uint8_t>> expected;
  for (const int batch_size : {1, 3, 7, 30, 64}) {
    Loader loader(samples_, options(2, batch_size));
    loader.start(order(2), 2);
    const auto pixels = pixels_by_sample(drain(loader));
    EXPECT_EQ(pixels.size(), samples_.size());
    if (expected.empty()) expected = pixels;
    EXPECT_TRUE(pixels == expected) << batch_size;
  }
}

TEST_F(LoaderTest, StartsAtAnyBatch) {
  Loader whole(samples_, options(0));
  whole.start(order(1), 1);
  const auto all = drain(whole);
  for (const int threads : {0, 2}) {
    Loader loader(samples_, options(threads));
    for (std::size_t first = 0; first <= all.size() + 1; ++first) {
      loader.start(order(1), 1, static_cast<std::int64_t>(first));
      const std::vector<Batch> rest(all.begin() + static_cast<std::ptrdiff_t>(std::min(first, all.size())), all.end());
      expect_equal(drain(loader), rest);
    }
  }
}

TEST_F(LoaderTest, ARestartInTheMiddleOfAnEpochIsAFreshStart) {
  Loader reference(samples_, options(0));
  for (const int threads : {0, 1, 4}) {
    Loader loader(samples_, options(threads));
    for (std::uint32_t epoch = 1; epoch <= 20; ++epoch) {
      loader.start(order(epoch), epoch);
      for (std::uint32_t i = 0; i < epoch % 9; ++i) {
        auto batch = loader.next();
        if (batch && i % 2 == 0) loader.recycle(std::move(*batch));
      }
    }
    loader.start(order(5), 5);
    reference.start(order(5), 5);
    expect_equal(drain(loader), drain(reference));
  }
}

TEST_F(LoaderTest, CanBeDestroyedAtAnyMoment) {
  for (const int threads : {0, 1, 4}) {
    for (int taken = 0; taken < 10; ++taken) {
      Loader loader(samples_, options(threads, 4, 2));
      if (taken == 9) continue;  // never started
      loader.start(order(1), 1);
      for (int i = 0; i < taken; ++i) loader.next();
    }
  }
}

TEST_F(LoaderTest, EmptyOrdersAndRepeatedPhotosWork) {
  for (const int threads : {0, 2}) {
    Loader loader(samples_, options(threads));
    EXPECT_FALSE(loader.next().has_value());
    loader.start({}, 1);
    EXPECT_FALSE(loader.next().has_value());
    loader.start({5, 5, 5, 5, 5, 5}, 1);
    const auto batches = drain(loader);
    ASSERT_EQ(batches.size(), 2U);
    EXPECT_EQ(batches[0].sample_indices, (std::vector<std::uint32_t>{5, 5, 5, 5}));
  }
}

TEST_F(LoaderTest, UnreadablePhotosLeaveTheirBatchShorterAndAreNamedOnce) {
  // Truncated, not a picture, gone, empty: 4 of the first 5 photos.
  const auto spoil = [&](std::size_t index, const std::string& content) {
    std::ofstream(dir_ / samples_[index].path, std::ios::binary) << content;
  };
  spoil(0, "P6\n40 40\n255\nshort");
  spoil(1, "not a picture");
  spoil(4, "");
  rescan();
  fs::remove(dir_ / samples_[3].path);
  std::vector<Batch> serial;
  for (const int threads : {0, 1, 4}) {
    Loader loader(samples_, options(threads, 2));
    for (std::uint32_t epoch = 1; epoch <= 2; ++epoch) {
      loader.start(identity_order(samples_.size()), epoch);
      const auto batches = drain(loader);
      ASSERT_EQ(batches.size(), 15U);
      for (const Batch& batch : batches) expect_whole(batch);
      EXPECT_EQ(batches[0].count, 0);
      EXPECT_EQ(batches[0].requested, 2);
      EXPECT_EQ(batches[1].sample_indices, std::vector<std::uint32_t>{2});
      EXPECT_EQ(batches[2].sample_indices, std::vector<std::uint32_t>{5});
      EXPECT_EQ(batches[3].count, 2);
      if (epoch == 1) {
        if (threads == 0) serial = batches;
        expect_equal(batches, serial);
      }
    }
    const auto skipped = loader.skipped();
    ASSERT_EQ(skipped.size(), 4U);
    const std::vector<std::size_t> expected = {0, 1, 3, 4};
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(skipped[i].path, samples_[expected[i]].path);
      EXPECT_FALSE(skipped[i].reason.empty());
    }
    EXPECT_NE(skipped[2].reason.find("No such file"), std::string::npos) << skipped[2].reason;
  }
}

// What was prepared ahead and never handed out leaves no trace: skipped() depends on the batches taken alone.
TEST_F(LoaderTest, PhotosOfBatchesThatWereNeverTakenAreNotNamed) {
  fs::remove(dir_ / samples_[5].path);
  for (const int threads : {0, 2}) {
    Loader loader(samples_, options(threads, 4, 3));
    loader.start(identity_order(samples_.size()), 1);
    ASSERT_TRUE(loader.next().has_value());
    EXPECT_TRUE(loader.skipped().empty());
    ASSERT_TRUE(loader.next().has_value());
    EXPECT_EQ(loader.skipped().size(), 1U);
  }
}

TEST_F(LoaderTest, PhotosThatChangeOrTurnIntoSomethingElseAreSkipped) {
  const auto replace = [&](std::size_t index, int seed) {
    test::write_ppm(dir_ / samples_[index].path, 40, 40, test::tiny_photo(0, 0, static_cast<std::uint64_t>(seed)));
  };
  const auto set_mtime = [&](std::size_t index, std::int64_t offset_s) {
    const timespec time = {static_cast<time_t>(samples_[index].mtime_ns / 1'000'000'000 + offset_s), 0};
    const timespec times[2] = {time, time};
    ASSERT_EQ(utimensat(AT_FDCWD, (dir_ / samples_[index].path).c_str(), times, 0), 0);
  };
  // Samples 3 to 7 are PPM files.
  test::write_ppm(dir_ / samples_[3].path, 41, 40, std::vector<std::uint8_t>(41 * 40 * 3, 7));  // another size, still a picture
  replace(4, 99);                                                                               // same size, much later
  set_mtime(4, 60);
  replace(5, 98);  // same size, within what a coarse file system may shift
  set_mtime(5, 1);
  fs::remove(dir_ / samples_[6].path);
  fs::create_directory(dir_ / samples_[6].path);
  fs::remove(dir_ / samples_[7].path);
  ASSERT_EQ(mkfifo((dir_ / samples_[7].path).c_str(), 0600), 0);
  Loader loader(samples_, options(2, 30));
  loader.start(identity_order(samples_.size()), 1);
  const auto batch = loader.next();
  ASSERT_TRUE(batch.has_value());
  EXPECT_EQ(batch->count, 26);
  EXPECT_EQ(batch->sample_indices[3], 5U);
  EXPECT_NE(loader.skipped()[0].reason.find("changed since"), std::string::npos);
}

TEST_F(LoaderTest, PhotosThatVanishWhileTheEpochRunsAreSkipped) {
  LoaderOptions reads_each_time = options(4, 4, 3);
  reads_each_time.kept_file_bytes = 0;
  Loader loader(samples_, reads_each_time);
  std::atomic<bool> running{true};
  std::thread vandal([&] {
    for (const Sample& sample : samples_) {
      fs::remove(dir_ / sample.path);
      std::this_thread::yield();
    }
    running = false;
  });
  std::size_t requested = 0;
  std::uint32_t epoch = 0;
  do {
    ++epoch;
    loader.start(order(epoch), epoch);
    requested = 0;
    for (const Batch& batch : drain(loader)) {
      expect_whole(batch);
      requested += static_cast<std::size_t>(batch.requested);
    }
    EXPECT_EQ(requested, samples_.size());
  } while (running);
  vandal.join();
  loader.start(order(epoch + 1), epoch + 1);
  for (const Batch& batch : drain(loader)) EXPECT_EQ(batch.count, 0);
  EXPECT_EQ(loader.skipped().size(), samples_.size());
}

// Nothing beyond the open batches is read: with everything deleted once the workers stand still, at most those are left.
TEST_F(LoaderTest, PreparesNoMoreThanTheBatchesAhead) {
  for (const int ahead : {1, 3}) {
    const test::TempDir copy;
    fs::copy(dir_.path(), copy.path(), fs::copy_options::recursive);
    LoaderOptions with = options(4, 2, ahead);
    with.root = copy.path();
    std::vector<Sample> samples = samples_;
    for (Sample& sample : samples) sample.bytes = 0, sample.mtime_ns = 0;  // the copies have times of their own
    Loader loader(samples, with);
    loader.start(identity_order(samples.size()), 1);
    ASSERT_EQ(loader.next()->count, 2);
    std::this_thread::sleep_for(std::chrono::milliseconds(300));  // unbounded workers would be through by now
    for (const Sample& sample : samples) fs::remove(copy / sample.path);
    int photos = 0;
    for (const Batch& batch : drain(loader)) photos += batch.count;
    EXPECT_LE(photos, 2 * ahead);
  }
}

TEST_F(LoaderTest, ReusesTheMemoryOfBatchesThatWereGivenBack) {
  for (const int threads : {0, 2}) {
    Loader loader(samples_, options(threads, 2, 2));
    std::vector<const std::uint8_t*> seen;
    for (std::uint32_t epoch = 1; epoch <= 3; ++epoch) {
      loader.start(order(epoch), epoch);
      while (auto batch = loader.next()) {
        seen.push_back(batch->pixels.data());
        loader.recycle(std::move(*batch));
      }
    }
    std::sort(seen.begin(), seen.end());
    seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
    EXPECT_LE(seen.size(), 5U);  // of 45 batches: two slots, two spare, one with the consumer
  }
}

TEST_F(LoaderTest, AnErrorThatIsNotThePhotosReachesTheConsumer) {
  for (const int threads : {0, 2}) {
    LoaderOptions with = options(threads);
    with.augmentation->min_area = 2;  // no such share
    Loader loader(samples_, with);
    loader.start(order(1), 1);
    for (int attempt = 0; attempt < 2; ++attempt) {
      try {
        loader.next();
        ADD_FAILURE() << "no error";
      } catch (const Error& error) {
        EXPECT_EQ(error.category(), ErrorCategory::kUsage);
      }
    }
    EXPECT_TRUE(loader.skipped().empty());
    loader.start({}, 2);
    EXPECT_FALSE(loader.next().has_value());
  }
}

TEST_F(LoaderTest, RefusesOptionsAndOrdersThatCannotBeMeant) {
  const auto category_of = [&](const LoaderOptions& with) {
    try {
      Loader loader(samples_, with);
    } catch (const Error& error) {
      return error.category();
    }
    return ErrorCategory::kInternal;
  };
  for (int which = 0; which < 4; ++which) {
    LoaderOptions with = options(0);
    if (which == 0) with.batch_size = 0;
    if (which == 1) with.threads = -1;
    if (which == 2) with.batches_ahead = 0;
    if (which == 3) with.preprocessing.crop_size = 0;
    EXPECT_EQ(category_of(with), ErrorCategory::kUsage) << which;
  }
  Loader loader(samples_, options(1));
  EXPECT_THROW(loader.start({30}, 1), Error);
  EXPECT_THROW(loader.start({0}, 1, -1), Error);
  loader.start({0}, 1);
  EXPECT_EQ(loader.next()->count, 1);
}

TEST_F(LoaderTest, MeasuresTheWaitOfTheEpochAlone) {
  for (const int threads : {0, 2}) {
    Loader loader(samples_, options(threads));
    EXPECT_EQ(loader.wait_seconds(), 0);
    loader.start(order(1), 1);
    drain(loader);
    EXPECT_GT(loader.wait_seconds(), 0);
    loader.start(order(2), 2);
    EXPECT_EQ(loader.wait_seconds(), 0);
  }
}

// Without a scan (bytes and time 0) a photo is taken as it is.
TEST_F(LoaderTest, SamplesMadeByHandAreNotComparedWithAScan) {
  std::vector<Sample> samples = {{samples_[3].path, 1}};
  Loader loader(samples, options(0));
  loader.start({0}, 1);
  EXPECT_EQ(loader.next()->labels, std::vector<std::int64_t>{1});
}

TEST_F(LoaderTest, KeptPhotosGiveTheSamePixelsAndAreNotReadAgain) {
  LoaderOptions exact = options(2);
  exact.augmentation = Augmentation{.fast_decode = false};
  const auto first_epoch = [&](const LoaderOptions& wanted) {
    Loader loader(samples_, wanted);
    loader.start(order(0), 0);
    return drain(loader);
  };
  const std::vector<Batch> alone = first_epoch(exact);
  exact.decoded = std::make_shared<DecodedPhotos>(std::int64_t{1} << 20);  // all: 30 of 4,800 bytes
  expect_equal(first_epoch(exact), alone);
  for (const Sample& sample : samples_) fs::remove(dir_ / sample.path);
  expect_equal(first_epoch(exact), alone);
}

TEST(DecodedPhotos, KeepsToItsBoundAndTellsPhotosApart) {
  DecodedPhotos photos(100);
  const Image image{.size = {5, 4}, .rgb = std::vector<std::uint8_t>(60, 7)};
  const Sample sample{.path = "a", .bytes = 10, .mtime_ns = 1};
  photos.keep("root/a", sample, {}, image);
  photos.keep("root/b", {.path = "b"}, {}, image);  // no room for a second one
  ASSERT_NE(photos.find("root/a", sample, {}), nullptr);
  EXPECT_EQ(photos.find("root/a", sample, {})->rgb, image.rgb);
  EXPECT_EQ(photos.find("root/b", {.path = "b"}, {}), nullptr);
  EXPECT_EQ(photos.find("root/a", {.path = "a", .bytes = 11, .mtime_ns = 1}, {}), nullptr);  // another file by now
  EXPECT_EQ(photos.find("root/a", sample, {.apply_exif_orientation = false}), nullptr);
}

}  // namespace
}  // namespace headstart
