// Builders of small weights files, well-formed or not, for the tests of this layer.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/file.h"
#include "headstart/error.h"
#include "support/errors.h"
#include "support/shared_data.h"
#include "weights/state_dict.h"
#include "weights/zip_directory.h"

namespace headstart::test {

using namespace std::string_literals;

inline std::filesystem::path golden_dir() { return source_dir() / "tests/golden/weights"; }

inline std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }
inline std::string text_of(std::span<const std::byte> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

template <typename T>
std::string little_endian(T value) {
  std::string text(sizeof(T), '\0');
  std::memcpy(text.data(), &value, sizeof(T));
  return text;
}

inline std::string error_of(const std::function<void()>& action) { return error_of(action, ErrorCategory::kModel); }

// Every byte of a file changed in turn, in three ways: whatever the byte, `read` ends with a state dict or an Error; the sanitizers judge.
inline void expect_changed_bytes_are_survived(const std::string& name, const std::function<void(std::span<const std::byte>)>& read) {
  const std::string whole = read_text_file(golden_dir() / name);
  std::size_t refused = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const int flip : {0x01, 0x80, 0xFF}) {
      std::string changed = whole;
      changed[i] = static_cast<char>(changed[i] ^ flip);
      try {
        read(bytes_of(changed));
      } catch (const Error&) {
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, whole.size() / 4) << name;
}

inline void expect_equal_tensors(const StateDict& a, const StateDict& b) {
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (std::size_t i = 0; i < a.tensors.size(); ++i) {
    EXPECT_EQ(a.tensors[i].first, b.tensors[i].first);
    EXPECT_EQ(a.tensors[i].second.dtype, b.tensors[i].second.dtype);
    EXPECT_EQ(a.tensors[i].second.shape, b.tensors[i].second.shape);
    EXPECT_EQ(text_of(a.tensors[i].second.data()), text_of(b.tensors[i].second.data()));
  }
}

struct ZipPart {
  std::string name;
  std::string contents;
  std::uint16_t method = 0;
  std::uint16_t flags = 0;
  bool with_crc = true;
};

inline std::string make_zip(const std::vector<ZipPart>& parts) {
  std::string archive, directory;
  for (const ZipPart& part : parts) {
    const auto size = static_cast<std::uint32_t>(part.contents.size());
    const std::string common =
        little_endian<std::uint16_t>(part.flags) + little_endian<std::uint16_t>(part.method) + little_endian<std::uint32_t>(0) +
        little_endian<std::uint32_t>(part.with_crc ? crc32(bytes_of(part.contents)) : 0) + little_endian(size) + little_endian(size) +
        little_endian(static_cast<std::uint16_t>(part.name.size())) + little_endian<std::uint16_t>(0);
    const auto position = static_cast<std::uint32_t>(archive.size());
    archive += "PK\x03\x04"s + little_endian<std::uint16_t>(20) + common + part.name + part.contents;
    directory += "PK\x01\x02"s + little_endian<std::uint16_t>(20) + little_endian<std::uint16_t>(20) + common +
                 little_endian<std::uint16_t>(0) + little_endian<std::uint16_t>(0) + little_endian<std::uint16_t>(0) +
                 little_endian<std::uint32_t>(0) + little_endian(position) + part.name;
  }
  const auto entries = static_cast<std::uint16_t>(parts.size());
  const auto start = static_cast<std::uint32_t>(archive.size());
  return archive + directory + "PK\x05\x06"s + little_endian<std::uint32_t>(0) + little_endian(entries) + little_endian(entries) +
         little_endian(static_cast<std::uint32_t>(directory.size())) + little_endian(start) + little_endian<std::uint16_t>(0);
}

// A PyTorch file around a pickle, with one storage of 6 floats (0 to 5) under key "0".
inline std::string six_floats() {
  std::string storage;
  for (int i = 0; i < 6; ++i) storage += little_endian(static_cast<float>(i));
  return storage;
}
inline std::string torch_zip_around(const std::string& pickle) {
  return make_zip(
      {{"archive/data.pkl", pickle}, {"archive/byteorder", "little"}, {"archive/data/0", six_floats()}, {"archive/version", "3\n"}});
}

// Pickle fragments, protocol 2.
inline std::string text(std::string_view value) {
  return "X" + little_endian(static_cast<std::uint32_t>(value.size())) + std::string(value);
}
inline std::string number(std::int64_t value) { return "\x8a\x08" + little_endian(value); }
inline std::string tuple(const std::vector<std::string>& items) {
  std::string pickle = "(";
  for (const std::string& item : items) pickle += item;
  return pickle + "t";
}
inline std::string sizes(const std::vector<std::int64_t>& values) {
  std::vector<std::string> items;
  for (const std::int64_t value : values) items.push_back(number(value));
  return tuple(items);
}
inline std::string global(const std::string& module, const std::string& name) { return "c" + module + "\n" + name + "\n"; }
inline std::string storage(std::int64_t elements = 6, const std::string& type = "FloatStorage", const std::string& key = "0") {
  return tuple({text("storage"), global("torch", type), text(key), text("cpu"), number(elements)}) + "Q";
}
struct TensorSpec {
  std::vector<std::int64_t> shape = {2, 3};
  std::vector<std::int64_t> strides = {3, 1};
  std::int64_t offset = 0;
  std::string from = storage();
};
inline std::string tensor(const TensorSpec& spec = {}) {
  return global("torch._utils", "_rebuild_tensor_v2") +
         tuple({spec.from, number(spec.offset), sizes(spec.shape), sizes(spec.strides), "\x89",
                global("collections", "OrderedDict") + ")R"}) +
         "R";
}
inline std::string state_dict_pickle(const std::vector<std::pair<std::string, std::string>>& items) {
  std::string pickle = "\x80\x02}(";
  for (const auto& [name, value] : items) pickle += text(name) + value;
  return pickle + "u.";
}

}  // namespace headstart::test
