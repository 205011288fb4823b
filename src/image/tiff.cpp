// TIFF through libtiff, first page. Grey, palette, RGB and CMYK samples are converted here, as Pillow does; what is left (YCbCr, CIE
// L*a*b*, …) by libtiff's RGBA interface.
#include <tiffio.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>
#include <vector>

#include "image/decode_formats.h"
#include "image/exif.h"
#include "image/tiff_unpack.h"

namespace headstart {
namespace {

constexpr std::string_view kFormat = "TIFF";

// The file in memory as libtiff's client, and the first error that it reported.
struct Client {
  Bytes encoded;
  std::uint64_t position = 0;
  char message[256] = {};
};

// libtiff's error handlers are global. Ours is installed once, serves the thread's own call and passes everything else on.
thread_local Client* active_client = nullptr;
TIFFErrorHandler previous_error = nullptr;
TIFFErrorHandler previous_warning = nullptr;

void on_error(const char* module, const char* format, std::va_list arguments) {
  if (active_client == nullptr) {
    if (previous_error != nullptr) previous_error(module, format, arguments);
  } else if (active_client->message[0] == '\0') {
    std::vsnprintf(active_client->message, sizeof active_client->message, format, arguments);
  }
}

void on_warning(const char* module, const char* format, std::va_list arguments) {
  if (active_client == nullptr && previous_warning != nullptr) previous_warning(module, format, arguments);
}

void install_handlers() {
  static std::once_flag once;
  std::call_once(once, [] {
    previous_error = TIFFSetErrorHandler(on_error);
    previous_warning = TIFFSetWarningHandler(on_warning);
  });
}

tmsize_t read_client(thandle_t handle, void* out, tmsize_t count) {
  auto* client = static_cast<Client*>(handle);
  if (count <= 0 || client->position >= client->encoded.size()) return 0;
  const std::size_t size = std::min(static_cast<std::size_t>(count), client->encoded.size() - static_cast<std::size_t>(client->position));
  std::memcpy(out, client->encoded.data() + client->position, size);
  client->position += size;
  return static_cast<tmsize_t>(size);
}
tmsize_t write_client(thandle_t, void*, tmsize_t) { return 0; }
toff_t seek_client(thandle_t handle, toff_t offset, int whence) {
  auto* client = static_cast<Client*>(handle);
  client->position = offset + (whence == SEEK_CUR ? client->position : whence == SEEK_END ? client->encoded.size() : 0);
  return client->position;
}
int close_client(thandle_t) { return 0; }
toff_t size_client(thandle_t handle) { return static_cast<Client*>(handle)->encoded.size(); }
int map_client(thandle_t handle, void** base, toff_t* size) {
  const Bytes encoded = static_cast<Client*>(handle)->encoded;
  *base = const_cast<std::byte*>(encoded.data());  // opened for reading: libtiff copies before it changes bytes
  *size = encoded.size();
  return 1;
}
void unmap_client(thandle_t, void*, toff_t) {}

class Tiff {
 public:
  explicit Tiff(Bytes encoded) : client_{encoded} {
    install_handlers();
    active_client = &client_;
    tiff_ = TIFFClientOpen("memory", "r", &client_, read_client, write_client, seek_client, close_client, size_client, map_client,
                           unmap_client);
    if (tiff_ == nullptr) {
      active_client = nullptr;
      fail();
    }
  }
  ~Tiff() {
    TIFFClose(tiff_);
    active_client = nullptr;
  }
  Tiff(const Tiff&) = delete;
  Tiff& operator=(const Tiff&) = delete;

  TIFF* get() const { return tiff_; }
  std::size_t encoded_size() const { return client_.encoded.size(); }
  [[noreturn]] void fail() const {
    fail_decode(kFormat, "{}", client_.message[0] != '\0' ? client_.message : "its structure is damaged or its pixel layout unknown");
  }

  template <typename T>
  T field(std::uint32_t tag, T otherwise) const {
    T value{};
    return TIFFGetField(tiff_, tag, &value) == 1 ? value : otherwise;
  }
  std::uint16_t short_field(std::uint32_t tag, std::uint16_t otherwise) const {
    std::uint16_t value = 0;
    return TIFFGetFieldDefaulted(tiff_, tag, &value) == 1 ? value : otherwise;
  }

