#include "core/hash.h"

#include <gtest/gtest.h>

#include "core/file.h"
#include "headstart/error.h"
#include "support/temp_dir.h"

namespace headstart {
namespace {

TEST(Digest, EqualsThePublishedExamples) {
  // FIPS 180-4 examples for "abc".
  const std::string text = "abc";
  Digest sha256(DigestKind::kSha256), sha1(DigestKind::kSha1);
  sha256.update(std::as_bytes(std::span(text)));
  for (const char& c : text) sha1.update(std::as_bytes(std::span(&c, 1)));
  EXPECT_EQ(sha256.hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha1.hex(), "a9993e364706816aba3e25717850c26c9cd0d89d");
}

TEST(Digest, OfAFileEqualsThatOfItsBytes) {
  const test::TempDir folder;
  const std::string text((1 << 20) + 17, 'q');
  write_file_atomically(folder / "a", text);
  Digest digest(DigestKind::kSha256);
  digest.update(std::as_bytes(std::span(text)));
  EXPECT_EQ(file_digest(folder / "a", DigestKind::kSha256), digest.hex());
  EXPECT_THROW(file_digest(folder / "missing", DigestKind::kSha1), Error);
}

TEST(FastHash, DependsOnContentAndSeed) {
  EXPECT_EQ(fast_hash("abc"), fast_hash(std::string("abc")));
  EXPECT_NE(fast_hash("abc"), fast_hash("abd"));
  EXPECT_NE(fast_hash("abc", 0), fast_hash("abc", 1));
}

}  // namespace
}  // namespace headstart
