// Windows and OS/2 bitmaps, decoded here after Pillow's rules: 1, 4, 8, 16, 24 and 32 bits, RLE4 and RLE8, bit fields, top-down.
#include <algorithm>
#include <array>
#include <vector>

#include "image/decode_formats.h"

namespace headstart {
namespace {

constexpr std::string_view kFormat = "BMP";
enum Compression : std::uint32_t { kRaw = 0, kRle8 = 1, kRle4 = 2, kBitFields = 3 };

struct Header {
  std::int64_t height = 0, width = 0;
  bool top_down = false;
  int bits = 0;
  std::uint32_t compression = kRaw;
  std::array<std::uint32_t, 4> masks{};              // red, green, blue, alpha
  std::vector<std::array<std::uint8_t, 3>> palette;  // RGB
  std::size_t pixels = 0;                            // where they begin
};

void read_masks(ByteReader& reader, std::uint32_t header_size, Header& header) {
  // Headers of 52 bytes hold three masks, longer ones four; behind one of 40 bytes three follow.
  const std::size_t count = header_size >= 56 ? 4 : 3;
  for (std::size_t i = 0; i < count; ++i) header.masks[i] = reader.u32le();
}

void read_palette(ByteReader& reader, std::uint32_t colours, std::size_t entry, Header& header) {
  if (colours == 0 || colours > 65536) fail_decode(kFormat, "its palette has {} colours", colours);
  header.palette.resize(std::max<std::size_t>(256, colours));
  const Bytes data = reader.take(std::min(reader.remaining(), colours * entry));
  for (std::size_t i = 0; (i + 1) * entry <= data.size(); ++i) {
    const std::uint8_t* bgr = as_u8(data) + i * entry;
    header.palette[i] = {bgr[2], bgr[1], bgr[0]};
  }
}

Header read_header(Bytes encoded) {
  Header header;
  ByteReader reader(kFormat, encoded, 10);
  std::uint64_t pixels = reader.u32le();
  const std::uint32_t header_size = reader.u32le();
  std::uint32_t colours = 0;
  const bool core = header_size == 12;
  if (core) {
    header.width = reader.u16le();
    header.height = reader.u16le();
    reader.take(2);
    header.bits = static_cast<int>(reader.u16le());
  } else if (header_size == 40 || header_size == 52 || header_size == 56 || header_size == 64 || header_size == 108 || header_size == 124) {
    header.width = reader.u32le();
    const std::uint32_t height = reader.u32le();
    header.top_down = height >> 24 == 0xFF;
    header.height = header.top_down ? (std::int64_t{1} << 32) - height : std::int64_t{height};
    reader.take(2);
    header.bits = static_cast<int>(reader.u16le());
    header.compression = reader.u32le();
    reader.take(12);
    colours = reader.u32le();
    reader.take(4);
    if (header.compression == kBitFields) read_masks(reader, header_size, header);
    if (header_size > 40) reader.seek(14 + header_size);
  } else {
    fail_decode(kFormat, "its header of {} bytes is unknown", header_size);
  }
  if (colours == 0 && header.bits <= 8) colours = 1u << header.bits;
  const std::size_t entry = core ? 3 : 4;
  // Some writers forget the palette when they say where the pixels are.
  if (pixels == 14u + header_size && header.bits <= 8) pixels += std::uint64_t{entry} * colours;
  if (header.bits == 1 || header.bits == 4 || header.bits == 8) read_palette(reader, colours, entry, header);
  header.pixels = static_cast<std::size_t>(pixels != 0 ? pixels : reader.position());
  return header;
}

// Byte positions of red, green, blue and (or -1) alpha in a 32-bit pixel.
struct Order {
  int red, green, blue, alpha;
};

Order order_of(const Header& header) {
  struct Known {
    std::array<std::uint32_t, 4> masks;
    Order order;
  };
  static constexpr Known kKnown[] = {
      {{0xFF0000, 0xFF00, 0xFF, 0}, {2, 1, 0, -1}},         {{0xFF000000, 0xFF0000, 0xFF00, 0}, {3, 2, 1, -1}},
      {{0xFF000000, 0xFF00, 0xFF, 0}, {3, 1, 0, -1}},       {{0xFF000000, 0xFF0000, 0xFF00, 0xFF}, {3, 2, 1, 0}},
      {{0xFF, 0xFF00, 0xFF0000, 0xFF000000}, {0, 1, 2, 3}}, {{0xFF0000, 0xFF00, 0xFF, 0xFF000000}, {2, 1, 0, 3}},
      {{0xFF000000, 0xFF00, 0xFF, 0xFF0000}, {3, 1, 0, 2}}, {{0, 0, 0, 0}, {2, 1, 0, 3}},
  };
  if (header.compression != kBitFields) return {2, 1, 0, -1};
  for (const Known& known : kKnown) {
    if (known.masks == header.masks) return known.order;
  }
  fail_decode(kFormat, "its bit fields {:08x} {:08x} {:08x} {:08x} are not supported", header.masks[0], header.masks[1], header.masks[2],
              header.masks[3]);
}

void check_layout(const Header& header) {
  const int bits = header.bits;
  if (bits != 1 && bits != 4 && bits != 8 && bits != 16 && bits != 24 && bits != 32) fail_decode(kFormat, "it has {} bits a pixel", bits);
  switch (header.compression) {
    case kRaw:
      return;
    case kRle8:
    case kRle4:
      if (bits > 8) fail_decode(kFormat, "it has {} bits a pixel, too many for run lengths", bits);
      return;
    case kBitFields: {
      const auto& m = header.masks;
      const bool known =
          bits == 32 || (bits == 24 && m[0] == 0xFF0000 && m[1] == 0xFF00 && m[2] == 0xFF) ||
          (bits == 16 && ((m[0] == 0xF800 && m[1] == 0x7E0 && m[2] == 0x1F) || (m[0] == 0x7C00 && m[1] == 0x3E0 && m[2] == 0x1F)));
      if (!known) fail_decode(kFormat, "its bit fields {:x} {:x} {:x} are not supported", m[0], m[1], m[2]);
      return;
    }
    default:
      fail_decode(kFormat, "compression {} (JPEG or PNG inside a bitmap) is not supported", header.compression);
  }
}

void indexed_row(const Header& header, const std::uint8_t* in, int pixels, std::uint8_t* rgb) {
  const unsigned mask = (1u << header.bits) - 1;
  for (int x = 0; x < pixels; ++x, rgb += 3) {
    const int bit = x * header.bits;
    const auto& colour = header.palette[static_cast<unsigned>(in[bit / 8] >> (8 - header.bits - bit % 8)) & mask];
    std::copy(colour.begin(), colour.end(), rgb);
  }
}

void row_of_16_bits(const Header& header, const std::uint8_t* in, int pixels, std::uint8_t* rgb) {
  const bool six_green = header.compression == kBitFields && header.masks[1] == 0x7E0;
  for (int x = 0; x < pixels; ++x, in += 2, rgb += 3) {
    const unsigned pixel = in[0] | static_cast<unsigned>(in[1]) << 8;
    const unsigned red = six_green ? pixel >> 11 : pixel >> 10 & 31;
    rgb[0] = static_cast<std::uint8_t>(red * 255 / 31);
    rgb[1] = static_cast<std::uint8_t>(six_green ? (pixel >> 5 & 63) * 255 / 63 : (pixel >> 5 & 31) * 255 / 31);
    rgb[2] = static_cast<std::uint8_t>((pixel & 31) * 255 / 31);
  }
}

void row_of_24_bits(const std::uint8_t* in, int pixels, std::uint8_t* rgb) {
  for (int x = 0; x < pixels; ++x, in += 3, rgb += 3) rgb[0] = in[2], rgb[1] = in[1], rgb[2] = in[0];
}

void row_of_32_bits(const Order& order, bool flatten, const std::uint8_t* in, int pixels, std::uint8_t* rgb) {
  for (int x = 0; x < pixels; ++x, in += 4, rgb += 3) {
    rgb[0] = in[order.red], rgb[1] = in[order.green], rgb[2] = in[order.blue];
    if (!flatten || order.alpha < 0) continue;
    for (int c = 0; c < 3; ++c) rgb[c] = over_white(rgb[c], in[order.alpha]);
  }
}

void decode_rows(Bytes encoded, const Header& header, const DecodeOptions& options, Image& out) {
  const int height = out.size.height, width = out.size.width;
  const std::size_t row_bytes = (static_cast<std::size_t>(width) * static_cast<std::size_t>(header.bits) + 7) / 8;
  const std::size_t stride = (row_bytes + 3) / 4 * 4;
  const Order order = header.bits == 32 ? order_of(header) : Order{};
  const bool flatten = options.alpha == Alpha::kFlattenOnWhite;
  const std::uint8_t* in = as_u8(encoded) + header.pixels;
  for (int y = 0; y < height; ++y, in += stride) {
    std::uint8_t* rgb = picture_row(out, header.top_down ? y : height - 1 - y);
    if (header.bits <= 8) {
      indexed_row(header, in, width, rgb);
    } else if (header.bits == 16) {
      row_of_16_bits(header, in, width, rgb);
    } else if (header.bits == 24) {
      row_of_24_bits(in, width, rgb);
    } else {
      row_of_32_bits(order, flatten, in, width, rgb);
    }
  }
}

// Run lengths, as one sequence of palette indices that wraps from row to row: Pillow's reading of the format.
class RunReader {
 public:
  RunReader(Bytes encoded, const Header& header, std::size_t count)
      : reader_(kFormat, encoded, header.pixels),
        four_bits_(header.compression == kRle4),
        width_(static_cast<std::size_t>(header.width)),
        count_(count) {}

