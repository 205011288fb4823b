#include "core/hash.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <xxhash.h>

#include <array>
#include <fstream>
#include <vector>

#include "headstart/error.h"

namespace headstart {

struct Digest::Impl {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() { EVP_MD_CTX_free(context); }
};

Digest::Digest(DigestKind kind) : impl_(std::make_unique<Impl>()) {
  const EVP_MD* algorithm = kind == DigestKind::kSha256 ? EVP_sha256() : EVP_sha1();
  if (impl_->context == nullptr || EVP_DigestInit_ex(impl_->context, algorithm, nullptr) != 1) {
    throw Error(ErrorCategory::kInternal, "cannot start a digest: OpenSSL refused the algorithm");
  }
}

Digest::~Digest() = default;

void Digest::update(std::span<const std::byte> bytes) { EVP_DigestUpdate(impl_->context, bytes.data(), bytes.size()); }

std::string Digest::hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> value{};
  unsigned length = 0;
  EVP_DigestFinal_ex(impl_->context, value.data(), &length);
  std::string text;
  for (unsigned i = 0; i < length; ++i) text += fmt::format("{:02x}", value[i]);
  return text;
}

std::string file_digest(const std::filesystem::path& path, DigestKind kind) {
  std::ifstream file(path, std::ios::binary);
  if (!file)
    throw Error(ErrorCategory::kFile, fmt::format("cannot open {} to check its digest: check the path and its permissions", path.string()));
  Digest digest(kind);
  std::vector<char> block(1 << 20);
  while (file.read(block.data(), static_cast<std::streamsize>(block.size())), file.gcount() > 0) {
    digest.update(std::as_bytes(std::span(block.data(), static_cast<std::size_t>(file.gcount()))));
  }
  if (file.bad()) throw Error(ErrorCategory::kFile, fmt::format("cannot read {}: the system reported an input error", path.string()));
  return digest.hex();
}

std::uint64_t fast_hash(std::span<const std::byte> bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

std::uint64_t fast_hash(std::string_view text, std::uint64_t seed) { return XXH3_64bits_withSeed(text.data(), text.size(), seed); }

}  // namespace headstart
