#include "fetch/transfer.h"

#include <fmt/format.h>

#include <thread>

#include "fetch/attempt.h"
#include "fetch/file_lock.h"
#include "fetch/part_file.h"
#include "headstart/error.h"

namespace headstart {
namespace {

constexpr std::uint64_t kRealProgress = 1 << 20;  // bytes; an attempt that brought so many was worth its while

void pause(std::chrono::milliseconds length, const FetchOptions& options) {
  constexpr std::chrono::milliseconds kSlice{50};
  for (auto waited = kSlice; waited <= length; waited += kSlice) {
    if (options.should_stop && options.should_stop())
      throw Error(ErrorCategory::kInterrupted, "stopped the download; run it again and it goes on where it stopped");
    std::this_thread::sleep_for(kSlice);
  }
}

// Whether the part file may be gone on with. Without a validator only the digest can tell whether two halves fit together.
bool can_resume(const PartFile& part, const std::string& url, const ExpectedDigest& digest) {
  const bool same_source = part.size() > 0 && part.source().url == url && url.compare(0, 4, "http") == 0;
  return same_source && (!part.source().validator.empty() || !digest.empty());
}

// Attempts until the part file is complete.
void fill(const std::string& url, PartFile& part, bool resume, const ExpectedDigest& digest, const FetchOptions& options,
          const TransferLimits& limits) {
  std::chrono::milliseconds length = limits.first_pause;
  for (int attempts_left = limits.attempts - 1;; --attempts_left) {
    const std::uint64_t before = part.size();
    const AttemptResult result = attempt_transfer(url, part, resume, options, limits);
    if (result.complete) return;
    if (part.size() >= before + kRealProgress) {
      attempts_left = limits.attempts;
      length = limits.first_pause;
    }
    if (attempts_left <= 0) {
      throw Error(ErrorCategory::kNetwork,
                  fmt::format("cannot download {}: {} ({} attempts); {} bytes are kept, run it again and it goes on", url, result.failure,
                              limits.attempts, part.size()));
    }
    resume = can_resume(part, url, digest);
    pause(length, options);
    length *= 2;
  }
}

}  // namespace

bool is_url(const std::string& text) { return text.find("://") != std::string::npos; }

void transfer(const std::string& url, const std::filesystem::path& target, const ExpectedDigest& digest, const FetchOptions& options,
              const TransferLimits& limits) {
  std::filesystem::path lock_path = target;
  lock_path += ".lock";
  const FileLock lock(lock_path, options.should_stop);
  // Another process may have brought it while this one waited.
  if (!digest.empty() && std::filesystem::exists(target) && digest.accepts_file(target)) return;
  PartFile part(target);
  const bool resumed = can_resume(part, url, digest);
  fill(url, part, resumed, digest, options, limits);
  if (digest.empty()) return part.finish();
  std::string computed = file_digest(part.path(), digest.kind());
  if (!digest.accepts(computed) && resumed) {  // the old half may be of another version of the file
    fill(url, part, false, digest, options, limits);
    computed = file_digest(part.path(), digest.kind());
  }
  if (digest.accepts(computed)) return part.finish();
  part.discard();
  throw Error(ErrorCategory::kNetwork,
              fmt::format("the file from {} is not the right one: {}; nothing was kept. Fetch it again, or from another place", url,
                          digest.describe_difference(computed)));
}

void download(const std::string& url, const std::filesystem::path& target, const std::string& digest, const FetchOptions& options) {
  transfer(url, target, ExpectedDigest(digest), options);
}

}  // namespace headstart
