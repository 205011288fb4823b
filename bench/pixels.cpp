// Measures the way from photos on disk to normalised batches, with the loader that training uses. bench/pixels.py runs it beside
// torchvision.
//
//   pixels_bench views PHOTOS [fast|exact] [float32|bfloat16|u8] [THREADS] [SECONDS] [KEPT_MB]
//       views a second; 0 threads: the serial path; KEPT_MB: room for files that stay in memory, 0 for none
//   pixels_bench scan PHOTOS
//       a large folder: scan, split, first batch, memory
//
// PHOTOS holds class folders, or train/ with class folders. One JSON object on standard output.
#include <fmt/format.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "data/loader.h"
#include "data/sampler.h"
#include "image/pipeline.h"

namespace {

using namespace headstart;
using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kSeed = 1;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

// Bytes of this process that lie in memory; the second number of /proc/self/statm counts pages.
std::int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::int64_t all = 0, resident = 0;
  file >> all >> resident;
  return resident * 4096;
}

std::int64_t most_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return std::int64_t{usage.ru_maxrss} * 1024;
}

double processor_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

LoaderOptions loader_options(const Catalog& catalog, bool fast, int threads) {
  LoaderOptions options;
  options.root = catalog.root;
  options.augmentation = Augmentation{.fast_decode = fast};
  options.threads = threads;
  options.seed = kSeed;
  return options;
}

// The dtype that the network takes, in memory that is kept, as model/device.cpp makes it for the CPU.
struct Normalised {
  std::string dtype;
  std::vector<float> float32;
  std::vector<std::uint16_t> bfloat16;

  void take(const Batch& batch, const Preprocessing& preprocessing) {
    if (dtype == "float32") {
      float32.resize(std::max(float32.size(), batch.pixels.size()));
      normalize_to_float32(batch.pixels, preprocessing, float32.data());
    } else if (dtype == "bfloat16") {
      bfloat16.resize(std::max(bfloat16.size(), batch.pixels.size()));
      normalize_to_bfloat16(batch.pixels, preprocessing, bfloat16.data());
    }
  }
};

// Whole epochs until `seconds` have passed, after one that warms the caches.
void measure_views(const Catalog& catalog, const LoaderOptions& options, const std::string& dtype, double seconds) {
  Loader loader(catalog.train, options);
  Normalised normalised{.dtype = dtype};
  const auto run_epoch = [&](std::uint32_t epoch) {
    loader.start(epoch_order(catalog.train, static_cast<int>(catalog.classes.size()), Imbalance::kNone, kSeed, epoch), epoch);
    std::int64_t views = 0;
    while (std::optional<Batch> batch = loader.next()) {
      normalised.take(*batch, options.preprocessing);
      views += batch->count;
      loader.recycle(std::move(*batch));
    }
    return views;
  };
  run_epoch(0);
  const auto begin = Clock::now();
  const double processor_begin = processor_seconds();
  std::int64_t views = 0;
  std::uint32_t epoch = 1;
  do {
    views += run_epoch(epoch++);
  } while (seconds_since(begin) < seconds);
  const double wall = seconds_since(begin), processor = processor_seconds() - processor_begin;
  fmt::print(
      "{{\"views\": {}, \"seconds\": {:.3f}, \"views_a_second\": {:.1f}, \"processor_us_a_view\": {:.1f}, \"resident_mb\": {:.1f}}}\n",
      views, wall, static_cast<double>(views) / wall, processor * 1e6 / static_cast<double>(views),
      static_cast<double>(resident_bytes()) / 1e6);
}

std::size_t path_bytes(const Catalog& catalog) {
  std::size_t bytes = 0;
  for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest}) {
    for (const Sample& sample : catalog.samples(split)) bytes += sample.path.size();
  }
  return bytes;
}

void measure_scan(const std::string& photos) {
  const std::int64_t before = most_resident_bytes();
  const auto begin = Clock::now();
  const Catalog catalog = scan_photos(photos);
  const double scanned = seconds_since(begin);
  const std::int64_t held = resident_bytes() - before, scan_peak = most_resident_bytes() - before;
  Loader loader(catalog.train, loader_options(catalog, true, 2));
  loader.start(epoch_order(catalog.train, static_cast<int>(catalog.classes.size()), Imbalance::kNone, kSeed, 0), 0);
  std::optional<Batch> batch = loader.next();
  const double first_batch = seconds_since(begin);
  const auto files = static_cast<std::int64_t>(catalog.train.size() + catalog.validation.size() + catalog.test.size());
  const auto paths = static_cast<std::int64_t>(path_bytes(catalog));
  const auto a_file = [&](std::int64_t bytes) { return static_cast<double>(bytes - paths) / static_cast<double>(files); };
  fmt::print("{{\"files\": {}, \"scan_s\": {:.2f}, \"first_batch_s\": {:.2f}, \"path_bytes_a_file\": {:.1f}, ", files, scanned, first_batch,
             static_cast<double>(paths) / static_cast<double>(files));
  fmt::print("\"held_beyond_path\": {:.1f}, \"scan_peak_beyond_path\": {:.1f}", a_file(held), a_file(scan_peak));
  loader.recycle(std::move(*batch));
  constexpr int kSteps = 2000, kReports = 4;
  for (int i = 1; i <= kSteps; ++i) {
    batch = loader.next();
    if (!batch) break;
    loader.recycle(std::move(*batch));
    if (i % (kSteps / kReports) == 0) fmt::print(", \"mb_after_{}_batches\": {:.1f}", i, static_cast<double>(resident_bytes()) / 1e6);
  }
  fmt::print("}}\n");
}

int run(const std::vector<std::string>& arguments) {
  const auto argument = [&](std::size_t i, const std::string& otherwise) { return i < arguments.size() ? arguments[i] : otherwise; };
  const std::string what = argument(0, ""), photos = argument(1, "");
  if (what == "scan" && !photos.empty()) {
    measure_scan(photos);
  } else if (what == "views" && !photos.empty()) {
    const Catalog catalog = scan_photos(photos);
    LoaderOptions options = loader_options(catalog, argument(2, "fast") == "fast", std::stoi(argument(4, "0")));
    options.kept_file_bytes = std::stoll(argument(6, "512")) << 20;
    measure_views(catalog, options, argument(3, "float32"), std::stod(argument(5, "3")));
  } else {
    fmt::print(stderr, "pixels_bench views PHOTOS [fast|exact] [float32|bfloat16|u8] [THREADS] [SECONDS] [KEPT_MB] | scan PHOTOS\n");
    return 2;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    fmt::print(stderr, "pixels_bench: {}\n", error.what());
    return 1;
  }
}
