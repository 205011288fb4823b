#include "data/loader.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <limits>
#include <map>
#include <mutex>
#include <numeric>
#include <thread>
#include <utility>

#include "core/file.h"
#include "data/kept_files.h"
#include "headstart/error.h"
#include "image/decode.h"
#include "image/pipeline.h"

namespace headstart {
namespace {

// FAT keeps times to two seconds: a smaller difference does not prove that a photo changed.
constexpr std::int64_t kMtimeToleranceNs = 2'000'000'000;

// One batch under construction. Each photo has its place; whoever finishes the last one hands the batch over.
struct Slot {
  Batch batch;
  std::vector<std::uint8_t> present;                           // by place; 0: skipped
  std::vector<std::pair<std::uint32_t, std::string>> skipped;  // sample and reason; guarded by the loader's mutex
  std::exception_ptr failure;                                  // likewise
  std::atomic<int> remaining{0};                               // photos not yet prepared
  bool ready = false;                                          // guarded by the loader's mutex
};

void check_options(const LoaderOptions& options) {
  const auto require = [](bool good, std::string_view name, int value, int least) {
    if (!good) throw Error(ErrorCategory::kUsage, fmt::format("the loader's {} must be at least {}, not {}", name, least, value));
  };
  require(options.batch_size >= 1, "batch size", options.batch_size, 1);
  require(options.threads >= 0, "number of threads", options.threads, 0);
  require(options.batches_ahead >= 1, "number of batches ahead", options.batches_ahead, 1);
  const int crop = options.preprocessing.crop_size;
  require(crop >= 1, "crop size", crop, 1);
  const std::size_t photo = static_cast<std::size_t>(crop) * static_cast<std::size_t>(crop) * 3;
  if (photo > std::numeric_limits<std::size_t>::max() / 2 / static_cast<std::size_t>(options.batch_size)) {
    throw Error(ErrorCategory::kUsage,
                fmt::format("a batch of {} photos of {} x {} pixels does not fit into memory", options.batch_size, crop, crop));
  }
}

// A photo that changed since the scan is no longer the sample that the run is about. Samples made by hand carry neither fact.
void require_unchanged(const Sample& sample, const std::filesystem::path& path, std::size_t bytes_read) {
  if (sample.bytes == 0 && sample.mtime_ns == 0) return;
  struct stat status {};
  bool same = ::stat(path.c_str(), &status) == 0 && bytes_read == sample.bytes;
  if (same) {
    const std::int64_t mtime_ns = static_cast<std::int64_t>(status.st_mtim.tv_sec) * 1'000'000'000 + status.st_mtim.tv_nsec;
    same = std::abs(mtime_ns - sample.mtime_ns) <= kMtimeToleranceNs;
  }
  if (!same) throw Error(ErrorCategory::kData, "changed since the folder was scanned");
}

}  // namespace

struct Loader::Impl {
  Impl(std::span<const Sample> samples_in, LoaderOptions options_in)
      : samples(samples_in),
        options(std::move(options_in)),
        kept_files(samples.size(), options.augmentation ? options.kept_file_bytes : 0) {
    check_options(options);
    const auto crop = static_cast<std::size_t>(options.preprocessing.crop_size);
    photo_bytes = crop * crop * 3;
    slots = std::vector<Slot>(options.threads == 0 ? 1 : static_cast<std::size_t>(options.batches_ahead));
    try {
      for (int i = 0; i < options.threads; ++i) workers.emplace_back([this] { work(); });
    } catch (...) {  // the system gives no more threads
      join_workers();
      throw;
    }
  }
  ~Impl() { join_workers(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  std::int64_t photos() const { return static_cast<std::int64_t>(order.size()); }
  Slot& slot_of(std::int64_t batch) { return slots[static_cast<std::size_t>(batch) % slots.size()]; }
  std::int64_t first_photo(std::int64_t batch) const { return std::min(batch * options.batch_size, photos()); }

  void join_workers();
  void work();
  void work_through_epoch(Workspace& workspace);
  void prepare(std::int64_t photo, Workspace& workspace);
  void render(std::uint32_t sample, Workspace& workspace, std::span<std::uint8_t> out);
  void render_kept(std::uint32_t sample, Workspace& workspace, std::span<std::uint8_t> out);
  void read(std::uint32_t sample, Workspace& workspace) const;
  std::shared_ptr<const Image> decoded(std::uint32_t sample, Workspace& workspace) const;
  void open_slot(std::int64_t batch);
  void await(Slot& slot, std::int64_t batch);
  void note_skipped(Slot& slot);
  void stop_epoch(std::unique_lock<std::mutex>& lock);

  std::span<const Sample> samples;
  LoaderOptions options;
  KeptFiles kept_files;
  std::size_t photo_bytes = 0;

  // The epoch under way. Written by start() while no worker is active.
  std::vector<std::uint32_t> order;
  std::uint32_t epoch = 0;
  std::int64_t batches = 0;

  std::atomic<std::int64_t> next_photo{0};   // the next one to be claimed
  std::atomic<std::int64_t> open_photos{0};  // those before it have an open slot
  std::atomic<bool> cancelled{true};

  mutable std::mutex mutex;
  std::condition_variable wake;      // workers: a new epoch, or the end
  std::condition_variable opened;    // workers: another slot is open
  std::condition_variable finished;  // consumer: a batch is ready, or a worker has left the epoch
  std::uint64_t generation = 0;
  int active = 0;
  bool closing = false;
  std::map<std::uint32_t, std::string> skipped;  // by sample

  // The consumer's own.
  std::vector<Slot> slots;
  std::int64_t next_batch = 0;
  std::vector<Batch> spare;
  Workspace serial_workspace;
  double waited = 0;

  std::vector<std::thread> workers;  // last: they use all of the above
};

void Loader::Impl::join_workers() {
  {
    const std::lock_guard lock(mutex);
    cancelled = true;
    closing = true;
  }
  wake.notify_all();
  opened.notify_all();
  for (std::thread& worker : workers) worker.join();
}

void Loader::Impl::work() {
  Workspace workspace;
  std::uint64_t seen = 0;
  std::unique_lock lock(mutex);
  while (true) {
    wake.wait(lock, [&] { return closing || generation != seen; });
    if (closing) return;
    seen = generation;
    ++active;
    lock.unlock();
    work_through_epoch(workspace);
    lock.lock();
    if (--active == 0) finished.notify_all();
  }
}

void Loader::Impl::work_through_epoch(Workspace& workspace) {
  while (!cancelled.load(std::memory_order_relaxed)) {
    const std::int64_t photo = next_photo.fetch_add(1, std::memory_order_relaxed);
    if (photo >= photos()) return;
    if (photo >= open_photos.load(std::memory_order_acquire)) {
      std::unique_lock lock(mutex);
      opened.wait(lock, [&] { return cancelled.load(std::memory_order_relaxed) || photo < open_photos.load(std::memory_order_acquire); });
      if (cancelled.load(std::memory_order_relaxed)) return;
    }
    prepare(photo, workspace);
  }
}

// The photo's bytes into the workspace.
void Loader::Impl::read(std::uint32_t index, Workspace& workspace) const {
  const Sample& sample = samples[index];
  const std::filesystem::path path = options.root / sample.path;
  read_file(path, workspace.encoded, kMaxPhotoBytes);
  require_unchanged(sample, path, workspace.encoded.size());
}

// The photo from the common store, which it enters where there is room; else nullptr, and it is decoded in the workspace.
std::shared_ptr<const Image> Loader::Impl::decoded(std::uint32_t index, Workspace& workspace) const {
  const Sample& sample = samples[index];
  const std::filesystem::path path = options.root / sample.path;
  const DecodeOptions& decode = options.preprocessing.decode;
  if (std::shared_ptr<const Image> image = options.decoded->find(path, sample, decode)) return image;
  read(index, workspace);
  decode_image_into(workspace.encoded, decode, workspace.decoded);
  return options.decoded->keep(path, sample, decode, workspace.decoded);
}

void Loader::Impl::render(std::uint32_t index, Workspace& workspace, std::span<std::uint8_t> out) {
  const std::optional<Augmentation>& augmentation = options.augmentation;
  if (options.decoded && augmentation && !augmentation->fast_decode) {
    const std::shared_ptr<const Image> kept = decoded(index, workspace);
    const Image& image = kept ? *kept : workspace.decoded;
    return render_training_view(image, options.preprocessing, *augmentation, options.seed, epoch, index, workspace, out);
  }
  if (augmentation) return render_kept(index, workspace, out);
  read(index, workspace);
  render_evaluation_view(workspace.encoded, options.preprocessing, workspace, out);
}

// A training view from the file in memory, where it is or finds room.
void Loader::Impl::render_kept(std::uint32_t index, Workspace& workspace, std::span<std::uint8_t> out) {
  KeptFiles::Photo* photo = kept_files.find(index);
  if (photo == nullptr) {
    read(index, workspace);
    photo = kept_files.keep(index, workspace.encoded);
  }
  EncodedPhoto encoded{workspace.encoded};
  const auto give_back = [this](KeptFiles::Photo* taken) { kept_files.give_back_index(*taken); };
  std::unique_ptr<KeptFiles::Photo, decltype(give_back)> taken(nullptr, give_back);
  if (photo != nullptr) {
    encoded.bytes = photo->bytes;
    if (kept_files.take_index(*photo)) taken.reset(photo);
    if (taken) encoded.index = &photo->index;
  }
  render_training_view(encoded, options.preprocessing, *options.augmentation, options.seed, epoch, index, workspace, out);
}

void Loader::Impl::prepare(std::int64_t photo, Workspace& workspace) {
  Slot& slot = slot_of(photo / options.batch_size);
  const auto place = static_cast<std::size_t>(photo % options.batch_size);
  const std::uint32_t index = order[static_cast<std::size_t>(photo)];
  try {
    render(index, workspace, std::span(slot.batch.pixels).subspan(place * photo_bytes, photo_bytes));
    slot.present[place] = 1;
  } catch (const Error& error) {
    const std::lock_guard lock(mutex);
    if (error.category() == ErrorCategory::kData || error.category() == ErrorCategory::kFile) {
      slot.skipped.emplace_back(index, error.what());
    } else if (!slot.failure) {
      slot.failure = std::current_exception();
    }
  } catch (...) {
    const std::lock_guard lock(mutex);
    if (!slot.failure) slot.failure = std::current_exception();
  }
  if (slot.remaining.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  {
    const std::lock_guard lock(mutex);
    slot.ready = true;
  }
  finished.notify_all();
}

// Gives batch `batch` a slot with memory for all of its photos. Nothing happens past the end.
void Loader::Impl::open_slot(std::int64_t batch) {
  if (batch >= batches) return;
  Slot& slot = slot_of(batch);
  const auto first = static_cast<std::size_t>(first_photo(batch));
  const std::size_t count = static_cast<std::size_t>(first_photo(batch + 1)) - first;
  if (slot.batch.pixels.capacity() == 0 && !spare.empty()) {
    slot.batch = std::move(spare.back());
    spare.pop_back();
  }
  try {
    slot.batch.pixels.resize(count * photo_bytes);
    slot.present.assign(count, 0);
  } catch (...) {  // out of memory: this batch can never become ready, so nobody must wait for it
    batches = 0;
    throw;
  }
  slot.batch.requested = static_cast<int>(count);
  slot.skipped.clear();
  slot.failure = nullptr;
  slot.ready = false;
  slot.remaining.store(static_cast<int>(count), std::memory_order_relaxed);
  open_photos.store(static_cast<std::int64_t>(first + count), std::memory_order_release);
}

void Loader::Impl::stop_epoch(std::unique_lock<std::mutex>& lock) {
  cancelled = true;
  opened.notify_all();
  finished.wait(lock, [this] { return active == 0; });
}

void Loader::Impl::await(Slot& slot, std::int64_t batch) {
  const auto begin = std::chrono::steady_clock::now();
  if (workers.empty() && !slot.ready) {
    for (std::int64_t photo = first_photo(batch); photo < first_photo(batch + 1); ++photo) prepare(photo, serial_workspace);
  }
  {
    std::unique_lock lock(mutex);
    finished.wait(lock, [&] { return slot.ready; });
  }
  waited += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// A photo counts as skipped once its batch is asked for: what is prepared ahead and never used leaves no trace.
void Loader::Impl::note_skipped(Slot& slot) {
  if (slot.skipped.empty()) return;
  const std::lock_guard lock(mutex);
  for (auto& [index, reason] : slot.skipped) skipped.emplace(index, std::move(reason));
  slot.skipped.clear();
}

namespace {

// Closes the gaps that skipped photos left and fills in labels and indices.
Batch finish_batch(Slot& slot, std::span<const std::uint32_t> order, std::span<const Sample> samples, std::size_t photo_bytes) {
  Batch batch = std::move(slot.batch);
  slot.batch = {};
  batch.labels.clear();
  batch.sample_indices.clear();
  std::size_t kept = 0;
  for (std::size_t place = 0; place < order.size(); ++place) {
    if (slot.present[place] == 0) continue;
    if (kept != place) std::memcpy(batch.pixels.data() + kept * photo_bytes, batch.pixels.data() + place * photo_bytes, photo_bytes);
    batch.labels.push_back(samples[order[place]].label);
    batch.sample_indices.push_back(order[place]);
    ++kept;
  }
  batch.pixels.resize(kept * photo_bytes);
  batch.count = static_cast<int>(kept);
  return batch;
}

}  // namespace

Loader::Loader(std::span<const Sample> samples, LoaderOptions options) : impl_(std::make_unique<Impl>(samples, std::move(options))) {}

Loader::~Loader() = default;

void Loader::start(std::vector<std::uint32_t> order, std::uint32_t epoch, std::int64_t first_batch) {
  Impl& impl = *impl_;
  for (const std::uint32_t index : order) {
    if (index < impl.samples.size()) continue;
    throw Error(ErrorCategory::kUsage,
                fmt::format("cannot start an epoch: its order names photo {}, but there are {}", index, impl.samples.size()));
  }
  if (first_batch < 0) throw Error(ErrorCategory::kUsage, fmt::format("cannot start an epoch at batch {}", first_batch));
  std::unique_lock lock(impl.mutex);
  impl.stop_epoch(lock);
  impl.order = std::move(order);
  impl.epoch = epoch;
  impl.batches = (impl.photos() + impl.options.batch_size - 1) / impl.options.batch_size;
  impl.next_batch = std::min(first_batch, impl.batches);
  impl.waited = 0;
  impl.next_photo = impl.first_photo(impl.next_batch);
  impl.open_photos = impl.first_photo(impl.next_batch);
  for (std::size_t i = 0; i < impl.slots.size(); ++i) impl.open_slot(impl.next_batch + static_cast<std::int64_t>(i));
  impl.cancelled = false;
  ++impl.generation;
  impl.wake.notify_all();
}

std::optional<Batch> Loader::next() {
  Impl& impl = *impl_;
  if (impl.next_batch >= impl.batches) return std::nullopt;
  const std::int64_t number = impl.next_batch;
  Slot& slot = impl.slot_of(number);
  impl.await(slot, number);
  impl.note_skipped(slot);
  if (slot.failure) std::rethrow_exception(slot.failure);
  const auto first = static_cast<std::size_t>(impl.first_photo(number));
  const auto asked = std::span(impl.order).subspan(first, static_cast<std::size_t>(slot.batch.requested));
  Batch batch = finish_batch(slot, asked, impl.samples, impl.photo_bytes);
  ++impl.next_batch;
  {
    const std::lock_guard lock(impl.mutex);
    impl.open_slot(number + static_cast<std::int64_t>(impl.slots.size()));
  }
  impl.opened.notify_all();
  return batch;
}

void Loader::recycle(Batch batch) {
  if (impl_->spare.size() < impl_->slots.size()) impl_->spare.push_back(std::move(batch));
}

std::vector<Problem> Loader::skipped() const {
  const std::lock_guard lock(impl_->mutex);
  std::vector<Problem> problems;
  for (const auto& [index, reason] : impl_->skipped) problems.push_back({impl_->samples[index].path, reason});
  return problems;
}

double Loader::wait_seconds() const { return impl_->waited; }

std::vector<std::uint32_t> identity_order(std::size_t n) {
  std::vector<std::uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0U);
  return order;
}

}  // namespace headstart
