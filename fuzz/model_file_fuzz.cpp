// read_model_file, read_model_info and read_weights over an arbitrary file: an answer or an Error, and the two readers agree.
// Seeds: tests/golden/weights, tests/corpus/weights.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "headstart/classifier.h"
#include "headstart/error.h"
#include "weights/model_file.h"

namespace {

template <typename Read>
bool succeeds(const Read& read) {
  try {
    read();
    return true;
  } catch (const headstart::Error&) {
    return false;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // A file in memory: the readers take paths, and a disk would slow them down.
  static const int descriptor = memfd_create("model", MFD_CLOEXEC);
  static const std::filesystem::path path = "/proc/self/fd/" + std::to_string(descriptor);
  if (ftruncate(descriptor, static_cast<off_t>(size)) != 0 || pwrite(descriptor, data, size, 0) != static_cast<ssize_t>(size)) std::abort();
  const bool whole = succeeds([] { headstart::read_model_file(path); });
  const bool header = succeeds([] { headstart::read_model_info(path); });
  if (whole != header) std::abort();
  succeeds([] { headstart::read_weights(path); });
  return 0;
}
