// Photos to batches: worker threads read, decode and crop ahead of the consumer, in bounded memory.
//
// The batches are the same whatever the number of threads: batch b holds order[b * batch_size, (b + 1) * batch_size), every view depends on
// (seed, epoch, sample) alone, and an unreadable photo leaves its batch one shorter. Zero threads is the plain serial path.
// Thread-safety: one consumer thread; skipped() may be called from any. Ownership: the loader borrows `samples` and copies the rest. Errors
// in a photo are data (skipped()); anything else a worker throws reaches next().
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/decoded_photos.h"
#include "headstart/dataset.h"
#include "headstart/preprocess.h"

namespace headstart {

struct Batch {
  int count = 0;                              // photos that are really there
  std::vector<std::uint8_t> pixels;           // u8 [count, crop, crop, 3]
  std::vector<std::int64_t> labels;           // [count]
  std::vector<std::uint32_t> sample_indices;  // [count], into the samples
  int requested = 0;                          // photos that the order asked for: count plus the skipped ones
};

struct LoaderOptions {
  std::filesystem::path root;
  Preprocessing preprocessing;
  std::optional<Augmentation> augmentation;  // empty: evaluation views
  int batch_size = 32;
  int threads = 0;
  int batches_ahead = 3;  // at most this many finished or half-finished batches wait in memory
  std::uint64_t seed = 0;
  // Files of training photos, and their coefficients, that stay in memory from epoch to epoch, in bytes; 0: none. A kept photo is what it
  // was when it was first read.
  std::int64_t kept_file_bytes = std::int64_t{512} << 20;
  std::shared_ptr<DecodedPhotos> decoded;  // where exact training views find and leave decoded photos; may be empty
};

class Loader {
 public:
  Loader(std::span<const Sample> samples, LoaderOptions options);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  // Starts an epoch over `order` (indices into the samples) at batch `first_batch`; ends the epoch under way.
  void start(std::vector<std::uint32_t> order, std::uint32_t epoch, std::int64_t first_batch = 0);

  // The next batch in order, or nullopt at the end. A batch may have count 0 when all its photos were unreadable. Give the batch back with
  // recycle() to reuse its memory. After a worker's exception was thrown here, further calls throw it again until start().
  std::optional<Batch> next();
  void recycle(Batch batch);

  // Photos that were missing from the batches handed out since construction, each named once, in the order of the samples: path relative to
  // the root, and why. A photo whose size or modification time (by over two seconds) is not the scan's counts as changed and is skipped.
  std::vector<Problem> skipped() const;

  // Seconds that next() spent waiting for workers since start(); without workers, preparing the photos itself.
  double wait_seconds() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Larger photo files are not read: the memory of a worker stays bounded.
inline constexpr std::uint64_t kMaxPhotoBytes = 1ULL << 30;

// 0, 1, …, n - 1.
std::vector<std::uint32_t> identity_order(std::size_t n);

}  // namespace headstart
