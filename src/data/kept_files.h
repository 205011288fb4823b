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
    JpegIndex index;                       // belongs to who took it
    std::atomic<bool> index_taken{false};  // by a thread that decodes the photo; another decodes it without
    std::int64_t coefficient_bytes = 0;    // of the index's, that were taken from the bound
  };

  // For samples 0 to samples - 1. most_bytes: of all files and their coefficients; the places in the files come on top, some 4%.
  KeptFiles(std::size_t samples, std::int64_t most_bytes);
  ~KeptFiles();
  KeptFiles(const KeptFiles&) = delete;
  KeptFiles& operator=(const KeptFiles&) = delete;

  // nullptr when it is not kept.
  Photo* find(std::uint32_t sample) const { return photos_.empty() ? nullptr : photos_[sample].load(std::memory_order_acquire); }
  // Keeps a copy and gives it; nullptr where the bound leaves no room. First come, first kept: an epoch reads each photo once, so a photo
  // that makes room for another would be read again before that one is.
  Photo* keep(std::uint32_t sample, std::span<const std::byte> bytes);

  // False where another thread has the photo's index.
  bool take_index(Photo& photo) const { return !photo.index_taken.exchange(true, std::memory_order_acquire); }
  // Coefficients that were added to it stay where the bound leaves room for them.
  void give_back_index(Photo& photo);

 private:
  bool take_room(std::int64_t bytes);

  std::vector<std::atomic<Photo*>> photos_;  // by sample
  std::atomic<std::int64_t> room_;           // bytes that may still be kept
};

}  // namespace headstart
