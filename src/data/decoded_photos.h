// Decoded photos that several runs of a process look at, kept in memory up to a bound.
//
// Thread-safety: any number of threads. Ownership: the pictures are shared. Errors: none of its own.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "headstart/dataset.h"
#include "headstart/image.h"

namespace headstart {

class DecodedPhotos {
 public:
  explicit DecodedPhotos(std::int64_t most_bytes) : room_(most_bytes) {}

  // The photo as it was when the sample was scanned, decoded with these options; nullptr when it is not kept.
  std::shared_ptr<const Image> find(const std::filesystem::path& path, const Sample& sample, const DecodeOptions& decode) const;
  // Keeps a copy, and gives it; nullptr where the bound leaves no room.
  std::shared_ptr<const Image> keep(const std::filesystem::path& path, const Sample& sample, const DecodeOptions& decode,
                                    const Image& image);

 private:
  mutable std::mutex mutex_;
  std::int64_t room_;  // bytes of pixels that may still be kept
  std::map<std::string, std::shared_ptr<const Image>> photos_;
};

}  // namespace headstart
