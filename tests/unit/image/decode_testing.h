// Helpers of the decoding tests.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/file.h"
#include "core/hash.h"
#include "headstart/error.h"
#include "headstart/image.h"
#include "support/shared_data.h"

namespace headstart::test {

using EncodedBytes = std::vector<std::byte>;

inline std::filesystem::path golden_pictures() { return source_dir() / "tests/golden/image/decode"; }

inline EncodedBytes read_bytes(const std::filesystem::path& path) {
  EncodedBytes bytes;
  read_file(path, bytes);
  return bytes;
}

inline EncodedBytes golden_picture(const std::string& name) { return read_bytes(golden_pictures() / name); }

// All files below a folder, in a fixed order.
inline std::vector<std::filesystem::path> files_below(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// Pillow's convert("RGB"), with nothing of ours on top.
inline DecodeOptions as_pillow() { return {.apply_exif_orientation = false, .alpha = Alpha::kDrop, .clip_16_bit_grey = true}; }

inline std::string pixel_digest(const Image& image) {
  Digest digest(DigestKind::kSha256);
  digest.update(std::as_bytes(std::span(image.rgb)));
  return digest.hex().substr(0, 16);
}

// "" for a picture, else the reason why there is none. Anything but Error(kData) fails the test.
inline std::string reason_of(std::span<const std::byte> encoded, const DecodeOptions& options = {}) {
  try {
    const Image image = decode_image(encoded, options);
    const auto expected = static_cast<std::size_t>(image.size.height) * static_cast<std::size_t>(image.size.width) * 3;
    EXPECT_GT(image.size.height, 0);
    EXPECT_GT(image.size.width, 0);
    EXPECT_EQ(image.rgb.size(), expected);
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kData) << error.what();
    return error.what();
  }
}

inline bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

}  // namespace headstart::test
