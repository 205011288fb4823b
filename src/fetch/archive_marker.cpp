#include "fetch/archive_marker.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <sstream>

#include "core/file.h"

namespace headstart {
namespace {

constexpr const char* kFileName = ".headstart-archive";
constexpr std::string_view kFirstLine = "headstart archive 1";
constexpr std::uintmax_t kMaxBytes = 65536;

// A path may hold line ends; an address may not.
std::string on_one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return std::iscntrl(c) != 0; }, '?');
  return text;
}

std::int64_t number(const std::string& text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

void write_marker(const std::filesystem::path& folder, const ArchiveMarker& marker) {
  write_file_atomically(folder / kFileName, fmt::format("{}\nfrom {}\nsha256 {}\nsha1 {}\nfiles {}\nbytes {}\n", kFirstLine,
                                                        on_one_line(marker.from), marker.sha256, marker.sha1, marker.files, marker.bytes));
}

std::optional<ArchiveMarker> read_marker(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / kFileName;
  std::error_code error;
  if (!std::filesystem::is_regular_file(file, error) || std::filesystem::file_size(file, error) > kMaxBytes || error) return {};
  std::istringstream lines(read_text_file(file));
  std::string line;
  if (!std::getline(lines, line) || line != kFirstLine) return {};
  ArchiveMarker marker;
  while (std::getline(lines, line)) {
    const std::size_t space = line.find(' ');
    const std::string key = line.substr(0, space);
    const std::string value = space == std::string::npos ? "" : line.substr(space + 1);
    if (key == "from") marker.from = value;
    if (key == "sha256") marker.sha256 = value;
    if (key == "sha1") marker.sha1 = value;
    if (key == "files") marker.files = number(value);
    if (key == "bytes") marker.bytes = number(value);
  }
  return marker;
}

}  // namespace headstart
