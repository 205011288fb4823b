// The archives that are known by name, and names for all others.
//
// Source: DATA_HUB of Dive into Deep Learning's own library (d2l), which gives address and SHA-1.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "fetch/expected_digest.h"
#include "fetch/transfer.h"
#include "headstart/archive.h"
#include "headstart/error.h"

namespace headstart {
namespace {

constexpr std::array<std::string_view, 4> kSuffixes = {".tar.gz", ".tgz", ".tar", ".zip"};

}  // namespace

const std::vector<SourceArchive>& source_archives() {
  static const std::vector<SourceArchive> table = {
      {.name = "hotdog",
       .origin = "Dive into Deep Learning, 2,000 photos to train and 800 to test",
       .from = "http://d2l-data.s3-accelerate.amazonaws.com/hotdog.zip",
       .digest = "fba480ffa8aa7e0febbb511d181409f899b9baa5"},
  };
  return table;
}

SourceArchive archive_at(const std::string& url_or_file, const std::string& digest) {
  const std::string path = is_url(url_or_file) ? url_or_file.substr(0, url_or_file.find_first_of("?#")) : url_or_file;
  // Of an address without a path, the last part is the server.
  const std::size_t start = is_url(path) ? std::min(path.find('/', path.find("://") + 3), path.size()) : 0;
  std::string name = path.substr(std::max(start, path.rfind('/') + 1));
  for (const std::string_view suffix : kSuffixes) {
    if (name.size() <= suffix.size() || !std::equal(suffix.rbegin(), suffix.rend(), name.rbegin())) continue;
    name.resize(name.size() - suffix.size());
    break;
  }
  if (name.empty() || name == "." || name == ".." || name == "/")
    throw Error(ErrorCategory::kUsage, fmt::format("{} does not end with the name of an archive", url_or_file));
  return {.name = name, .origin = "", .from = url_or_file, .digest = ExpectedDigest(digest).hex()};
}

}  // namespace headstart
