// What the tests of this layer share.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/hash.h"
#include "fetch/transfer.h"
#include "headstart/error.h"
#include "http_server.h"
#include "support/errors.h"
#include "support/temp_dir.h"

namespace headstart::test {

inline std::string digest_of(const std::string& text, DigestKind kind = DigestKind::kSha256) {
  Digest digest(kind);
  digest.update(std::as_bytes(std::span(text.data(), text.size())));
  return digest.hex();
}

// Not compressible, not periodic: a half in the wrong place shows.
inline std::string sample_bytes(std::size_t size) {
  std::string bytes(size, '\0');
  std::uint32_t state = 12345;
  for (char& byte : bytes) {
    state = state * 1664525U + 1013904223U;
    byte = static_cast<char>(state >> 24);
  }
  return bytes;
}

inline std::string error_of(const std::function<void()>& action) { return error_of(action, ErrorCategory::kNetwork); }

// The names in a folder, sorted.
inline std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}
using Names = std::vector<std::string>;

// Environment variables as they were, at the end of a test that changes them.
class RestoredEnvironment {
 public:
  explicit RestoredEnvironment(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      const char* value = std::getenv(name.c_str());
      saved_.emplace_back(name, value != nullptr ? std::optional<std::string>(value) : std::nullopt);
    }
  }
  ~RestoredEnvironment() {
    for (const auto& [name, value] : saved_) value ? ::setenv(name.c_str(), value->c_str(), 1) : ::unsetenv(name.c_str());
  }
  RestoredEnvironment(const RestoredEnvironment&) = delete;
  RestoredEnvironment& operator=(const RestoredEnvironment&) = delete;

 private:
  std::vector<std::pair<std::string, std::optional<std::string>>> saved_;
};

// Impatient limits: a test that fails must not hang.
inline TransferLimits quick() {
  TransferLimits limits;
  limits.connect_timeout = std::chrono::seconds(5);
  limits.stall_time = std::chrono::seconds(1);
  limits.first_pause = std::chrono::milliseconds(1);
  return limits;
}

}  // namespace headstart::test
