// A folder of small photos that a classifier can learn to tell apart: one colour and one stripe direction a class, with noise.
//
// Header-only and free of encoders: photos are binary PPM files. The bytes depend on (class index, photo index, seed) alone, so two calls
// with equal arguments write equal files.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace headstart::test {

// "class_0", "class_1", …: sorted as their labels for up to ten classes.
inline std::vector<std::string> tiny_class_names(int classes) {
  std::vector<std::string> names;
  for (int i = 0; i < classes; ++i) names.push_back("class_" + std::to_string(i));
  return names;
}

// Writes `rgb` (u8 [height, width, 3]) as a binary PPM; makes the folders above it.
inline void write_ppm(const std::filesystem::path& path, int height, int width, const std::vector<std::uint8_t>& rgb) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream out(path, std::ios::binary);
  out << "P6\n" << width << ' ' << height << "\n255\n";
  out.write(reinterpret_cast<const char*>(rgb.data()), static_cast<std::streamsize>(rgb.size()));
  if (!out.flush()) throw std::runtime_error("cannot write " + path.string());
}

// The pixels of one tiny photo, u8 [side, side, 3].
inline std::vector<std::uint8_t> tiny_photo(int label, int index, std::uint64_t seed, int side = 40) {
  std::uint64_t state =
      seed * 0x9E3779B97F4A7C15ULL + static_cast<std::uint64_t>(label) * 1'000'003 + static_cast<std::uint64_t>(index) * 7919 + 1;
  const auto draw = [&state] {  // SplitMix64
    std::uint64_t z = (state += 0x9E3779B97F4A7C15ULL);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
  };
  const std::array<double, 3> phase = {0.0, 2.0944, 4.1888};
  const double hue = 2.39996 * label;  // the golden angle: neighbouring labels get distant hues
  const double stripes = 0.7 * label;
  const double offset = static_cast<double>(draw() % 628) / 100.0;
  std::vector<std::uint8_t> rgb(static_cast<std::size_t>(side) * static_cast<std::size_t>(side) * 3);
  std::size_t at = 0;
  for (int y = 0; y < side; ++y) {
    for (int x = 0; x < side; ++x) {
      const double wave = 30 * std::sin(0.5 * (x * std::cos(stripes) + y * std::sin(stripes)) + offset);
      for (const double channel : phase) {
        const double noise = static_cast<double>(draw() % 61) - 30;
        rgb[at++] = static_cast<std::uint8_t>(std::clamp(128 + 70 * std::cos(hue + channel) + wave + noise, 0.0, 255.0));
      }
    }
  }
  return rgb;
}

// Writes folder/<class>/photo_NNN.ppm, `photos_per_class` of each.
inline void make_tiny_dataset(const std::filesystem::path& folder, const std::vector<std::string>& classes, int photos_per_class,
                              std::uint64_t seed = 0, int side = 40) {
  for (std::size_t label = 0; label < classes.size(); ++label) {
    for (int i = 0; i < photos_per_class; ++i) {
      std::string number = std::to_string(i);
      number.insert(0, number.size() < 3 ? 3 - number.size() : 0, '0');
      write_ppm(folder / classes[label] / ("photo_" + number + ".ppm"), side, side, tiny_photo(static_cast<int>(label), i, seed, side));
    }
  }
}

// The same with the names of tiny_class_names().
inline void make_tiny_dataset(const std::filesystem::path& folder, int classes, int photos_per_class, std::uint64_t seed = 0,
                              int side = 40) {
  make_tiny_dataset(folder, tiny_class_names(classes), photos_per_class, seed, side);
}

}  // namespace headstart::test
