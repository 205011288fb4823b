#include <string_view>

#include "image/decode_support.h"

namespace headstart {
namespace {

bool is_pnm(std::string_view head) {
  if (head.size() < 3 || head[0] != 'P' || head[1] < '1' || head[1] > '6') return false;
  return std::string_view(" \t\n\v\f\r").find(head[2]) != std::string_view::npos;
}

bool is_tiff(std::string_view head) {
  using namespace std::string_view_literals;
  return head.starts_with("II*\0"sv) || head.starts_with("MM\0*"sv) || head.starts_with("II+\0"sv) || head.starts_with("MM\0+"sv);
}

// "BM" alone opens many texts; the size of the second header tells them apart.
bool is_bmp(std::string_view head) {
  if (!head.starts_with("BM") || head.size() < 18) return false;
  const auto* p = reinterpret_cast<const unsigned char*>(head.data()) + 14;
  if (p[1] != 0 || p[2] != 0 || p[3] != 0) return false;
  for (const unsigned size : {12u, 40u, 52u, 56u, 64u, 108u, 124u}) {
    if (p[0] == size) return true;
  }
  return false;
}

}  // namespace

std::string_view to_string(ImageFormat format) {
  switch (format) {
    case ImageFormat::kUnknown:
      return "unknown";
    case ImageFormat::kJpeg:
      return "jpeg";
    case ImageFormat::kPng:
      return "png";
    case ImageFormat::kWebp:
      return "webp";
    case ImageFormat::kTiff:
      return "tiff";
    case ImageFormat::kBmp:
      return "bmp";
    case ImageFormat::kPnm:
      return "pnm";
    case ImageFormat::kGif:
      return "gif";
  }
  return "unknown";
}

ImageFormat sniff_format(std::span<const std::byte> encoded) {
  const std::string_view head(reinterpret_cast<const char*>(encoded.data()), std::min<std::size_t>(encoded.size(), 32));
  if (head.starts_with("\xFF\xD8\xFF")) return ImageFormat::kJpeg;
  if (head.starts_with("\x89PNG\r\n\x1A\n")) return ImageFormat::kPng;
  if (head.starts_with("RIFF") && head.size() >= 16 && head.substr(8, 7) == "WEBPVP8") return ImageFormat::kWebp;
  if (head.starts_with("GIF87a") || head.starts_with("GIF89a")) return ImageFormat::kGif;
  if (is_tiff(head)) return ImageFormat::kTiff;
  if (is_bmp(head)) return ImageFormat::kBmp;
  if (is_pnm(head)) return ImageFormat::kPnm;
  return ImageFormat::kUnknown;
}

}  // namespace headstart
