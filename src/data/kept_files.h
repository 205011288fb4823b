// Photo files that stay in memory from epoch to epoch, up to a bound, each with what was learnt about where its parts lie.
//
// Thread-safety: any number of threads; no locks. Ownership: photos live as long as the object. Errors: none of its own.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "image/jpeg_index.h"

namespace headstart {

class KeptFiles {
 public:
  struct Photo {
    std::vector<std::byte> bytes;
    JpegIndex index;                       // belongs to who set `index_taken`
    std::atomic<bool> index_taken{false};  // by a thread that decodes the photo; another decodes it without
  };

  // For samples 0 to samples - 1. most_bytes: of all files; the indexes come on top, some 4%.
  KeptFiles(std::size_t samples, std::int64_t most_bytes);
  ~KeptFiles();
  KeptFiles(const KeptFiles&) = delete;
  KeptFiles& operator=(const KeptFiles&) = delete;

  // nullptr when it is not kept.
  Photo* find(std::uint32_t sample) const { return photos_.empty() ? nullptr : photos_[sample].load(std::memory_order_acquire); }
  // Keeps a copy and gives it; nullptr where the bound leaves no room. First come, first kept: an epoch reads each photo once, so a photo
  // that makes room for another would be read again before that one is.
  Photo* keep(std::uint32_t sample, std::span<const std::byte> bytes);

 private:
  std::vector<std::atomic<Photo*>> photos_;  // by sample
  std::atomic<std::int64_t> room_;           // bytes that may still be kept
};

}  // namespace headstart
