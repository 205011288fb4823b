// The portable anymaps PBM, PGM and PPM, plain (P1 to P3) and raw (P4 to P6), samples of up to 16 bits.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "image/decode_formats.h"

namespace headstart {
namespace {

constexpr std::string_view kFormat = "PNM";

struct Header {
  int kind = 0;  // 1..6
  std::int64_t height = 0, width = 0;
  unsigned max_value = 1;
  std::size_t pixels = 0;  // where they begin

  bool plain() const { return kind <= 3; }
  bool bitmap() const { return kind == 1 || kind == 4; }
  int channels() const { return kind == 3 || kind == 6 ? 3 : 1; }
};

bool is_space(unsigned c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

void skip_comment(ByteReader& reader) {
  while (reader.remaining() > 0) {
    const unsigned c = reader.u8();
    if (c == '\n' || c == '\r') return;
  }
}

// The next number; consumes the one white-space character behind it. A comment may stand anywhere, even inside.
unsigned read_number(ByteReader& reader) {
  constexpr int kMaxDigits = 9;
  unsigned value = 0;
  int digits = 0;
  while (reader.remaining() > 0) {
    const unsigned c = reader.u8();
    if (is_space(c)) {
      if (digits == 0) continue;
      return value;
    }
    if (c == '#') {
      skip_comment(reader);
      continue;
    }
    if (c < '0' || c > '9') fail_decode(kFormat, "a byte of value {} stands where a number should", c);
    if (++digits > kMaxDigits) fail_decode(kFormat, "a number has more than {} digits", kMaxDigits);
    value = value * 10 + (c - '0');
  }
  if (digits == 0) fail_decode(kFormat, "it is truncated");
  return value;
}

Header read_header(Bytes encoded) {
  Header header;
  header.kind = static_cast<int>(as_u8(encoded)[1]) - '0';
  ByteReader reader(kFormat, encoded, 2);
  header.width = read_number(reader);
  header.height = read_number(reader);
  if (!header.bitmap()) header.max_value = read_number(reader);
  if (header.max_value == 0 || header.max_value > 65535)
    fail_decode(kFormat, "its greatest value is {}, not from 1 to 65535", header.max_value);
  header.pixels = reader.position();
  return header;
}

// Sample values to bytes with Pillow's rounding (double arithmetic, halves to even).
class Scale {
 public:
  Scale(const Header& header, const DecodeOptions& options) : bytes_(header.max_value < 256 ? 256 : 65536) {
    const bool wide_grey = header.channels() == 1 && header.max_value > 255;
    const double top = wide_grey ? 65535 : 255;
    for (std::size_t i = 0; i < bytes_.size(); ++i) {
      double value = std::min(top, std::nearbyint(static_cast<double>(i) / header.max_value * top));
      if (wide_grey) value = options.clip_16_bit_grey ? std::min(value, 255.0) : std::floor(value / 256);
      bytes_[i] = static_cast<std::uint8_t>(value);
    }
  }
  std::uint8_t operator()(std::size_t sample) const { return bytes_[sample]; }

 private:
  std::vector<std::uint8_t> bytes_;
};

void put(const Header& header, std::uint8_t value, std::uint8_t*& rgb) {
  const int copies = header.channels() == 3 ? 1 : 3;
  for (int i = 0; i < copies; ++i) *rgb++ = value;
}

// Plain bitmaps need no white space between their digits.
unsigned read_bit(ByteReader& reader) {
  for (;;) {
    const unsigned c = reader.u8();
    if (c == '#') {
      skip_comment(reader);
    } else if (c == '0' || c == '1') {
      return c - '0';
    } else if (!is_space(c)) {
      fail_decode(kFormat, "a byte of value {} stands where 0 or 1 should", c);
    }
  }
}

void decode_plain(ByteReader& reader, const Header& header, const DecodeOptions& options, Image& out) {
  const Scale scale(header, options);
  const auto samples = static_cast<std::int64_t>(out.rgb.size()) / 3 * header.channels();
  std::uint8_t* rgb = out.rgb.data();
  for (std::int64_t i = 0; i < samples; ++i) {
    if (header.bitmap()) {
      put(header, read_bit(reader) != 0 ? 0 : 255, rgb);
      continue;
    }
    const unsigned value = read_number(reader);
    if (value > header.max_value) fail_decode(kFormat, "the value {} is above its greatest value {}", value, header.max_value);
    put(header, scale(value), rgb);
  }
}

void decode_bits(const std::uint8_t* in, Image& out) {
  std::uint8_t* rgb = out.rgb.data();
  for (int y = 0; y < out.size.height; ++y, in += (out.size.width + 7) / 8) {
    for (int x = 0; x < out.size.width; ++x, rgb += 3) rgb[0] = rgb[1] = rgb[2] = (in[x / 8] >> (7 - x % 8) & 1) != 0 ? 0 : 255;
  }
}

void decode_raw(const std::uint8_t* in, const Header& header, const DecodeOptions& options, Image& out) {
  if (header.max_value == 255 && header.channels() == 3) {
    std::memcpy(out.rgb.data(), in, out.rgb.size());
    return;
  }
  const Scale scale(header, options);
  const std::size_t samples = out.rgb.size() / 3 * static_cast<std::size_t>(header.channels());
  std::uint8_t* rgb = out.rgb.data();
  for (std::size_t i = 0; i < samples; ++i) {
    put(header, scale(header.max_value < 256 ? std::size_t{in[i]} : std::size_t{in[2 * i]} << 8 | in[2 * i + 1]), rgb);
  }
}

// Bytes that the pixels need at least; known before memory is taken.
std::uint64_t least_bytes(const Header& header) {
  const auto width = static_cast<std::uint64_t>(header.width), height = static_cast<std::uint64_t>(header.height);
  const std::uint64_t samples = width * height * static_cast<std::uint64_t>(header.channels());
  if (header.kind == 1) return samples;
  if (header.plain()) return samples * 2 - 1;
  if (header.kind == 4) return (width + 7) / 8 * height;
  return samples * (header.max_value < 256 ? 1 : 2);
}

}  // namespace

ImageInfo probe_pnm(Bytes encoded) {
  const Header header = read_header(encoded);
  check_picture_size(kFormat, header.height, header.width, std::numeric_limits<std::int64_t>::max());
  std::string mode = header.bitmap() ? "black and white" : header.channels() == 3 ? "RGB" : "grey";
  if (header.max_value > 255) mode += " 16-bit";
  return {.size = {static_cast<int>(header.height), static_cast<int>(header.width)}, .mode = mode};
}

void decode_pnm(Bytes encoded, const DecodeOptions& options, Image& out) {
  const Header header = read_header(encoded);
  check_picture_size(kFormat, header.height, header.width, options.max_pixels);
  ByteReader reader(kFormat, encoded, header.pixels);
  if (least_bytes(header) > reader.remaining()) {
    fail_decode(kFormat, "it is truncated: its pixels need {} bytes, {} are there", least_bytes(header), reader.remaining());
  }
  resize_picture(out, static_cast<int>(header.height), static_cast<int>(header.width));
  if (header.plain()) {
    decode_plain(reader, header, options, out);
  } else if (header.bitmap()) {
    decode_bits(as_u8(encoded) + header.pixels, out);
  } else {
    decode_raw(as_u8(encoded) + header.pixels, header, options, out);
  }
}

}  // namespace headstart
