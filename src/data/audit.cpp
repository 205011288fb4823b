#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <iterator>
#include <mutex>
#include <optional>
#include <tuple>

#include "core/file.h"
#include "core/hash.h"
#include "core/thread_pool.h"
#include "data/duplicates.h"
#include "data/layout.h"
#include "data/loader.h"
#include "data/walk.h"
#include "headstart/dataset.h"
#include "headstart/error.h"
#include "headstart/text.h"
#include "image/decode.h"

namespace headstart {
namespace {

constexpr double kImbalanceLimit = 10;
constexpr std::int64_t kFewPhotos = 10;            // of a class, train and validation together
constexpr int kTinySide = 32;                      // pixels
constexpr std::int64_t kLargePixels = 50'000'000;  // half a second of decoding
constexpr std::size_t kMostOfAKind = 20;           // photos named by one kind of advice
constexpr auto kPollInterval = std::chrono::milliseconds(50);

struct PhotoRef {
  const Sample* sample = nullptr;
  Split split = Split::kTrain;
};

// One kind of advice about single photos: the first by path are named, the rest counted.
struct Advice {
  std::map<std::string, std::string> named;
  std::int64_t more = 0;
  void add(const std::string& path, std::string reason) {
    named.emplace(path, std::move(reason));
    if (named.size() <= kMostOfAKind) return;
    named.erase(std::prev(named.end()));
    ++more;
  }
};

class Auditor {
 public:
  Auditor(const Catalog& catalog, const AuditOptions& options) : catalog_(catalog), options_(options) {
    for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest}) {
      for (const Sample& sample : catalog.samples(split)) photos_.push_back({&sample, split});
    }
    prints_.resize(photos_.size());
  }

  AuditReport run() {
    examine_all();
    report_.problems = catalog_.problems;
    count_classes();
    measure_sizes();
    find_duplicates();
    for (const Advice* advice : {&wrong_extension_, &tiny_, &large_}) name_some(*advice);
    std::sort(report_.unreadable.begin(), report_.unreadable.end(), [](const Problem& a, const Problem& b) { return a.path < b.path; });
    return std::move(report_);
  }

 private:
  std::filesystem::path path_of(std::uint32_t i) const { return catalog_.root / photos_[i].sample->path; }
  void advise(std::string path, std::string reason) { report_.problems.push_back({std::move(path), std::move(reason)}); }
  void poll() const {
    if (options_.should_stop && options_.should_stop())
      throw Error(ErrorCategory::kInterrupted, "the inspection of the photos was stopped");
  }

  void examine_all();
  void examine(std::uint32_t i, std::vector<std::byte>& encoded, Image& image);
  void record(std::uint32_t i, const ImageInfo& info, ImageSize shown);
  void count_classes();
  void advise_on_balance(const ClassCount& largest, const ClassCount& smallest);
  void measure_sizes();
  void find_duplicates();
  void add_duplicates(const Groups& groups, bool exact);
  void name_some(const Advice& advice);

  const Catalog& catalog_;
  const AuditOptions& options_;
  std::vector<PhotoRef> photos_;
  std::vector<PhotoPrint> prints_;
  AuditReport report_;
  std::mutex mutex_;  // guards the report and the advice while photos are examined
  Advice wrong_extension_, tiny_, large_;
};

// Workers claim photos; the caller's thread reports progress and looks for a wish to stop.
void Auditor::examine_all() {
  std::atomic<std::uint32_t> next{0};
  std::atomic<std::int64_t> done{0};
  std::atomic<bool> stop{false};
  const auto total = static_cast<std::int64_t>(photos_.size());
  const auto work = [&] {
    std::vector<std::byte> encoded;
    Image image;
    for (std::uint32_t i = next++; i < photos_.size() && !stop; i = next++) {
      examine(i, encoded, image);
      ++done;
    }
  };
  ThreadPool pool(static_cast<int>(std::min<std::int64_t>(resolve_threads(options_.threads), std::max<std::int64_t>(total, 1))));
  struct StopOnExit {  // before the pool waits for its tasks, however this function ends
    std::atomic<bool>& flag;
    ~StopOnExit() { flag = true; }
  } const stop_on_exit{stop};
  std::vector<std::future<void>> tasks;
  for (int i = 0; i < pool.size(); ++i) tasks.push_back(pool.submit(work));
  for (std::future<void>& task : tasks) {
    while (task.wait_for(kPollInterval) != std::future_status::ready) {
      poll();
      if (options_.on_progress) options_.on_progress(done, total);
    }
    task.get();
  }
  poll();
  if (options_.on_progress) options_.on_progress(total, total);
}

void Auditor::examine(std::uint32_t i, std::vector<std::byte>& encoded, Image& image) {
  PhotoPrint& print = prints_[i];
  try {
    read_file(path_of(i), encoded, kMaxPhotoBytes);
    print.bytes = encoded.size();
    print.content = fast_hash(std::span<const std::byte>(encoded));
    decode_image_into(encoded, options_.decode, image);
    print.look = look_of(image);
    print.size = image.size;
    print.readable = true;
    const ImageInfo info = probe_image(encoded);
    const std::lock_guard lock(mutex_);
    record(i, info, image.size);
  } catch (const Error& error) {
    if (error.category() != ErrorCategory::kData && error.category() != ErrorCategory::kFile) throw;
    print.readable = false;
    const std::lock_guard lock(mutex_);
    report_.unreadable.push_back({photos_[i].sample->path, error.what()});
  }
}

