// `.headstart-archive`: the note in an unpacked folder that says which archive it is.
//
// Thread-safety: free functions on different folders may run at the same time. Errors: Error(kFile).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace headstart {

struct ArchiveMarker {
  std::string from;  // address or path
  std::string sha256, sha1;
  std::int64_t files = 0;
  std::int64_t bytes = 0;
};

void write_marker(const std::filesystem::path& folder, const ArchiveMarker& marker);

// Nothing for a folder that is not there or holds no marker of ours.
std::optional<ArchiveMarker> read_marker(const std::filesystem::path& folder);

}  // namespace headstart
