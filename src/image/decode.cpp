#include "image/decode.h"

#include <vector>

#include "core/file.h"
#include "image/decode_formats.h"
#include "image/exif.h"

namespace headstart {
namespace {

struct Codec {
  ImageFormat format;
  ImageInfo (*probe)(Bytes);
  void (*decode)(Bytes, const DecodeOptions&, Image&);
  int (*orientation)(Bytes);  // null: the format has none, or decode applies it
};

constexpr Codec kCodecs[] = {
    {ImageFormat::kJpeg, probe_jpeg, decode_jpeg, jpeg_orientation},
    {ImageFormat::kPng, probe_png, decode_png, png_orientation},
    {ImageFormat::kWebp, probe_webp, decode_webp, webp_orientation},
    {ImageFormat::kTiff, probe_tiff, decode_tiff, nullptr},
    {ImageFormat::kBmp, probe_bmp, decode_bmp, nullptr},
    {ImageFormat::kPnm, probe_pnm, decode_pnm, nullptr},
    {ImageFormat::kGif, probe_gif, decode_gif, nullptr},
};

const Codec& codec_of(Bytes encoded) {
  const ImageFormat format = sniff_format(encoded);
  for (const Codec& codec : kCodecs) {
    if (codec.format == format) return codec;
  }
  if (encoded.empty()) throw Error(ErrorCategory::kData, "cannot decode the picture: the file is empty");
  throw Error(ErrorCategory::kData,
              "cannot decode the picture: its first bytes are those of no JPEG, PNG, WebP, TIFF, BMP, PPM/PGM/PBM or GIF file");
}

}  // namespace

ImageInfo probe_image(std::span<const std::byte> encoded) {
  const Codec& codec = codec_of(encoded);
  ImageInfo info = codec.probe(encoded);
  info.format = codec.format;
  if (codec.orientation != nullptr) info.orientation = codec.orientation(encoded);
  return info;
}

void decode_image_into(std::span<const std::byte> encoded, const DecodeOptions& options, Image& out) {
  const Codec& codec = codec_of(encoded);
  codec.decode(encoded, options, out);
  if (!options.apply_exif_orientation || codec.orientation == nullptr) return;
  const int orientation = codec.orientation(encoded);
  if (orientation == 1) return;
  // Photos held upright are common: the second buffer stays with the thread, unless one photo made it very large.
  constexpr std::size_t kKeep = std::size_t{64} << 20;
  thread_local std::vector<std::uint8_t> scratch;
  apply_orientation(out, orientation, scratch);
  if (scratch.capacity() > kKeep) scratch = {};
}

Image decode_image(std::span<const std::byte> encoded, const DecodeOptions& options) {
  Image image;
  decode_image_into(encoded, options, image);
  return image;
}

Image read_image(const std::filesystem::path& path, const DecodeOptions& options) {
  std::vector<std::byte> encoded;
  read_file(path, encoded);
  try {
    return decode_image(encoded, options);
  } catch (const Error& error) {
    throw Error(error.category(), path.string() + ": " + error.what());
  }
}

}  // namespace headstart
