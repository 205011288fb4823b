// An archive into its folder: what is there already, the download, the check, and the folder's name as the last step.
#include <fmt/format.h>
#include <stdio.h>

#include <cerrno>
#include <optional>
#include <system_error>
#include <vector>

#include "core/file.h"
#include "core/hash.h"
#include "fetch/archive_marker.h"
#include "fetch/expected_digest.h"
#include "fetch/file_lock.h"
#include "fetch/scratch.h"
#include "fetch/transfer.h"
#include "fetch/unpack.h"
#include "headstart/archive.h"
#include "headstart/error.h"

namespace headstart {
namespace {

struct Digests {
  std::string sha256, sha1;
};

// One of these: both are published for archives, and the marker keeps both.
const std::string& of_kind(const Digests& digests, DigestKind kind) { return kind == DigestKind::kSha1 ? digests.sha1 : digests.sha256; }

Digests digests_of(const std::filesystem::path& file) {
  return {file_digest(file, DigestKind::kSha256), file_digest(file, DigestKind::kSha1)};
}

// Of this run, or of one that was killed.
void remove_leftover(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) throw Error(ErrorCategory::kFile, fmt::format("cannot remove {}: {}; remove it yourself", path.string(), error.message()));
}

// The folders above the target that were not there are taken away again where nothing came of it.
class FoldersAbove {
 public:
  explicit FoldersAbove(const std::filesystem::path& target) {
    for (std::filesystem::path folder = target.parent_path(); !folder.empty() && !std::filesystem::exists(folder);
         folder = folder.parent_path()) {
      made_.push_back(folder);
    }
    std::error_code error;
    std::filesystem::create_directories(target.parent_path(), error);
    if (error) {
      throw Error(ErrorCategory::kFile, fmt::format("cannot make the folder {}: {}; choose another one with --to",
                                                    target.parent_path().string(), error.message()));
    }
  }
  ~FoldersAbove() {
    std::error_code ignored;
    for (const std::filesystem::path& folder : made_) std::filesystem::remove(folder, ignored);  // one that holds something stays
  }
  FoldersAbove(const FoldersAbove&) = delete;
  FoldersAbove& operator=(const FoldersAbove&) = delete;

 private:
  std::vector<std::filesystem::path> made_;  // the deepest first
};

class ArchiveFetch {
 public:
  ArchiveFetch(const SourceArchive& archive, const ArchiveOptions& options, const TransferLimits& limits)
      : archive_(archive), options_(options), limits_(limits), expected_(archive.digest) {
    from_ = options.from.empty() ? archive.from : options.from;
    result_.folder = options.to.empty() ? std::filesystem::path("data") / archive.name : options.to;
    result_.verified = !expected_.empty();
    // Absolute and without "." or a slash at the end, so that the last part is the folder's name.
    target_ = std::filesystem::absolute(result_.folder).lexically_normal();
    if (target_.filename().empty()) target_ = target_.parent_path();
  }

  FetchedArchive run() {
    if (!is_url(from_) && expected_.empty()) {
      digests_ = digests_of(from_);
      expected_ = ExpectedDigest(digests_->sha256);
    }
    if (is_there()) return result_;
    const FoldersAbove folders(target_);
    const FileLock lock(beside(".lock"), options_.should_stop);
    if (is_there()) return result_;  // another process brought it while this one waited
    is_url(from_) ? take_url() : take_file(from_);
    return result_;
  }

 private:
  // ".hotdog.lock" beside "hotdog".
  std::filesystem::path beside(const std::string& suffix) const {
    return target_.parent_path() / ("." + target_.filename().string() + suffix);
  }

  // Throws for a folder that holds something else.
  bool is_there() {
    std::error_code error;
    const auto status = std::filesystem::status(target_, error);
    if (!std::filesystem::exists(status)) return false;
    const std::string where = result_.folder.string();
    if (!std::filesystem::is_directory(status))
      throw Error(ErrorCategory::kFile, fmt::format("{} is no folder; choose another one with --to", where));
    const std::optional<ArchiveMarker> marker = read_marker(target_);
    if (!marker) {
      if (std::filesystem::is_empty(target_)) return false;
      throw Error(ErrorCategory::kFile, fmt::format("{} holds other files already; remove it, or choose another folder with --to", where));
    }
    const Digests digests{marker->sha256, marker->sha1};
    if (expected_.empty() ? marker->from != from_ : !expected_.accepts(of_kind(digests, expected_.kind()))) {
      throw Error(ErrorCategory::kFile, fmt::format("{} holds another archive already, from {} with the SHA-256 {}; remove it, or choose "
                                                    "another folder with --to",
                                                    where, marker->from, marker->sha256));
    }
    result_.was_there = true;
    keep(*marker);
    return true;
  }

