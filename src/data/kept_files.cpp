#include "data/kept_files.h"

namespace headstart {

KeptFiles::KeptFiles(std::size_t samples, std::int64_t most_bytes) : photos_(most_bytes > 0 ? samples : 0), room_(most_bytes) {}

KeptFiles::~KeptFiles() {
  for (const std::atomic<Photo*>& photo : photos_) delete photo.load(std::memory_order_relaxed);
}

bool KeptFiles::take_room(std::int64_t bytes) {
  if (room_.fetch_sub(bytes, std::memory_order_relaxed) >= bytes) return true;
  room_.fetch_add(bytes, std::memory_order_relaxed);
  return false;
}

KeptFiles::Photo* KeptFiles::keep(std::uint32_t sample, std::span<const std::byte> bytes) {
  const auto size = static_cast<std::int64_t>(bytes.size());
  if (photos_.empty()) return nullptr;
  if (!take_room(size)) return nullptr;
  auto photo = std::make_unique<Photo>();
  photo->bytes.assign(bytes.begin(), bytes.end());
  photo->index.keep_coefficients = true;
  Photo* before = nullptr;
  if (photos_[sample].compare_exchange_strong(before, photo.get(), std::memory_order_acq_rel)) return photo.release();
  room_.fetch_add(size, std::memory_order_relaxed);  // another thread was first
  return before;
}

void KeptFiles::give_back_index(Photo& photo) {
  const std::int64_t added = static_cast<std::int64_t>(photo.index.coefficient_bytes()) - photo.coefficient_bytes;
  if (added > 0 && take_room(added)) {
    photo.coefficient_bytes += added;
  } else if (added > 0) {
    photo.index.forget_coefficients();
  }
  photo.index_taken.store(false, std::memory_order_release);
}

}  // namespace headstart