 private:
  Client client_;
  TIFF* tiff_ = nullptr;
};

ImageSize size_of(const Tiff& tiff, std::int64_t max_pixels) {
  const auto height = tiff.field<std::uint32_t>(TIFFTAG_IMAGELENGTH, 0);
  const auto width = tiff.field<std::uint32_t>(TIFFTAG_IMAGEWIDTH, 0);
  check_picture_size(kFormat, height, width, max_pixels);
  return {static_cast<int>(height), static_cast<int>(width)};
}

int orientation_of(const Tiff& tiff) {
  std::uint16_t tag = 0;
  if (TIFFGetField(tiff.get(), TIFFTAG_ORIENTATION, &tag) == 1) return resolve_orientation(tag, std::nullopt);
  std::uint32_t count = 0;
  const void* packet = nullptr;
  if (TIFFGetField(tiff.get(), TIFFTAG_XMLPACKET, &count, &packet) != 1 || packet == nullptr) return 1;
  return resolve_orientation(std::nullopt, xmp_orientation({static_cast<const std::byte*>(packet), count}));
}

// The photometric tag is required, yet some writers forget it; Pillow then reads grey with white at zero.
std::uint16_t photometric_of(const Tiff& tiff) {
  const std::uint16_t samples = tiff.short_field(TIFFTAG_SAMPLESPERPIXEL, 1);
  return tiff.field<std::uint16_t>(TIFFTAG_PHOTOMETRIC, samples >= 3 ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISWHITE);
}

TiffAlpha alpha_of(const Tiff& tiff, const TiffLayout& layout, int samples) {
  if (samples <= layout.colour_channels()) return TiffAlpha::kNone;
  std::uint16_t count = 0;
  std::uint16_t* kinds = nullptr;
  if (TIFFGetFieldDefaulted(tiff.get(), TIFFTAG_EXTRASAMPLES, &count, &kinds) != 1 || count == 0 || kinds == nullptr) {
    return layout.colour == TiffColour::kRgb && samples == 4 ? TiffAlpha::kStraight : TiffAlpha::kNone;
  }
  if (layout.colour == TiffColour::kCmyk) return TiffAlpha::kNone;
  return kinds[0] == EXTRASAMPLE_ASSOCALPHA   ? TiffAlpha::kPremultiplied
         : kinds[0] == EXTRASAMPLE_UNASSALPHA ? TiffAlpha::kStraight
                                              : TiffAlpha::kNone;
}

// False where libtiff's RGBA interface has to do the work.
bool read_layout(const Tiff& tiff, TiffLayout& layout) {
  std::uint16_t photometric = photometric_of(tiff);
  const std::uint16_t compression = tiff.short_field(TIFFTAG_COMPRESSION, COMPRESSION_NONE);
  const bool planar = tiff.short_field(TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) == PLANARCONFIG_SEPARATE;
  if (photometric == PHOTOMETRIC_YCBCR && compression == COMPRESSION_JPEG && !planar) {
    if (TIFFSetField(tiff.get(), TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB) == 1) photometric = PHOTOMETRIC_RGB;
  }
  switch (photometric) {
    case PHOTOMETRIC_MINISWHITE:
    case PHOTOMETRIC_MINISBLACK:
      layout.colour = TiffColour::kGrey;
      layout.min_is_white = photometric == PHOTOMETRIC_MINISWHITE;
      break;
    case PHOTOMETRIC_RGB:
      layout.colour = TiffColour::kRgb;
      break;
    case PHOTOMETRIC_PALETTE:
      layout.colour = TiffColour::kPalette;
      break;
    case PHOTOMETRIC_SEPARATED:
      layout.colour = TiffColour::kCmyk;
      break;
    default:
      return false;
  }
  const int samples = tiff.short_field(TIFFTAG_SAMPLESPERPIXEL, 1);
  if (samples < layout.colour_channels()) fail_decode(kFormat, "it has {} samples a pixel, too few for its colours", samples);
  layout.bits = tiff.short_field(TIFFTAG_BITSPERSAMPLE, 1);
  const std::uint16_t format = tiff.short_field(TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT);
  layout.is_signed = format == SAMPLEFORMAT_INT;
  layout.is_float = format == SAMPLEFORMAT_IEEEFP;
  layout.alpha = alpha_of(tiff, layout, samples);
  layout.samples = planar ? 1 : samples;
  if (layout.colour == TiffColour::kPalette) {
    std::uint16_t *red = nullptr, *green = nullptr, *blue = nullptr;
    if (layout.bits > 8 || TIFFGetField(tiff.get(), TIFFTAG_COLORMAP, &red, &green, &blue) != 1)
      fail_decode(kFormat, "its palette is missing");
    layout.colour_map = {red, green, blue};
    layout.colour_map_size = 1 << layout.bits;
  }
  return can_unpack(layout);
}

// Strips and tiles alike: rectangles of pixels that are decompressed in one go.
struct Blocks {
  bool tiled = false;
  bool planar = false;
  std::uint32_t height = 0, width = 0;
  std::size_t bytes = 0, row_bytes = 0;
};

Blocks read_blocks(const Tiff& tiff, ImageSize size, std::int64_t max_pixels) {
  Blocks blocks;
  blocks.tiled = TIFFIsTiled(tiff.get()) != 0;
  blocks.planar = tiff.short_field(TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) == PLANARCONFIG_SEPARATE;
  if (blocks.tiled) {
    blocks.height = tiff.field<std::uint32_t>(TIFFTAG_TILELENGTH, 0);
    blocks.width = tiff.field<std::uint32_t>(TIFFTAG_TILEWIDTH, 0);
    check_picture_size(kFormat, blocks.height, blocks.width, max_pixels + (std::int64_t{1} << 20));
  } else {
    blocks.height = std::min(tiff.field<std::uint32_t>(TIFFTAG_ROWSPERSTRIP, 0xffffffffu), static_cast<std::uint32_t>(size.height));
    blocks.width = static_cast<std::uint32_t>(size.width);
  }
  const tmsize_t bytes = blocks.tiled ? TIFFTileSize(tiff.get()) : TIFFVStripSize(tiff.get(), blocks.height);
  const tmsize_t row_bytes = blocks.tiled ? TIFFTileRowSize(tiff.get()) : TIFFScanlineSize(tiff.get());
  if (bytes <= 0 || row_bytes <= 0 || blocks.height == 0) tiff.fail();
  blocks.bytes = static_cast<std::size_t>(bytes);
  blocks.row_bytes = static_cast<std::size_t>(row_bytes);
  if (tiff.short_field(TIFFTAG_COMPRESSION, COMPRESSION_NONE) == COMPRESSION_NONE && blocks.bytes > tiff.encoded_size()) {
    fail_decode(kFormat, "it is truncated: {} bytes cannot hold a strip or tile of {}", tiff.encoded_size(), blocks.bytes);
  }
  return blocks;
}

// Decompresses one block of one plane; at least `rows` rows of it must be there.
void read_block(const Tiff& tiff, const Blocks& blocks, std::uint32_t y, std::uint32_t x, std::uint16_t plane, std::uint32_t rows,
                std::uint8_t* buffer) {
  TIFF* handle = tiff.get();
  const auto capacity = static_cast<tmsize_t>(blocks.bytes);
  const tmsize_t got = blocks.tiled ? TIFFReadEncodedTile(handle, TIFFComputeTile(handle, x, y, 0, plane), buffer, capacity)
                                    : TIFFReadEncodedStrip(handle, TIFFComputeStrip(handle, y, plane), buffer, capacity);
  if (got < 0) tiff.fail();
  if (static_cast<std::uint64_t>(got) < static_cast<std::uint64_t>(rows) * blocks.row_bytes)
    fail_decode(kFormat, "a strip or tile is truncated");
}

void decode_samples(const Tiff& tiff, const TiffLayout& layout, const DecodeOptions& options, Image& out) {
  const Blocks blocks = read_blocks(tiff, out.size, options.max_pixels);
  const std::size_t planes = blocks.planar ? static_cast<std::size_t>(layout.channels()) : 1;
  const std::size_t needed = (static_cast<std::size_t>(blocks.width) * static_cast<std::size_t>(layout.bits * layout.samples) + 7) / 8;
  if (needed > blocks.row_bytes || blocks.row_bytes > blocks.bytes / blocks.height)
    fail_decode(kFormat, "its rows have an unexpected length");
  std::vector<std::uint8_t> buffer(blocks.bytes * planes);
  const auto height = static_cast<std::uint32_t>(out.size.height), width = static_cast<std::uint32_t>(out.size.width);
  for (std::uint32_t y = 0; y < height; y += blocks.height) {
    const std::uint32_t rows = std::min(blocks.height, height - y);
    for (std::uint32_t x = 0; x < width; x += blocks.width) {
      for (std::size_t plane = 0; plane < planes; ++plane) {
        read_block(tiff, blocks, y, x, static_cast<std::uint16_t>(plane), rows, buffer.data() + plane * blocks.bytes);
      }
      for (std::uint32_t row = 0; row < rows; ++row) {
        std::array<const std::uint8_t*, 5> channel{};
        const std::size_t sample_bytes = static_cast<std::size_t>(layout.bits) / 8;  // 0 where a pixel has one channel
        for (std::size_t c = 0; c < static_cast<std::size_t>(layout.channels()); ++c) {
          channel[c] = buffer.data() + row * blocks.row_bytes + c * (blocks.planar ? blocks.bytes : sample_bytes);
        }
        unpack_tiff_row(layout, options, channel, static_cast<int>(std::min(blocks.width, width - x)),
                        picture_row(out, static_cast<int>(y + row)) + std::size_t{x} * 3);
      }
    }
  }
}

struct RgbaImage {
  TIFFRGBAImage image{};
  bool begun = false;
  ~RgbaImage() {
    if (begun) TIFFRGBAImageEnd(&image);
  }
};

void decode_rgba(const Tiff& tiff, Image& out) {
  char message[1024] = {};
  RgbaImage rgba;
  if (TIFFRGBAImageOK(tiff.get(), message) != 1) fail_decode(kFormat, "{}", message);
  if (TIFFRGBAImageBegin(&rgba.image, tiff.get(), 1, message) != 1) fail_decode(kFormat, "{}", message);
  rgba.begun = true;
  rgba.image.req_orientation = rgba.image.orientation;  // as stored
  const std::uint32_t block = TIFFIsTiled(tiff.get()) != 0 ? tiff.field<std::uint32_t>(TIFFTAG_TILELENGTH, 0)
                                                           : tiff.field<std::uint32_t>(TIFFTAG_ROWSPERSTRIP, 0xffffffffu);
  const auto height = static_cast<std::uint32_t>(out.size.height), width = static_cast<std::uint32_t>(out.size.width);
  const std::uint32_t rows_per_block = std::clamp(block, 1u, height);
  std::vector<std::uint32_t> raster(static_cast<std::size_t>(rows_per_block) * width);
  for (std::uint32_t y = 0; y < height; y += rows_per_block) {
    const std::uint32_t rows = std::min(rows_per_block, height - y);
    rgba.image.row_offset = static_cast<int>(y);
    rgba.image.col_offset = 0;
    if (TIFFRGBAImageGet(&rgba.image, raster.data(), width, rows) != 1) tiff.fail();
    std::uint8_t* rgb = picture_row(out, static_cast<int>(y));
    for (std::size_t i = 0; i < static_cast<std::size_t>(rows) * width; ++i, rgb += 3) {
      rgb[0] = static_cast<std::uint8_t>(TIFFGetR(raster[i]));
      rgb[1] = static_cast<std::uint8_t>(TIFFGetG(raster[i]));
      rgb[2] = static_cast<std::uint8_t>(TIFFGetB(raster[i]));
    }
  }
}

std::string describe(const Tiff& tiff) {
  const std::uint16_t photometric = photometric_of(tiff);
  std::string mode = photometric <= PHOTOMETRIC_MINISBLACK  ? "grey"
                     : photometric == PHOTOMETRIC_PALETTE   ? "palette"
                     : photometric == PHOTOMETRIC_RGB       ? "RGB"
                     : photometric == PHOTOMETRIC_SEPARATED ? "CMYK"
                                                            : "YCbCr or L*a*b*";
  const int bits = tiff.short_field(TIFFTAG_BITSPERSAMPLE, 1);
  if (bits != 8) mode += fmt::format(" {}-bit", bits);
  return mode;
}

}  // namespace

ImageInfo probe_tiff(Bytes encoded) {
  const Tiff tiff(encoded);
  return {.size = size_of(tiff, std::numeric_limits<std::int64_t>::max()), .orientation = orientation_of(tiff), .mode = describe(tiff)};
}

void decode_tiff(Bytes encoded, const DecodeOptions& options, Image& out) {
  const Tiff tiff(encoded);
  const ImageSize size = size_of(tiff, options.max_pixels);
  TiffLayout layout;
  const bool ours = read_layout(tiff, layout);
  resize_picture(out, size.height, size.width);
  if (ours) {
    decode_samples(tiff, layout, options, out);
  } else {
    decode_rgba(tiff, out);
  }
  // The tag is part of TIFF itself, not of EXIF: it is applied always, as by Pillow.
  std::vector<std::uint8_t> scratch;
  apply_orientation(out, orientation_of(tiff), scratch);
}

}  // namespace headstart
