// Digests: SHA-256 and SHA-1 of streams (OpenSSL) and a fast 64-bit content hash (xxHash's XXH3), as lower-case hex.
//
// Thread-safety: a Digest belongs to one thread; free functions may run at the same time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace headstart {

enum class DigestKind { kSha256, kSha1 };

class Digest {
 public:
  explicit Digest(DigestKind kind);
  ~Digest();
  void update(std::span<const std::byte> bytes);
  std::string hex();  // ends the digest

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Of a whole file, in constant memory.
std::string file_digest(const std::filesystem::path& path, DigestKind kind);

std::uint64_t fast_hash(std::span<const std::byte> bytes, std::uint64_t seed = 0);
std::uint64_t fast_hash(std::string_view text, std::uint64_t seed = 0);

}  // namespace headstart
