// Bounds-checked little-endian reading from untrusted bytes.
//
// Thread-safety: a reader belongs to one thread. Ownership: borrows the bytes. Errors: Error(kModel) with the position and what was read.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "headstart/error.h"
#include "headstart/text.h"

namespace headstart {

// The integer at `bytes`, which must have sizeof(T) readable bytes. Hosts are little-endian (asserted in state_dict.cpp).
template <typename T>
T load_little_endian(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

inline std::string_view as_text(std::span<const std::byte> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

inline std::span<const std::byte> as_bytes(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

// A name from the file, fit for a message: short and valid UTF-8.
inline std::string shown(std::string_view name) { return valid_utf8(name.substr(0, 100)); }

// Multiplication and addition that say whether they fitted.
inline bool multiply(std::uint64_t a, std::uint64_t b, std::uint64_t& product) { return !__builtin_mul_overflow(a, b, &product); }
inline bool add(std::uint64_t a, std::uint64_t b, std::uint64_t& sum) { return !__builtin_add_overflow(a, b, &sum); }

class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes, std::size_t position = 0) : bytes_(bytes), position_(position) {}

  std::size_t position() const { return position_; }
  std::size_t left() const { return bytes_.size() - position_; }

  std::span<const std::byte> take(std::uint64_t length, std::string_view what) {
    if (length > left()) {
      throw Error(ErrorCategory::kModel,
                  fmt::format("the file ends inside {}: {} bytes expected at byte {}, {} left (incomplete download?)", what, length,
                              position_, left()));
    }
    const auto part = bytes_.subspan(position_, static_cast<std::size_t>(length));
    position_ += static_cast<std::size_t>(length);
    return part;
  }

  template <typename T>
  T number(std::string_view what) {
    return load_little_endian<T>(take(sizeof(T), what).data());
  }

  // The text up to the next '\n', which is consumed but not returned.
  std::string_view line(std::string_view what) {
    const std::string_view rest = as_text(bytes_.subspan(position_));
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos) {
      throw Error(ErrorCategory::kModel, fmt::format("the file ends inside {} at byte {} (incomplete download?)", what, position_));
    }
    position_ += end + 1;
    return rest.substr(0, end);
  }

 private:
  std::span<const std::byte> bytes_;
  std::size_t position_;  // never past the end
};

}  // namespace headstart
