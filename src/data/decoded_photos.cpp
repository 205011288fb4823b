#include "data/decoded_photos.h"

#include <fmt/format.h>

namespace headstart {
namespace {

// Everything that the pixels depend on.
std::string key_of(const std::filesystem::path& path, const Sample& sample, const DecodeOptions& decode) {
  return fmt::format("{}\n{} {} {} {} {} {}", path.string(), sample.bytes, sample.mtime_ns, decode.apply_exif_orientation,
                     static_cast<int>(decode.alpha), decode.clip_16_bit_grey, decode.max_pixels);
}

}  // namespace

std::shared_ptr<const Image> DecodedPhotos::find(const std::filesystem::path& path, const Sample& sample,
                                                 const DecodeOptions& decode) const {
  const std::string key = key_of(path, sample, decode);
  const std::lock_guard lock(mutex_);
  const auto found = photos_.find(key);
  return found == photos_.end() ? nullptr : found->second;
}

std::shared_ptr<const Image> DecodedPhotos::keep(const std::filesystem::path& path, const Sample& sample, const DecodeOptions& decode,
                                                 const Image& image) {
  const std::string key = key_of(path, sample, decode);
  const auto bytes = static_cast<std::int64_t>(image.rgb.size());
  const std::lock_guard lock(mutex_);
  if (const auto found = photos_.find(key); found != photos_.end()) return found->second;  // another thread was first
  if (bytes > room_) return nullptr;
  room_ -= bytes;
  return photos_[key] = std::make_shared<const Image>(image);
}

}  // namespace headstart
