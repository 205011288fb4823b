#include "eval/photo_batches.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>
#include <span>
#include <thread>

#include "core/file.h"
#include "core/thread_pool.h"
#include "headstart/error.h"
#include "image/pipeline.h"

namespace headstart {
namespace {

constexpr std::size_t kBatchesAhead = 3;  // one with the network, one ready, one being decoded
constexpr auto kPollInterval = std::chrono::milliseconds(100);

// A batch and the work that fills it. Slots are reused, so a long stream allocates nothing per photo.
struct Slot {
  PreparedBatch batch;
  std::vector<std::future<void>> decoding;
};

std::size_t picture_bytes(const Preprocessing& preprocessing) {
  const auto side = static_cast<std::size_t>(preprocessing.crop_size);
  return side * side * 3;
}

// Runs on a worker thread, whose scratch memory lives as long as the pool.
void prepare(PreparedPhoto& photo, const Preprocessing& preprocessing, std::span<std::uint8_t> out) {
  static thread_local Workspace workspace;
  try {
    read_file(photo.path, workspace.encoded);
    render_evaluation_view(workspace.encoded, preprocessing, workspace, out);
  } catch (const Error& error) {
    if (error.category() != ErrorCategory::kData && error.category() != ErrorCategory::kFile) throw;
    photo.error = error.what();
  }
}

// Closes the gaps that unreadable photos left.
void compact(PreparedBatch& batch, std::size_t bytes) {
  batch.readable = 0;
  for (std::size_t i = 0; i < batch.photos.size(); ++i) {
    if (!batch.photos[i].error.empty()) continue;
    const auto target = static_cast<std::size_t>(batch.readable++);
    if (target != i) std::memcpy(batch.pixels.data() + target * bytes, batch.pixels.data() + i * bytes, bytes);
  }
  batch.pixels.resize(static_cast<std::size_t>(batch.readable) * bytes);
}

}  // namespace

struct PhotoBatches::Impl {
  Impl(Pull pull_in, Options options_in) : pull(std::move(pull_in)), options(options_in), workers(options.threads) {
    if (options.batch_size < 1) {
      throw Error(ErrorCategory::kUsage, fmt::format("read photos: batch size {} given, expected at least 1", options.batch_size));
    }
    for (Slot& slot : slots) unused.push_back(&slot);
    producer = std::thread([this] { produce(); });
  }

  // Tasks that still wait are skipped by `cancelled`; the pool's destructor, which comes before the slots', waits for the rest.
  ~Impl() {
    {
      const std::lock_guard lock(mutex);
      cancelled = true;
    }
    changed.notify_all();
    producer.join();
  }

  // The background thread: fills slots until the stream ends, fails or is cancelled.
  void produce() {
    while (true) {
      Slot* slot = nullptr;
      {
        std::unique_lock lock(mutex);
        changed.wait(lock, [this] { return cancelled.load() || !unused.empty(); });
        if (cancelled) return;
        slot = unused.front();
        unused.pop_front();
      }
      std::exception_ptr failure;
      const bool more = pull_batch(*slot, failure);
      {
        const std::lock_guard lock(mutex);
        if (!slot->batch.photos.empty()) ready.push_back(slot);
        if (!more) ended = true;
        pull_failure = failure;
      }
      changed.notify_all();
      if (!more) return;
    }
  }

  // Takes up to batch_size paths and starts to decode them; false when the stream ended or failed.
  bool pull_batch(Slot& slot, std::exception_ptr& failure) {
    slot.batch.photos.clear();
    slot.decoding.clear();
    bool more = true;
    try {
      while (more && slot.batch.photos.size() < static_cast<std::size_t>(options.batch_size) && !cancelled) {
        std::optional<std::filesystem::path> path = pull();
        more = path.has_value();
        if (more) slot.batch.photos.push_back({.path = std::move(*path), .error = {}});
      }
    } catch (...) {  // the photos before it are still named
      failure = std::current_exception();
      more = false;
    }
    try {
      start_decoding(slot);
    } catch (...) {  // out of memory or threads: nothing of this batch can be handed out
      for (std::future<void>& task : slot.decoding) task.wait();
      slot.batch.photos.clear();
      failure = std::current_exception();
      more = false;
    }
    return more;
  }

  void start_decoding(Slot& slot) {
    const std::size_t bytes = picture_bytes(options.preprocessing);
    slot.batch.pixels.resize(slot.batch.photos.size() * bytes);
    for (std::size_t i = 0; i < slot.batch.photos.size(); ++i) {
      PreparedPhoto& photo = slot.batch.photos[i];
      const std::span<std::uint8_t> out(slot.batch.pixels.data() + i * bytes, bytes);
      slot.decoding.push_back(workers.submit([this, &photo, out] {
        if (!cancelled) prepare(photo, options.preprocessing, out);
      }));
    }
  }

  // The oldest slot that was filled, or nullptr at the end.
  Slot* wait_for_slot(const std::function<bool()>& should_stop) {
    std::unique_lock lock(mutex);
    while (ready.empty() && !ended) {
      changed.wait_for(lock, kPollInterval);
      lock.unlock();
      stop_when_asked(should_stop);
      lock.lock();
    }
    if (ready.empty()) {
      if (pull_failure) std::rethrow_exception(pull_failure);
      return nullptr;
    }
    Slot* slot = ready.front();
    ready.pop_front();
    return slot;
  }

  static void stop_when_asked(const std::function<bool()>& should_stop) {
    if (should_stop && should_stop()) throw Error(ErrorCategory::kInterrupted, "naming photos was stopped");
  }

  void give_back(Slot* slot) {
    {
      const std::lock_guard lock(mutex);
      unused.push_back(slot);
    }
    changed.notify_all();
  }

  Pull pull;
  Options options;
  std::array<Slot, kBatchesAhead> slots;
  std::mutex mutex;
  std::condition_variable changed;
  std::atomic<bool> cancelled = false;
  std::deque<Slot*> unused, ready;  // guarded by mutex, as the rest down to pull_failure
  bool ended = false;
  std::exception_ptr pull_failure;
  Slot* lent = nullptr;  // with the consumer
  ThreadPool workers;
  std::thread producer;
};

PhotoBatches::PhotoBatches(Pull pull, Options options) : impl_(std::make_unique<Impl>(std::move(pull), options)) {}
PhotoBatches::~PhotoBatches() = default;

const PreparedBatch* PhotoBatches::next(const std::function<bool()>& should_stop) {
  Impl::stop_when_asked(should_stop);
  if (impl_->lent != nullptr) impl_->give_back(impl_->lent);
  impl_->lent = impl_->wait_for_slot(should_stop);
  if (impl_->lent == nullptr) return nullptr;
  for (std::future<void>& task : impl_->lent->decoding) {
    while (task.wait_for(kPollInterval) != std::future_status::ready) Impl::stop_when_asked(should_stop);
    task.get();
  }
  compact(impl_->lent->batch, picture_bytes(impl_->options.preprocessing));
  return &impl_->lent->batch;
}

}  // namespace headstart
