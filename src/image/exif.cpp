#include "image/exif.h"

#include <webp/demux.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <string_view>

namespace headstart {
namespace {

constexpr std::uint16_t kOrientationTag = 0x0112;
constexpr std::size_t kMaxInflatedText = std::size_t{1} << 20;  // Pillow's limit for one compressed text chunk
constexpr std::string_view kExifPrefix{"Exif\0\0", 6};
constexpr std::string_view kXmpPrefix{"http://ns.adobe.com/xap/1.0/\0", 29};

std::string_view as_text(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
Bytes as_bytes(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

// A view of an EXIF block in its own byte order; reads outside are zero.
class ExifView {
 public:
  ExifView(Bytes bytes, bool big_endian) : bytes_(bytes), big_endian_(big_endian) {}
  bool holds(std::uint64_t offset, std::uint64_t count) const { return offset <= bytes_.size() && count <= bytes_.size() - offset; }
  std::uint32_t u16(std::uint64_t offset) const { return number(offset, 2); }
  std::uint32_t u32(std::uint64_t offset) const { return number(offset, 4); }

 private:
  std::uint32_t number(std::uint64_t offset, int width) const {
    if (!holds(offset, static_cast<std::uint64_t>(width))) return 0;
    std::uint32_t value = 0;
    for (int i = 0; i < width; ++i) {
      const auto at = static_cast<std::size_t>(offset) + static_cast<std::size_t>(big_endian_ ? i : width - 1 - i);
      value = value << 8 | std::to_integer<std::uint32_t>(bytes_[at]);
    }
    return value;
  }
  Bytes bytes_;
  bool big_endian_;
};

// Text after `separators` zero bytes, or nullopt when there are fewer.
std::optional<std::string_view> after_zeros(std::string_view text, int separators) {
  for (int i = 0; i < separators; ++i) {
    const auto at = text.find('\0');
    if (at == std::string_view::npos) return std::nullopt;
    text.remove_prefix(at + 1);
  }
  return text;
}

// Inflates at most kMaxInflatedText bytes; "" for damaged data.
std::string inflate_text(std::string_view deflated) {
  std::string text(std::min(kMaxInflatedText, deflated.size() * 64 + 1024), '\0');
  z_stream stream{};
  if (inflateInit(&stream) != Z_OK) return {};
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(deflated.data()));
  stream.avail_in = static_cast<uInt>(std::min<std::size_t>(deflated.size(), kMaxInflatedText));
  stream.next_out = reinterpret_cast<Bytef*>(text.data());
  stream.avail_out = static_cast<uInt>(text.size());
  const int result = inflate(&stream, Z_FINISH);
  const std::size_t produced = text.size() - stream.avail_out;
  inflateEnd(&stream);
  if (result != Z_STREAM_END) return {};
  text.resize(produced);
  return text;
}

// ImageMagick's text form of an EXIF block: "\nexif\n    1234\n" and hexadecimal digits in lines.
std::optional<std::uint32_t> raw_profile_orientation(std::string_view text) {
  for (int line = 0; line < 3; ++line) {
    const auto end = text.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    text.remove_prefix(end + 1);
  }
  std::string exif;
  int high = -1;
  for (const char c : text) {
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    if (digit < 0) continue;
    if (high >= 0) exif.push_back(static_cast<char>(high << 4 | digit));
    high = high >= 0 ? -1 : digit;
  }
  return exif_orientation(as_bytes(exif));
}

struct PngTexts {
  std::optional<std::uint32_t> exif, raw_profile, xmp;
};

// tEXt: key 0 text. zTXt: key 0 method deflated. iTXt: key 0 compressed? method language 0 key 0 text.
void read_png_text(std::string_view type, std::string_view data, PngTexts& texts) {
  const auto key = data.substr(0, data.find('\0'));
  const bool profile = key == "Raw profile type exif";
  const bool xmp = key == "XML:com.adobe.xmp";
  if (!profile && !xmp) return;
  auto body = after_zeros(data, 1);
  if (!body) return;
  std::string inflated;
  if (type == "zTXt") {
    inflated = body->empty() ? "" : inflate_text(body->substr(1));
    body = inflated;
  } else if (type == "iTXt") {
    if (body->size() < 2) return;
    const bool compressed = (*body)[0] != 0;
    body = after_zeros(body->substr(2), 2);
    if (!body) return;
    if (compressed) inflated = inflate_text(*body), body = inflated;
  }
  if (profile) texts.raw_profile = raw_profile_orientation(*body);
  if (xmp) texts.xmp = xmp_orientation(as_bytes(*body));
}

// Rows and columns exchange places in tiles that fit the first-level cache. `flip_x` and `flip_y` mirror the result.
void transpose_pixels(const std::uint8_t* in, ImageSize size, bool flip_x, bool flip_y, std::uint8_t* out) {
  constexpr int kTile = 32;
  const auto stride = static_cast<std::ptrdiff_t>(size.height) * 3;
  for (int top = 0; top < size.height; top += kTile) {
    for (int left = 0; left < size.width; left += kTile) {
      for (int y = top; y < std::min(top + kTile, size.height); ++y) {
        const std::uint8_t* from = in + (static_cast<std::ptrdiff_t>(y) * size.width + left) * 3;
        const int column = flip_x ? size.height - 1 - y : y;
        for (int x = left; x < std::min(left + kTile, size.width); ++x, from += 3) {
          std::uint8_t* to = out + (flip_y ? size.width - 1 - x : x) * stride + static_cast<std::ptrdiff_t>(column) * 3;
          to[0] = from[0], to[1] = from[1], to[2] = from[2];
        }
      }
    }
  }
}

void mirror_rows(Image& image) {
  for (int y = 0; y < image.size.height; ++y) {
    std::uint8_t* left = picture_row(image, y);
    std::uint8_t* right = left + static_cast<std::ptrdiff_t>(image.size.width - 1) * 3;
    for (; left < right; left += 3, right -= 3) std::swap_ranges(left, left + 3, right);
  }
}

void flip_rows(Image& image) {
  const auto stride = static_cast<std::ptrdiff_t>(image.size.width) * 3;
  for (int top = 0, bottom = image.size.height - 1; top < bottom; ++top, --bottom) {
    std::swap_ranges(picture_row(image, top), picture_row(image, top) + stride, picture_row(image, bottom));
  }
}

}  // namespace

std::optional<std::uint32_t> exif_orientation(Bytes exif) {
  while (as_text(exif).substr(0, kExifPrefix.size()) == kExifPrefix) exif = exif.subspan(kExifPrefix.size());
  const auto order = as_text(exif).substr(0, 2);
  if (exif.size() < 8 || (order != "II" && order != "MM")) return std::nullopt;
  const ExifView view(exif, order == "MM");
  if (view.u16(2) != 42) return std::nullopt;
  const std::uint64_t directory = view.u32(4);
  const std::uint32_t entries = view.u16(directory);
  std::optional<std::uint32_t> orientation;
  for (std::uint64_t entry = 0; entry < entries && view.holds(directory + 2 + entry * 12, 12); ++entry) {
    const std::uint64_t at = directory + 2 + entry * 12;
    if (view.u16(at) != kOrientationTag || view.u32(at + 4) == 0) continue;
    const std::uint32_t type = view.u16(at + 2);
    const bool in_place = view.u32(at + 4) <= (type == 3 ? 2u : 1u);
    const std::uint64_t value = in_place ? at + 8 : view.u32(at + 8);
    if (type == 3) orientation = view.u16(value);  // SHORT
    if (type == 4) orientation = view.u32(value);  // LONG
  }
  return orientation;
}

std::optional<std::uint32_t> xmp_orientation(Bytes xmp) {
  const std::string_view text = as_text(xmp);
  constexpr std::string_view kName = "tiff:Orientation";
  for (auto at = text.find(kName); at != std::string_view::npos; at = text.find(kName, at + 1)) {
    auto rest = text.substr(at + kName.size());
    if (rest.starts_with("=\"")) {
      rest.remove_prefix(2);
    } else if (rest.starts_with(">")) {
      rest.remove_prefix(1);
    } else {
      continue;
    }
    if (!rest.empty() && rest[0] >= '0' && rest[0] <= '9') return static_cast<std::uint32_t>(rest[0] - '0');
  }
  return std::nullopt;
}

int resolve_orientation(std::optional<std::uint32_t> exif, std::optional<std::uint32_t> xmp) {
  const std::uint32_t value = exif ? *exif : xmp.value_or(1);
  return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
}

int jpeg_orientation(Bytes encoded) {
  std::optional<std::uint32_t> exif, xmp;
  bool exif_seen = false;
  const auto* data = as_u8(encoded);
  const std::size_t size = encoded.size();
  std::size_t at = 2;
  while (at + 4 <= size) {
    if (data[at] != 0xFF || data[at + 1] == 0xFF || data[at + 1] == 0) {
      ++at;  // fill bytes and junk between segments
      continue;
    }
    const unsigned marker = data[at + 1];
    if (marker == 0xDA || marker == 0xD9) break;  // first scan, end of the picture
    if (marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8)) {
      at += 2;  // markers without a length
      continue;
    }
    const std::size_t length = static_cast<std::size_t>(data[at + 2]) << 8 | data[at + 3];
    if (length < 2 || length > size - at - 2) break;
    if (marker == 0xE1) {
      const Bytes segment = encoded.subspan(at + 4, length - 2);
      if (as_text(segment).starts_with(kExifPrefix) && !exif_seen) exif = exif_orientation(segment), exif_seen = true;
      if (as_text(segment).starts_with(kXmpPrefix)) xmp = xmp_orientation(segment.subspan(kXmpPrefix.size()));
    }
    at += 2 + length;
  }
  return resolve_orientation(exif, xmp);
}

int png_orientation(Bytes encoded) {
  PngTexts texts;
  std::size_t at = 8;
  while (at <= encoded.size() && encoded.size() - at >= 12) {
    const std::size_t length = load_u32be(as_u8(encoded) + at);
    if (length > encoded.size() - at - 12) break;
    const std::string_view type = as_text(encoded.subspan(at + 4, 4));
    const Bytes data = encoded.subspan(at + 8, length);
    if (type == "IEND") break;
    if (type == "eXIf") texts.exif = exif_orientation(data);
    if (type == "tEXt" || type == "zTXt" || type == "iTXt") read_png_text(type, as_text(data), texts);
    at += 12 + length;
  }
  return resolve_orientation(texts.exif ? texts.exif : texts.raw_profile, texts.xmp);
}

int webp_orientation(Bytes encoded) {
  const WebPData data{as_u8(encoded), encoded.size()};
  WebPDemuxer* demuxer = WebPDemux(&data);
  if (demuxer == nullptr) return 1;
  WebPChunkIterator chunk{};
  std::optional<std::uint32_t> exif, xmp;
  const auto bytes_of = [](const WebPData& part) { return std::as_bytes(std::span(part.bytes, part.size)); };
  if (WebPDemuxGetChunk(demuxer, "EXIF", 1, &chunk)) exif = exif_orientation(bytes_of(chunk.chunk));
  WebPDemuxReleaseChunkIterator(&chunk);
  if (WebPDemuxGetChunk(demuxer, "XMP ", 1, &chunk)) xmp = xmp_orientation(bytes_of(chunk.chunk));
  WebPDemuxReleaseChunkIterator(&chunk);
  WebPDemuxDelete(demuxer);
  return resolve_orientation(exif, xmp);
}

void apply_orientation(Image& image, int orientation, std::vector<std::uint8_t>& scratch) {
  if (orientation == 2 || orientation == 3) mirror_rows(image);
  if (orientation == 3 || orientation == 4) flip_rows(image);
  if (orientation < 5 || orientation > 8) return;
  scratch.resize(image.rgb.size());
  const bool flip_x = orientation == 6 || orientation == 7;  // 6: a quarter turn clockwise, 7: the other diagonal
  const bool flip_y = orientation == 7 || orientation == 8;  // 8: a quarter turn counter-clockwise
  transpose_pixels(image.rgb.data(), image.size, flip_x, flip_y, scratch.data());
  image.rgb.swap(scratch);
  std::swap(image.size.height, image.size.width);
}

}  // namespace headstart
