// A stream of photo files to a stream of decoded batches: one thread pulls paths, worker threads read and decode, the consumer takes the
// batches in order. At most kBatchesAhead batches exist, so memory does not grow with the stream.
//
// Thread-safety: one consumer thread; `pull` is called from one background thread. Ownership: what `pull` refers to must outlive the
// object, whose destructor waits until a call of `pull` that is under way has returned.
// Errors: a photo that cannot be read is data (PreparedPhoto::error); anything else that a worker or `pull` throws reaches next(), after
// the photos before it were handed out.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "headstart/preprocess.h"

namespace headstart {

struct PreparedPhoto {
  std::filesystem::path path;
  std::string error;  // why it could not be read; empty when its pixels are there
};

struct PreparedBatch {
  std::vector<PreparedPhoto> photos;  // in input order, at most batch_size
  std::vector<std::uint8_t> pixels;   // u8 [readable, crop, crop, 3]: those without error, in order
  int readable = 0;
};

class PhotoBatches {
 public:
  struct Options {
    Preprocessing preprocessing;
    int batch_size = 32;  // at least 1
    int threads = 1;      // worker threads, at least 1
  };
  using Pull = std::function<std::optional<std::filesystem::path>()>;

  PhotoBatches(Pull pull, Options options);
  ~PhotoBatches();
  PhotoBatches(const PhotoBatches&) = delete;
  PhotoBatches& operator=(const PhotoBatches&) = delete;

  // The next batch, valid until the next call; nullptr at the end of the stream. While it waits it calls `should_stop` (may be empty)
  // every tenth of a second and throws Error(kInterrupted) when that says true.
  const PreparedBatch* next(const std::function<bool()>& should_stop);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace headstart
