#include "train/activation_cache.h"

#include <gtest/gtest.h>

#include <fstream>
#include <optional>

#include "small_disk.h"
#include "support/temp_dir.h"
#include "tiny_run.h"

namespace headstart {
namespace {

constexpr std::int64_t kRecordBytes = 40;

std::vector<std::byte> record(int number) { return {static_cast<std::size_t>(kRecordBytes), static_cast<std::byte>(number + 1)}; }

std::optional<std::vector<std::byte>> read(const ActivationCache& cache, int number) {
  if (!cache.holds(number)) return std::nullopt;
  std::vector<std::byte> bytes(static_cast<std::size_t>(kRecordBytes));
  cache.get(number, bytes);
  return bytes;
}

// Of ten records, those that fit into `memory_bytes` in memory.
ActivationCache cache_at(const std::filesystem::path& file, std::int64_t memory_bytes, std::string_view key = "key") {
  return {{.records = 10, .record_bytes = kRecordBytes, .memory_bytes = memory_bytes}, file, key};
}

TEST(ActivationCache, GivesBackWhatWasPutWhereverItIsKept) {
  const test::TempDir folder;
  for (const std::int64_t memory_bytes : {std::int64_t{0}, 4 * kRecordBytes + 3, 10 * kRecordBytes, std::int64_t{1} << 40}) {
    const std::filesystem::path file = folder / std::to_string(memory_bytes);
    ActivationCache cache = cache_at(file, memory_bytes);
    EXPECT_EQ(std::filesystem::exists(file), memory_bytes < 10 * kRecordBytes);
    for (const int number : {9, 0, 4, 3}) cache.put(number, record(number));
    for (int number = 0; number < 10; ++number) {
      const bool there = number == 9 || number == 0 || number == 4 || number == 3;
      EXPECT_EQ(read(cache, number), there ? std::optional(record(number)) : std::nullopt) << number;
    }
  }
}

TEST(ActivationCache, FindsItsRecordsAgainAndNoOtherKeys) {
  const test::TempDir folder;
  const std::filesystem::path file = folder / "file";
  {
    ActivationCache cache = cache_at(file, 2 * kRecordBytes);
    for (const int number : {1, 2, 7}) cache.put(number, record(number));
  }
  const ActivationCache again = cache_at(file, 2 * kRecordBytes);
  EXPECT_FALSE(again.holds(1)) << "it was in memory";
  EXPECT_EQ(read(again, 2), record(2));
  EXPECT_EQ(read(again, 7), record(7));
  EXPECT_FALSE(again.holds(3));
  const ActivationCache other = cache_at(file, 2 * kRecordBytes, "other weights");
  for (int number = 0; number < 10; ++number) EXPECT_FALSE(other.holds(number)) << number;
}

TEST(ActivationCache, ARecordThatIsDamagedOrHalfWrittenIsNotThere) {
  const test::TempDir folder;
  const std::filesystem::path file = folder / "file";
  {
    ActivationCache cache = cache_at(file, 0);
    for (const int number : {0, 1, 2}) cache.put(number, record(number));
  }
  std::fstream(file, std::ios::in | std::ios::out | std::ios::binary).seekp(kRecordBytes + 8 + 5).put('x');
  const ActivationCache again = cache_at(file, 0);
  EXPECT_TRUE(again.holds(0));
  EXPECT_FALSE(again.holds(1));
  EXPECT_TRUE(again.holds(2));
  std::filesystem::resize_file(file, 30);
  const ActivationCache cut = cache_at(file, 0);
  EXPECT_FALSE(cut.holds(0));
  EXPECT_FALSE(cut.holds(2));
}

TEST(ActivationCache, AFullDiskIsKnownBeforeAnythingIsPut) {
  const test::TempDir folder;
  const test::SmallDisk disk(100);
  const std::string message = test::message_of(ErrorCategory::kFile, [&] { cache_at(folder / "file", 0); });
  EXPECT_NE(message.find("480 bytes"), std::string::npos) << message;
  EXPECT_NE(message.find("file"), std::string::npos) << message;
  EXPECT_FALSE(std::filesystem::exists(folder / "file"));
}

}  // namespace
}  // namespace headstart