  void keep(const ArchiveMarker& marker) {
    result_.sha256 = marker.sha256;
    result_.sha1 = marker.sha1;
    result_.files = marker.files;
    result_.bytes = marker.bytes;
  }

  void take_url() {
    const std::filesystem::path file = beside(".download");
    const FetchOptions options{.from = "", .cache_folder = "", .on_progress = options_.on_download, .should_stop = options_.should_stop};
    try {
      transfer(from_, file, expected_, options, limits_);
      take_file(file);
    } catch (const Error& error) {
      // A verified download is good for another try where only time or space was missing.
      const bool again = error.category() == ErrorCategory::kInterrupted || error.category() == ErrorCategory::kFile;
      if (!again || expected_.empty()) remove_leftover(file);
      // The file that the message names is gone by then: say where it came from.
      if (error.category() == ErrorCategory::kData)
        throw Error(ErrorCategory::kData, fmt::format("the archive from {}: {}", from_, error.what()));
      if (error.category() != ErrorCategory::kNetwork || archive_.origin.empty()) throw;
      throw Error(ErrorCategory::kNetwork, fmt::format("cannot fetch {}: {}\n{}", archive_.name, error.what(), advice()));
    }
    remove_leftover(file);
  }

  // What a person without a connection can do.
  std::string advice() const {
    return fmt::format(
        "Ways to get it:\n"
        "  1. with a connection:  headstart fetch {0}\n"
        "  2. from a file that you brought, or a mirror:  headstart fetch {0} --from FILE|URL\n"
        "     (on a machine with a connection, get the file {1})",
        archive_.name, archive_.from);
  }

  void take_file(const std::filesystem::path& file) {
    const Digests digests = digests_ ? *digests_ : digests_of(file);
    const std::string& computed = of_kind(digests, expected_.kind());
    if (!expected_.accepts(computed)) {
      throw Error(ErrorCategory::kNetwork,
                  fmt::format("{} is not the right archive: {}; nothing was unpacked. Get it again, or check the hash", file.string(),
                              expected_.describe_difference(computed)));
    }
    const std::filesystem::path staging = beside(".unpacking");
    remove_leftover(staging);
    const RemovedAtEnd cleanup(staging);
    const Unpacked unpacked = unpack_archive(file, staging, options_);
    if (unpacked.files == 0) throw Error(ErrorCategory::kData, fmt::format("cannot unpack {}: it holds no files", file.string()));
    const ArchiveMarker marker{.from = is_url(from_) ? from_ : std::filesystem::absolute(from_).string(),
                               .sha256 = digests.sha256,
                               .sha1 = digests.sha1,
                               .files = unpacked.files,
                               .bytes = unpacked.bytes};
    publish(contents(staging), marker);
    keep(marker);
  }

  // The unpacked folder itself, or the only folder in it when that has the name already.
  std::filesystem::path contents(const std::filesystem::path& staging) const {
    std::filesystem::path only;
    for (const auto& entry : std::filesystem::directory_iterator(staging)) {
      if (!only.empty() || !entry.is_directory()) return staging;
      only = entry.path();
    }
    return only.filename() == archive_.name || only.filename() == target_.filename() ? only : staging;
  }

  // Everything is on the disk before the folder has its name.
  void publish(const std::filesystem::path& unpacked, const ArchiveMarker& marker) const {
    write_marker(unpacked, marker);
    sync_everything_in(unpacked);
    if (::rename(unpacked.c_str(), target_.c_str()) != 0) {
      throw Error(ErrorCategory::kFile, fmt::format("cannot put the unpacked archive at {}: {}; choose another folder with --to",
                                                    result_.folder.string(), std::generic_category().message(errno)));
    }
    sync_folder(target_.parent_path());
  }

  const SourceArchive& archive_;
  const ArchiveOptions& options_;
  const TransferLimits& limits_;
  ExpectedDigest expected_;         // of a local file that has none to be checked with: its own
  std::optional<Digests> digests_;  // of a local file, when they are known before it is unpacked
  std::string from_;
  std::filesystem::path target_;
  FetchedArchive result_;
};

}  // namespace

FetchedArchive fetch_archive(const SourceArchive& archive, const ArchiveOptions& options, const TransferLimits& limits) {
  return ArchiveFetch(archive, options, limits).run();
}

FetchedArchive fetch_archive(const SourceArchive& archive, const ArchiveOptions& options) {
  return fetch_archive(archive, options, TransferLimits{});
}

}  // namespace headstart
