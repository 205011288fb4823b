// unpack_archive over an arbitrary file: a folder within the limits or an Error, and nothing but files and folders in it. Seeds:
// tests/corpus/archive.
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "fetch/unpack.h"
#include "headstart/error.h"

namespace {

// A folder for the whole run: in memory where there is such a place, as a disk would slow the fuzzer down.
struct Home {
  std::filesystem::path path;
  Home() {
    const std::filesystem::path memory = "/dev/shm";
    std::string pattern = (std::filesystem::exists(memory) ? memory : std::filesystem::temp_directory_path()) / "headstart-fuzz-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) std::abort();
    path = pattern;
  }
  ~Home() { std::filesystem::remove_all(path); }
};

// What an archive may make of a folder, whatever is in it.
void check_folder(const std::filesystem::path& folder, const headstart::ArchiveLimits& limits) {
  if (!std::filesystem::exists(folder)) return;
  std::int64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_symlink() || !(entry.is_directory() || entry.is_regular_file())) std::abort();
    if (entry.is_regular_file()) bytes += static_cast<std::int64_t>(entry.file_size());
  }
  if (bytes > limits.bytes) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const int descriptor = memfd_create("archive", MFD_CLOEXEC);
  static const std::filesystem::path archive = "/proc/self/fd/" + std::to_string(descriptor);
  static const Home home;
  if (ftruncate(descriptor, static_cast<off_t>(size)) != 0 || pwrite(descriptor, data, size, 0) != static_cast<ssize_t>(size)) std::abort();
  headstart::ArchiveOptions options;
  options.limits.bytes = 1 << 20;
  options.limits.members = 1000;
  try {
    headstart::unpack_archive(archive, home.path / "out", options);
  } catch (const headstart::Error&) {
  }
  check_folder(home.path / "out", options.limits);
  std::filesystem::remove_all(home.path / "out");
  if (!std::filesystem::is_empty(home.path)) std::abort();  // something landed beside it
  return 0;
}
