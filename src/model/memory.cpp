#include "model/memory.h"

#if defined(__linux__)
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>
#include <utility>
#endif

namespace headstart {
#if defined(__linux__)
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kSmallest = std::size_t{1} << 20;
constexpr std::size_t kPage = std::size_t{4} << 10;

std::size_t rounded_up(std::size_t bytes, std::size_t to) { return (bytes + to - 1) / to * to; }

// A range of addresses as large as the machine's memory, of which what was once written to takes memory; nullptr when the system refuses.
std::byte* reserve(std::size_t bytes) {
  void* const range = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (range == MAP_FAILED) return nullptr;
  ::madvise(range, bytes, MADV_HUGEPAGE);  // where it is refused, small pages do as well
  return static_cast<std::byte*>(range);
}

// Blocks cut from one range: the smallest hole that is large enough, the one of the lowest address among equals; holes that touch become
// one. The steps of a training run ask for the same sizes in the same order, so that the holes are used again and again.
class BlockAllocator final : public c10::Allocator {
 public:
  BlockAllocator(c10::Allocator* others, std::size_t bytes) : others_(others), range_(reserve(bytes)) {
    if (range_ != nullptr) add_hole(range_, bytes);
  }

  c10::DataPtr allocate(std::size_t bytes) override {
    std::byte* const block = bytes < kSmallest ? nullptr : take(rounded_up(bytes, kPage));
    if (block == nullptr) return others_->allocate(bytes);  // small, or more than the machine has: the C library says so
    return {block, block, &free_any, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free_any; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override { std::memcpy(to, from, bytes); }

  // Holes keep their addresses, but no memory.
  void release() {
    const std::lock_guard lock(mutex_);
    for (const auto& [hole, bytes] : holes_) {
      if (hole < touched_) ::madvise(hole, std::min(bytes, static_cast<std::size_t>(touched_ - hole)), MADV_DONTNEED);
    }
    touched_ = range_;
    for (const auto& [block, bytes] : blocks_) touched_ = std::max(touched_, block + bytes);
  }

  KeptMemory kept() {
    const std::lock_guard lock(mutex_);
    return {.in_use = in_use_, .unused = static_cast<std::size_t>(touched_ - range_) - in_use_};
  }

 private:
  std::byte* take(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    const auto found = by_size_.lower_bound({bytes, nullptr});
    if (found == by_size_.end()) return nullptr;
    const auto [size, block] = *found;
    remove_hole(holes_.find(block));
    if (size > bytes) add_hole(block + bytes, size - bytes);
    blocks_[block] = bytes;
    in_use_ += bytes;
    touched_ = std::max(touched_, block + bytes);
    return block;
  }

  // False: not a block.
  bool give_back(std::byte* block) {
    const std::lock_guard lock(mutex_);
    const auto found = blocks_.find(block);
    if (found == blocks_.end()) return false;
    std::size_t bytes = found->second;
    blocks_.erase(found);
    in_use_ -= bytes;
    const auto next = holes_.lower_bound(block);
    if (next != holes_.begin()) {
      if (const auto before = std::prev(next); before->first + before->second == block) {
        block = before->first;
        bytes += before->second;
        remove_hole(before);
      }
    }
    if (next != holes_.end() && block + bytes == next->first) {
      bytes += next->second;
      remove_hole(next);
    }
    add_hole(block, bytes);
    return true;
  }

  using Holes = std::map<std::byte*, std::size_t>;
  void add_hole(std::byte* first, std::size_t bytes) {
    holes_.emplace(first, bytes);
    by_size_.emplace(bytes, first);
  }
  void remove_hole(Holes::iterator hole) {
    by_size_.erase({hole->second, hole->first});
    holes_.erase(hole);
  }

  // oneDNN's scratch memory comes without a DataPtr: whose it is shows in its address.
  static void free_any(void* memory);

  c10::Allocator* const others_;
  std::byte* const range_;
  std::mutex mutex_;  // guards the rest
  Holes holes_;
  std::set<std::pair<std::size_t, std::byte*>> by_size_;  // the same holes
  std::unordered_map<std::byte*, std::size_t> blocks_;    // in use
  std::size_t in_use_ = 0;                                // bytes of them
  std::byte* touched_ = range_;                           // end of what was ever used since the last release
};

std::size_t machine_memory() {
  const auto bytes = static_cast<std::size_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(::sysconf(_SC_PAGE_SIZE));
  return rounded_up(bytes, kHugePage);
}

// Never destroyed: tensors may outlive everything else in the process.
BlockAllocator& allocator() {
  static auto* const instance = new BlockAllocator(c10::GetDefaultCPUAllocator(), machine_memory());
  return *instance;
}

void BlockAllocator::free_any(void* memory) {
  if (!allocator().give_back(static_cast<std::byte*>(memory))) allocator().others_->raw_deleter()(memory);
}

}  // namespace

void keep_large_tensors() { c10::SetCPUAllocator(&allocator(), /*priority=*/1); }
void release_unused_memory() { allocator().release(); }
KeptMemory kept_memory() { return allocator().kept(); }

#else
void keep_large_tensors() {}
void release_unused_memory() {}
KeptMemory kept_memory() { return {}; }
#endif
}  // namespace headstart