  std::vector<std::uint8_t> read() {
    while (indices_.size() < count_ && reader_.remaining() >= 2) {
      const std::size_t length = reader_.u8();
      const unsigned value = reader_.u8();
      if (length > 0) {
        run(length, value);
      } else if (value == 0) {
        pad((width_ - indices_.size() % width_) % width_);
        x_ = 0;
      } else if (value == 2) {
        if (reader_.remaining() < 2) break;
        const std::size_t right = reader_.u8();
        pad(std::min(count_ - indices_.size(), right + reader_.u8() * width_));
        x_ = indices_.size() % width_;
      } else if (value == 1 || !copy(value)) {
        break;
      }
    }
    if (indices_.size() < count_) fail_decode(kFormat, "its run lengths end after {} of {} pixels", indices_.size(), count_);
    indices_.resize(count_);
    return std::move(indices_);
  }

 private:
  void pad(std::size_t pixels) { indices_.insert(indices_.end(), pixels, std::uint8_t{0}); }
  void push_nibble(unsigned byte, bool low) { indices_.push_back(static_cast<std::uint8_t>(low ? byte & 15 : byte >> 4)); }

  void run(std::size_t length, unsigned value) {
    length = std::min(length, width_ - std::min(width_, x_));  // no run crosses the end of a row
    for (std::size_t i = 0; i < length; ++i) {
      if (four_bits_) {
        push_nibble(value, i % 2 != 0);
      } else {
        indices_.push_back(static_cast<std::uint8_t>(value));
      }
    }
    x_ += length;
  }