void Auditor::record(std::uint32_t i, const ImageInfo& info, ImageSize shown) {
  const std::string& path = photos_[i].sample->path;
  ++report_.formats[std::string(to_string(info.format))];
  ++report_.modes[info.mode];
  if (info.orientation != 1) ++report_.rotated_by_exif;
  const ImageFormat named = format_of_extension(path);
  if (named != info.format) {
    wrong_extension_.add(path,
                         fmt::format("its name says {}, its content is {}: read by its content", to_string(named), to_string(info.format)));
  }
  if (std::min(shown.height, shown.width) < kTinySide) {
    tiny_.add(path, fmt::format("only {} x {} pixels: too few to show much", shown.width, shown.height));
  }
  const std::int64_t pixels = std::int64_t{shown.height} * shown.width;
  if (pixels > kLargePixels) {
    large_.add(path, fmt::format("{:.0f} megapixels: slows training down; a scaled-down copy would do", static_cast<double>(pixels) / 1e6));
  }
}

void Auditor::count_classes() {
  for (const std::string& name : catalog_.classes) report_.classes.push_back({name});
  for (const PhotoRef& photo : photos_) {
    ++report_.classes[static_cast<std::size_t>(photo.sample->label)].photos[static_cast<std::size_t>(photo.split)];
  }
  const ClassCount* largest = nullptr;
  const ClassCount* smallest = nullptr;
  for (const ClassCount& count : report_.classes) {
    if (count.photos[0] == 0) continue;
    if (largest == nullptr || count.photos[0] > largest->photos[0]) largest = &count;
    if (smallest == nullptr || count.photos[0] < smallest->photos[0]) smallest = &count;
    const std::int64_t photos = count.photos[0] + count.photos[1];
    if (photos < kFewPhotos) {
      advise(count.name, fmt::format("a class of {}: {} or more are advisable", count_of(photos, "photo"), kFewPhotos));
    }
  }
  if (largest == nullptr) return;
  report_.imbalance = static_cast<double>(largest->photos[0]) / static_cast<double>(smallest->photos[0]);
  if (report_.imbalance > kImbalanceLimit) advise_on_balance(*largest, *smallest);
}

void Auditor::advise_on_balance(const ClassCount& largest, const ClassCount& smallest) {
  advise(smallest.name,
         fmt::format("{}, while {} has {} ({:.0f} to 1): use class weights or the balanced sampler, or add photos",
                     count_of(smallest.photos[0], "training photo"), in_quotes(largest.name), largest.photos[0], report_.imbalance));
}

void Auditor::measure_sizes() {
  std::vector<ImageSize> sizes;
  for (const PhotoPrint& print : prints_) {
    if (print.readable) sizes.push_back(print.size);
  }
  if (sizes.empty()) return;
  std::sort(sizes.begin(), sizes.end(), [](ImageSize a, ImageSize b) {
    return std::tuple(std::int64_t{a.height} * a.width, a.height) < std::tuple(std::int64_t{b.height} * b.width, b.height);
  });
  report_.smallest = sizes.front();
  report_.median = sizes[(sizes.size() - 1) / 2];
  report_.largest = sizes.back();
}

void Auditor::find_duplicates() {
  std::vector<std::byte> first, second;
  std::optional<std::uint32_t> loaded;  // whose bytes `first` holds
  const auto same_content = [&](std::uint32_t a, std::uint32_t b) {
    poll();
    try {
      if (loaded != a) {
        loaded.reset();
        read_file(path_of(a), first, kMaxPhotoBytes);
        loaded = a;
      }
      read_file(path_of(b), second, kMaxPhotoBytes);
    } catch (const Error&) {  // gone since it was examined: no copy of anything any more
      return false;
    }
    return first == second;
  };
  const Groups exact = exact_groups(prints_, same_content);
  const Groups near = near_groups(prints_, exact);
  add_duplicates(exact, true);
  add_duplicates(near, false);
}

void Auditor::add_duplicates(const Groups& groups, bool exact) {
  std::int64_t across_splits = 0, across_classes = 0;
  for (const auto& members : groups) {
    DuplicateGroup group;
    group.exact = exact;
    const PhotoRef& first = photos_[members.front()];
    for (const std::uint32_t member : members) {
      group.across_splits |= photos_[member].split != first.split;
      group.across_classes |= photos_[member].sample->label != first.sample->label;
      group.paths.push_back(photos_[member].sample->path);
    }
    across_splits += group.across_splits ? 1 : 0;
    across_classes += group.across_classes ? 1 : 0;
    report_.duplicates.push_back(std::move(group));
  }
  const std::string_view kind = exact ? "equal photos" : "photos that look the same";
  if (across_splits > 0) {
    advise(".", fmt::format("{} of {} lie in more than one split: the measured accuracy is flattered; keep one of each",
                            count_of(across_splits, "group"), kind));
  }
  if (across_classes > 0) {
    advise(".", fmt::format("{} of {} lie in more than one class: at most one of the labels can be right",
                            count_of(across_classes, "group"), kind));
  }
}

void Auditor::name_some(const Advice& advice) {
  for (const auto& [path, reason] : advice.named) advise(path, reason);
  if (advice.more > 0) advise(".", fmt::format("{} more like {}", count_of(advice.more, "photo"), report_.problems.back().path));
}

}  // namespace

AuditReport audit(const Catalog& catalog, const AuditOptions& options) { return Auditor(catalog, options).run(); }

}  // namespace headstart
