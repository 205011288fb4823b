// What a file's digest must be: a SHA-256 (64 hex digits), a SHA-1 (40), or the beginning of a SHA-256 (torchvision puts 8 digits into
// names).
//
// Thread-safety: plain data. Errors: Error(kUsage) for text that is no digest.
#pragma once

#include <filesystem>
#include <string>

#include "core/hash.h"

namespace headstart {

class ExpectedDigest {
 public:
  // Empty: anything is accepted.
  explicit ExpectedDigest(std::string hex);

  bool empty() const { return hex_.empty(); }
  DigestKind kind() const { return kind_; }
  const std::string& hex() const { return hex_; }
  bool accepts(const std::string& computed) const { return computed.compare(0, hex_.size(), hex_) == 0; }
  // Reads the whole file unless the digest is empty.
  bool accepts_file(const std::filesystem::path& path) const { return empty() || accepts(file_digest(path, kind_)); }

  // "SHA-256 is 12ab…, expected 34cd…"
  std::string describe_difference(const std::string& computed) const;

 private:
  std::string hex_;
  DigestKind kind_ = DigestKind::kSha256;
};

}  // namespace headstart
