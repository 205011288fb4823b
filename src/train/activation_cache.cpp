#include "train/activation_cache.h"

#include <algorithm>
#include <cstring>

#include "core/hash.h"

namespace headstart {

ActivationCache::ActivationCache(const Layout& layout, const std::filesystem::path& file, std::string_view key)
    : layout_(layout),
      in_memory_(std::min(layout.records, layout.memory_bytes / layout.record_bytes)),
      key_(fast_hash(key)),
      memory_(std::make_unique_for_overwrite<std::byte[]>(static_cast<std::size_t>(in_memory_ * layout.record_bytes))),
      held_(static_cast<std::size_t>(layout.records)) {
  if (in_memory_ == layout.records) return;
  std::error_code error;
  const bool is_there = std::filesystem::exists(file, error);
  file_ = std::make_unique<ReservedFile>(file, offset(layout.records));
  if (is_there) find_records();
}

std::uint64_t ActivationCache::offset(std::int64_t record) const {
  return static_cast<std::uint64_t>(record - in_memory_) * (static_cast<std::uint64_t>(layout_.record_bytes) + sizeof(std::uint64_t));
}

std::uint64_t ActivationCache::hash(std::int64_t record, std::span<const std::byte> bytes) const {
  return fast_hash(bytes, key_ + static_cast<std::uint64_t>(record));
}

void ActivationCache::find_records() {
  std::vector<std::byte> bytes(static_cast<std::size_t>(layout_.record_bytes) + sizeof(std::uint64_t));
  const std::span<const std::byte> contents = std::span(bytes).first(static_cast<std::size_t>(layout_.record_bytes));
  for (std::int64_t record = in_memory_; record < layout_.records; ++record) {
    file_->read_at(offset(record), bytes);
    std::uint64_t written = 0;
    std::memcpy(&written, bytes.data() + layout_.record_bytes, sizeof written);
    held_[static_cast<std::size_t>(record)] = written == hash(record, contents);
  }
}

void ActivationCache::put(std::int64_t record, std::span<const std::byte> bytes) {
  if (in_memory(record)) {
    std::copy(bytes.begin(), bytes.end(), place(record));
  } else {
    const std::uint64_t written = hash(record, bytes);
    file_->write_at(offset(record), bytes);
    file_->write_at(offset(record) + bytes.size(), std::as_bytes(std::span(&written, 1)));
  }
  held_[static_cast<std::size_t>(record)] = true;
}

void ActivationCache::get(std::int64_t record, std::span<std::byte> bytes) const {
  if (in_memory(record)) {
    std::copy_n(place(record), bytes.size(), bytes.begin());
  } else {
    file_->read_at(offset(record), bytes);
  }
}

}  // namespace headstart
