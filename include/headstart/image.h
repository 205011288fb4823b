// Photos: encoded bytes to RGB pixels, and exact (Pillow-equal) resizing.
//
// Thread-safety: all functions are pure and may be called from any number of threads. Errors: ErrorCategory::kData for bytes that are no
// readable picture, ErrorCategory::kFile for files that cannot be read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace headstart {

struct ImageSize {
  int height = 0;  // pixels
  int width = 0;   // pixels
  friend bool operator==(const ImageSize&, const ImageSize&) = default;
};

// A picture: u8 [height, width, 3], R G B, rows without padding. Values are as stored in the file (no colour management, like Pillow).
struct Image {
  ImageSize size;
  std::vector<std::uint8_t> rgb;  // size.height * size.width * 3
};

enum class ImageFormat { kUnknown, kJpeg, kPng, kWebp, kTiff, kBmp, kPnm, kGif };

// "jpeg", "png", …; "unknown" for kUnknown.
std::string_view to_string(ImageFormat format);

// What to do with transparent pixels.
enum class Alpha {
  kFlattenOnWhite,  // composite over white
  kDrop,            // forget the alpha channel, as Pillow's convert("RGB")
};

struct DecodeOptions {
  bool apply_exif_orientation = true;  // false: as torchvision's ImageFolder, which ignores it.
                                       // TIFF's own tag is not EXIF and is applied always, as by Pillow
  Alpha alpha = Alpha::kFlattenOnWhite;
  // 16-bit grey (PNG, TIFF, PGM): false keeps the high byte, so that dark to bright stays dark to bright; true clips at 255 as Pillow's
  // convert("RGB") does, which turns nearly every such picture white.
  bool clip_16_bit_grey = false;
  // Pictures with more pixels are refused before memory is taken (decompression bombs). The default is Pillow's own error limit.
  std::int64_t max_pixels = 178'956'970;
};

// Header facts; `size` is as stored, before orientation. orientation: EXIF 1..8, 1 when absent or invalid.
struct ImageInfo {
  ImageFormat format = ImageFormat::kUnknown;
  ImageSize size;
  int orientation = 1;
  std::string mode;  // for people: "RGB", "grey", "CMYK", "palette", "RGBA 16-bit", …
};

// Recognises the format by content; kUnknown when none fits. Needs the first 32 bytes at most.
ImageFormat sniff_format(std::span<const std::byte> encoded);

// Reads the header only. Throws Error(kData) where there is none.
ImageInfo probe_image(std::span<const std::byte> encoded);

// Decodes a whole picture. JPEG pixels equal Pillow's (libjpeg-turbo, islow DCT, fancy upsampling). A truncated or corrupt file throws
// Error(kData) with the reason. The message does not name the source: read_image adds the path.
Image decode_image(std::span<const std::byte> encoded, const DecodeOptions& options = {});

// Reads and decodes a file; errors name the path.
Image read_image(const std::filesystem::path& path, const DecodeOptions& options = {});

enum class Interpolation {
  kBilinear,        // Pillow's, antialiased
  kBicubic,         // Pillow's, antialiased
  kOpenCvBilinear,  // OpenCV's INTER_LINEAR, not antialiased: what Gluon's transforms use
};

// A rectangle in pixel units of the source picture, fractions allowed (Pillow's `box`).
struct Box {
  double left = 0;
  double top = 0;
  double right = 0;
  double bottom = 0;
};

// Resizes, bit-equal to Pillow's Image.resize(size, resample, box) (fixed-point, horizontal then vertical pass), or to OpenCV's cv::resize
// of the box, where it has whole numbers. Throws Error(kUsage) when the box lies outside the picture or a side of `size` is not positive.
Image resize(const Image& image, ImageSize size, Interpolation interpolation, const std::optional<Box>& box = std::nullopt);

// Writes PNG bytes (8-bit RGB) or JPEG bytes (quality 1..100, 4:2:0): thumbnails and previews.
std::vector<std::byte> encode_png(const Image& image);
std::vector<std::byte> encode_jpeg(const Image& image, int quality = 85);

}  // namespace headstart
