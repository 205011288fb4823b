// Archives of photos (zip, tar.gz, tar): fetched, verified, unpacked once and whole.
//
// Thread-safety: free functions may run at the same time, also in several processes: calls for one folder wait for each other. Errors:
// kNetwork (download, or a wrong hash), kData (no archive, a damaged one, or one with members that are refused), kFile (the folder),
// kUsage (a name or hash that cannot be meant), kInterrupted.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace headstart {

struct SourceArchive {
  std::string name;    // of the folder that it becomes: "hotdog"
  std::string origin;  // for people
  std::string from;    // published address; or a file
  std::string digest;  // of the archive: 64 hex digits of a SHA-256, or 40 of a SHA-1; empty: not verified
};

// The archives that are known by name: "hotdog".
const std::vector<SourceArchive>& source_archives();

// Any other archive, named after the last part of its URL or path without its suffixes. Throws Error(kUsage) when there is no such part.
SourceArchive archive_at(const std::string& url_or_file, const std::string& digest = "");

// What an archive may ask for; one that wants more is refused. Folders count as members.
struct ArchiveLimits {
  std::int64_t bytes = 1'000'000'000'000;  // of all members together, unpacked
  std::int64_t members = 4'000'000;
  std::int64_t ratio = 100;  // unpacked bytes for each byte of the archive; looked at from 64 MiB on. Photos hardly shrink
  int path_bytes = 1024;     // of a member's path; each of its parts at most 255
  int depth = 32;            // parts of a path
};

struct ArchiveOptions {
  std::string from;          // local file or URL of a mirror; empty: the archive's own place
  std::filesystem::path to;  // the folder that it becomes; empty: data/NAME
  ArchiveLimits limits;
  std::function<void(std::int64_t done_bytes, std::int64_t total_bytes)> on_download;  // total 0: unknown
  std::function<void(std::int64_t done_bytes, std::int64_t total_bytes)> on_unpack;    // bytes of the archive
  std::function<bool()> should_stop;                                                   // polled; true ends with Error(kInterrupted)
};

struct FetchedArchive {
  std::filesystem::path folder;
  bool was_there = false;  // nothing was done
  bool verified = false;   // against the archive's digest
  std::string sha256;      // of the archive, 64 hex digits
  std::string sha1;        // 40
  std::int64_t files = 0;
  std::int64_t bytes = 0;  // of the files, unpacked
};

// Brings the archive into its folder. An interrupted download goes on where it stopped; the folder is there whole or not at all, with a
// file `.headstart-archive` that holds the digests, so that a second call finds it and does nothing. A folder of the archive's own name
// that holds everything is not doubled; macOS's `__MACOSX` is left out. Throws Error(kNetwork) naming both digests when they differ,
// Error(kData) naming the member for paths that lead out of the folder, links, devices, encrypted or damaged members, members that are
// there twice, and archives beyond the limits, and Error(kFile) for a folder that holds something else. Nothing is left then but what a
// later call goes on from.
FetchedArchive fetch_archive(const SourceArchive& archive, const ArchiveOptions& options = {});

}  // namespace headstart
