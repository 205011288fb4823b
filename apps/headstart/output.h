// Where results go: standard output, or a file that is there whole or not at all.
//
// Thread-safety: one thread. Errors: Error(kFile) naming the target and the system's reason; OutputClosed when the reader of a pipe left.
#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>

namespace headstart::cli {

// The reader of our standard output has gone (`headstart predict … | head`): the program then ends as SIGPIPE would have ended it.
class OutputClosed : public std::runtime_error {
 public:
  OutputClosed() : std::runtime_error("the reader of standard output has gone") {}
};

class Output {
 public:
  // Empty: standard output. A regular file is written beside its place and renamed by finish(); a pipe or a device is written directly.
  explicit Output(std::filesystem::path file = {});
  ~Output();  // without finish(): the file's old content stays
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  // Written at once, so that a reader sees each answer when it is there.
  void write(std::string_view text);
  void finish();
  int descriptor() const { return descriptor_; }

 private:
  [[noreturn]] void fail(const char* operation) const;
  std::filesystem::path file_, temporary_;
  int descriptor_;
};

// A file in one go: there whole or not at all.
void write_file(const std::filesystem::path& file, std::string_view contents);

}  // namespace headstart::cli