  // Literal pixels, padded to 16 bits. False at the end of the data or of the picture.
  bool copy(std::size_t length) {
    const std::size_t pixels = std::min(count_ - indices_.size(), length);
    const std::size_t bytes = four_bits_ ? (pixels + 1) / 2 : pixels;
    if (reader_.remaining() < bytes) return false;
    const Bytes data = reader_.take(bytes);
    for (std::size_t i = 0; i < pixels; ++i) {
      if (four_bits_) {
        push_nibble(as_u8(data)[i / 2], i % 2 != 0);
      } else {
        indices_.push_back(as_u8(data)[i]);
      }
    }
    if (indices_.size() == count_) return false;
    x_ += length;
    if (reader_.position() % 2 != 0 && reader_.remaining() > 0) reader_.take(1);
    return true;
  }

  ByteReader reader_;
  bool four_bits_;
  std::size_t width_, count_, x_ = 0;
  std::vector<std::uint8_t> indices_;
};

void decode_runs(Bytes encoded, const Header& header, Image& out) {
  const auto width = static_cast<std::size_t>(header.width);
  // The picture's memory is taken only when the file has proved to hold its pixels.
  const std::vector<std::uint8_t> indices = RunReader(encoded, header, width * static_cast<std::size_t>(header.height)).read();
  resize_picture(out, static_cast<int>(header.height), static_cast<int>(header.width));
  for (int y = 0; y < out.size.height; ++y) {
    std::uint8_t* rgb = picture_row(out, header.top_down ? y : out.size.height - 1 - y);
    const std::uint8_t* row = indices.data() + static_cast<std::size_t>(y) * width;
    for (std::size_t x = 0; x < width; ++x, rgb += 3) std::copy(header.palette[row[x]].begin(), header.palette[row[x]].end(), rgb);
  }
}

// Before memory is taken: could the file hold that many pixels?
void check_length(Bytes encoded, const Header& header) {
  if (header.pixels > encoded.size()) fail_decode(kFormat, "it is truncated before its pixels");
  if (header.compression == kRle4 || header.compression == kRle8) return;  // their memory grows as they are read
  const std::uint64_t available = encoded.size() - header.pixels;
  const auto width = static_cast<std::uint64_t>(header.width), height = static_cast<std::uint64_t>(header.height);
  const std::uint64_t row_bytes = (width * static_cast<std::uint64_t>(header.bits) + 7) / 8;
  const std::uint64_t needed = (height - 1) * ((row_bytes + 3) / 4 * 4) + row_bytes;
  if (needed > available) fail_decode(kFormat, "it is truncated: its pixels need {} bytes, {} are there", needed, available);
}

}  // namespace

ImageInfo probe_bmp(Bytes encoded) {
  const Header header = read_header(encoded);
  check_picture_size(kFormat, header.height, header.width, std::numeric_limits<std::int64_t>::max());
  check_layout(header);
  std::string mode = header.bits <= 8 ? fmt::format("palette {}-bit", header.bits) : "RGB";
  if (header.bits == 32 && order_of(header).alpha >= 0) mode = "RGBA";
  return {.size = {static_cast<int>(header.height), static_cast<int>(header.width)}, .mode = mode};
}

void decode_bmp(Bytes encoded, const DecodeOptions& options, Image& out) {
  const Header header = read_header(encoded);
  check_picture_size(kFormat, header.height, header.width, options.max_pixels);
  check_layout(header);
  check_length(encoded, header);
  if (header.compression == kRle4 || header.compression == kRle8) {
    decode_runs(encoded, header, out);
  } else {
    resize_picture(out, static_cast<int>(header.height), static_cast<int>(header.width));
    decode_rows(encoded, header, options, out);
  }
}

}  // namespace headstart
