#include "fetch/expected_digest.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "headstart/error.h"

namespace headstart {
namespace {

constexpr std::size_t kSha256Digits = 64;
constexpr std::size_t kSha1Digits = 40;

}  // namespace

ExpectedDigest::ExpectedDigest(std::string hex) : hex_(std::move(hex)) {
  std::transform(hex_.begin(), hex_.end(), hex_.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const bool digits = std::all_of(hex_.begin(), hex_.end(), [](unsigned char c) { return std::isxdigit(c) != 0; });
  if (!digits || hex_.size() > kSha256Digits) {
    throw Error(ErrorCategory::kUsage,
                fmt::format("'{}' is no digest, expected at most 64 hex digits of a SHA-256 or 40 of a SHA-1", hex_));
  }
  if (hex_.size() == kSha1Digits) kind_ = DigestKind::kSha1;
}

std::string ExpectedDigest::describe_difference(const std::string& computed) const {
  const bool is_prefix = hex_.size() < (kind_ == DigestKind::kSha1 ? kSha1Digits : kSha256Digits);
  return fmt::format("its {} is {}, expected {}{}", kind_ == DigestKind::kSha1 ? "SHA-1" : "SHA-256", computed,
                     is_prefix ? "a beginning of " : "", hex_);
}

}  // namespace headstart
