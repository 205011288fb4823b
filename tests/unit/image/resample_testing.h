// Helpers of the tests of resizing, views and normalisation.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "core/hash.h"
#include "headstart/image.h"
#include "support/shared_data.h"

namespace headstart::test {

// The pictures of tools/golden/resample.py.
inline Image noise_picture(ImageSize size) {
  Image image{.size = size, .rgb = {}};
  for (std::uint32_t y = 0; y < static_cast<std::uint32_t>(size.height); ++y) {
    for (std::uint32_t x = 0; x < static_cast<std::uint32_t>(size.width); ++x) {
      for (std::uint32_t c = 0; c < 3; ++c) {
        const std::uint32_t mixed = x * 73856093U + y * 19349663U + c * 83492791U;
        image.rgb.push_back(static_cast<std::uint8_t>(((mixed ^ (mixed >> 15)) * 2654435761U) >> 24));
      }
    }
  }
  return image;
}

inline Image waves_picture(ImageSize size) {
  Image image{.size = size, .rgb = {}};
  for (int y = 0; y < size.height; ++y) {
    for (int x = 0; x < size.width; ++x) {
      for (int c = 0; c < 3; ++c) {
        const int phase = (x * (3 + c) + y * (5 - c)) % 510;
        image.rgb.push_back(static_cast<std::uint8_t>(phase < 256 ? phase : 510 - phase));
      }
    }
  }
  return image;
}

inline ImageSize size_of(const nlohmann::json& height_width) { return {height_width.at(0).get<int>(), height_width.at(1).get<int>()}; }

inline Image golden_source(const nlohmann::json& golden_case) {
  const ImageSize size = size_of(golden_case.at("source"));
  return golden_case.at("kind") == "noise" ? noise_picture(size) : waves_picture(size);
}

inline Interpolation interpolation_of(const nlohmann::json& golden_case) {
  return golden_case.at("filter") == "bicubic" ? Interpolation::kBicubic : Interpolation::kBilinear;
}

inline Box box_of(const nlohmann::json& box) {
  return {box.at(0).get<double>(), box.at(1).get<double>(), box.at(2).get<double>(), box.at(3).get<double>()};
}

inline nlohmann::json resample_golden(const std::string& section) {
  std::ifstream file(source_dir() / "tests/golden/image/resample.json");
  return nlohmann::json::parse(file).at(section);
}

inline std::string short_digest(std::span<const std::byte> bytes) {
  Digest digest(DigestKind::kSha256);
  digest.update(bytes);
  return digest.hex().substr(0, 16);
}
inline std::string short_digest(const Image& image) { return short_digest(std::as_bytes(std::span(image.rgb))); }

inline std::string hex_of(const Image& image) {
  std::string text;
  for (const std::uint8_t byte : image.rgb) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

}  // namespace headstart::test
