#include "data/kept_files.h"

namespace headstart {

KeptFiles::KeptFiles(std::size_t samples, std::int64_t most_bytes) : photos_(most_bytes > 0 ? samples : 0), room_(most_bytes) {}

KeptFiles::~KeptFiles() {
  for (const std::atomic<Photo*>& photo : photos_) delete photo.load(std::memory_order_relaxed);
}

KeptFiles::Photo* KeptFiles::keep(std::uint32_t sample, std::span<const std::byte> bytes) {
  const auto size = static_cast<std::int64_t>(bytes.size());
  if (photos_.empty()) return nullptr;
  if (room_.fetch_sub(size, std::memory_order_relaxed) < size) {
    room_.fetch_add(size, std::memory_order_relaxed);
    return nullptr;
  }
  auto photo = std::make_unique<Photo>();
  photo->bytes.assign(bytes.begin(), bytes.end());
  Photo* before = nullptr;
  if (photos_[sample].compare_exchange_strong(before, photo.get(), std::memory_order_acq_rel)) return photo.release();
  room_.fetch_add(size, std::memory_order_relaxed);  // another thread was first
  return before;
}

}  // namespace headstart
