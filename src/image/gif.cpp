// The first frame of a GIF, decoded here: the format is small, and the pixels go through the palette straight into the picture.
#include <algorithm>
#include <array>

#include "image/decode_formats.h"

namespace headstart {
namespace {

constexpr std::string_view kFormat = "GIF";

using Palette = std::array<std::uint8_t, 256 * 3>;

struct Frame {
  int left = 0, top = 0, width = 0, height = 0;
  bool interlaced = false;
  int transparent = -1;  // palette index
};

struct Gif {
  int height = 0, width = 0;
  Palette palette{};
  bool has_palette = false;
  Frame frame;
  std::size_t data = 0;  // where the frame's compressed data begins: the code size
};

Palette grey_ramp() {
  Palette ramp{};
  for (std::size_t i = 0; i < ramp.size(); ++i) ramp[i] = static_cast<std::uint8_t>(i / 3);
  return ramp;
}

// Like Pillow: a palette that only repeats its indices is grey, also beyond its end; another one ends in black.
void read_palette(ByteReader& reader, unsigned flags, Gif& gif) {
  const std::size_t count = std::size_t{2} << (flags & 7);
  const Bytes colours = reader.take(count * 3);
  const Palette ramp = grey_ramp();
  gif.has_palette = !std::equal(as_u8(colours), as_u8(colours) + colours.size(), ramp.begin());
  gif.palette = gif.has_palette ? Palette{} : ramp;
  if (gif.has_palette) std::copy_n(as_u8(colours), colours.size(), gif.palette.begin());
}

void skip_blocks(ByteReader& reader) {
  for (unsigned length = reader.u8(); length != 0; length = reader.u8()) reader.take(length);
}

void read_extension(ByteReader& reader, Gif& gif) {
  constexpr unsigned kGraphicControl = 0xF9;
  const unsigned label = reader.u8();
  const unsigned length = reader.u8();
  if (length == 0) return;
  const Bytes block = reader.take(length);
  if (label == kGraphicControl && length >= 4 && (as_u8(block)[0] & 1) != 0) gif.frame.transparent = as_u8(block)[3];
  skip_blocks(reader);
}

void read_descriptor(ByteReader& reader, Gif& gif) {
  gif.frame.left = static_cast<int>(reader.u16le());
  gif.frame.top = static_cast<int>(reader.u16le());
  gif.frame.width = static_cast<int>(reader.u16le());
  gif.frame.height = static_cast<int>(reader.u16le());
  const unsigned flags = reader.u8();
  gif.frame.interlaced = (flags & 0x40) != 0;
  if ((flags & 0x80) != 0) read_palette(reader, flags, gif);
  // The screen grows to hold a frame that overhangs, as in browsers and Pillow.
  gif.width = std::max(gif.width, gif.frame.left + gif.frame.width);
  gif.height = std::max(gif.height, gif.frame.top + gif.frame.height);
  gif.data = reader.position();
}

Gif read_header(Bytes encoded) {
  Gif gif;
  gif.palette = grey_ramp();
  ByteReader reader(kFormat, encoded, 6);
  gif.width = static_cast<int>(reader.u16le());
  gif.height = static_cast<int>(reader.u16le());
  const unsigned flags = reader.u8();
  reader.take(2);  // background index, pixel aspect
  if ((flags & 0x80) != 0) read_palette(reader, flags, gif);
  for (;;) {
    const unsigned block = reader.u8();
    if (block == ';') fail_decode(kFormat, "it holds no picture");
    if (block == '!') read_extension(reader, gif);
    if (block == ',') break;
  }
  read_descriptor(reader, gif);
  return gif;
}

// Takes palette indices in the order of the file and puts colours where they belong.
class PixelWriter {
 public:
  PixelWriter(const Gif& gif, const Palette& palette, Image& out) : palette_(palette), out_(out), frame_(gif.frame) { begin_row(); }
  bool full() const { return full_; }
  void put(std::uint8_t index) {
    const std::uint8_t* colour = palette_.data() + std::size_t{index} * 3;
    at_[0] = colour[0], at_[1] = colour[1], at_[2] = colour[2];
    at_ += 3;
    if (++x_ == frame_.width) next_row();
  }

 private:
  void begin_row() { at_ = picture_row(out_, frame_.top + y_) + static_cast<std::ptrdiff_t>(frame_.left) * 3; }
  void next_row() {
    static constexpr int kStart[] = {0, 4, 2, 1};
    static constexpr int kStep[] = {8, 8, 4, 2};
    x_ = 0;
    y_ += frame_.interlaced ? kStep[pass_] : 1;
    while (y_ >= frame_.height) {
      ++pass_;
      full_ = !frame_.interlaced || pass_ == 4;
      if (full_) return;
      y_ = kStart[pass_];
    }
    begin_row();
  }

  const Palette& palette_;
  Image& out_;
  const Frame frame_;
  std::uint8_t* at_ = nullptr;
  int x_ = 0, y_ = 0, pass_ = 0;
  bool full_ = false;
};

// Codes of 2 to 12 bits, packed from the low bit up, in blocks of at most 255 bytes.
class CodeReader {
 public:
  explicit CodeReader(ByteReader& reader) : reader_(reader) {}
  unsigned next(unsigned bits) {
    while (count_ < bits) {
      if (block_.empty()) {
        const unsigned length = reader_.u8();
        if (length == 0) fail_decode(kFormat, "its pixel data ends too early");
        block_ = reader_.take(length);
      }
      buffer_ |= std::to_integer<std::uint32_t>(block_[0]) << count_;
      block_ = block_.subspan(1);
      count_ += 8;
    }
    const unsigned code = buffer_ & ((1u << bits) - 1);
    buffer_ >>= bits;
    count_ -= bits;
    return code;
  }

 private:
  ByteReader& reader_;
  Bytes block_;
  std::uint32_t buffer_ = 0;
  unsigned count_ = 0;
};

// Lempel-Ziv-Welch: each code is an earlier string and one more pixel.
class LzwDecoder {
 public:
  LzwDecoder(ByteReader& reader, unsigned root_bits) : codes_(reader), root_bits_(root_bits), clear_(1u << root_bits) {}

  void decode(PixelWriter& writer) {
    reset();
    while (!writer.full()) {
      const unsigned code = codes_.next(bits_);
      if (code == clear_) {
        reset();
      } else if (code == clear_ + 1) {
        fail_decode(kFormat, "its pixel data ends too early");
      } else if (previous_ == kNone) {
        if (code > clear_) fail_decode(kFormat, "its pixel data is damaged");
        first_ = static_cast<std::uint8_t>(code);
        previous_ = code;
        writer.put(first_);
      } else {
        expand(code, writer);
      }
    }
  }

 private:
  static constexpr unsigned kTable = 4096, kMaxBits = 12, kNone = ~0u;

  void reset() {
    next_ = clear_ + 2;
    bits_ = root_bits_ + 1;
    previous_ = kNone;
  }

  void expand(unsigned code, PixelWriter& writer) {
    if (code > next_) fail_decode(kFormat, "its pixel data is damaged");
    std::size_t begin = stack_.size();
    unsigned at = code;
    if (code == next_) {  // the string that this very code completes
      stack_[--begin] = first_;
      at = previous_;
    }
    for (; at >= clear_; at = prefix_[at]) stack_[--begin] = suffix_[at];
    first_ = static_cast<std::uint8_t>(at);
    stack_[--begin] = first_;
    for (; begin < stack_.size() && !writer.full(); ++begin) writer.put(stack_[begin]);
    if (next_ < kTable) {
      suffix_[next_] = first_;
      prefix_[next_] = static_cast<std::uint16_t>(previous_);
      if (++next_ == (1u << bits_) && bits_ < kMaxBits) ++bits_;
    }
    previous_ = code;
  }

  CodeReader codes_;
  unsigned root_bits_, clear_, next_ = 0, bits_ = 0, previous_ = kNone;
  std::uint8_t first_ = 0;
  std::array<std::uint8_t, kTable> suffix_{};
  std::array<std::uint16_t, kTable> prefix_{};
  std::array<std::uint8_t, kTable + 2> stack_{};
};

}  // namespace

ImageInfo probe_gif(Bytes encoded) {
  const Gif gif = read_header(encoded);
  check_picture_size(kFormat, gif.height, gif.width, std::numeric_limits<std::int64_t>::max());
  std::string mode = gif.has_palette ? "palette" : "grey";
  if (gif.frame.transparent >= 0) mode += " with transparency";
  return {.size = {gif.height, gif.width}, .mode = mode};
}

void decode_gif(Bytes encoded, const DecodeOptions& options, Image& out) {
  const Gif gif = read_header(encoded);
  check_picture_size(kFormat, gif.height, gif.width, options.max_pixels);
  const Frame& frame = gif.frame;
  if (frame.width == 0 || frame.height == 0) fail_decode(kFormat, "its first frame is empty");
  ByteReader reader(kFormat, encoded, gif.data);
  const unsigned root_bits = reader.u8();
  if (root_bits < 1 || root_bits > 8) fail_decode(kFormat, "its code size {} is not from 1 to 8", root_bits);
  // A code has at least two bits and stands for at most 4096 pixels.
  if (static_cast<std::uint64_t>(frame.width) * static_cast<std::uint64_t>(frame.height) / 4096 > reader.remaining() * std::uint64_t{4}) {
    fail_decode(kFormat, "{} bytes cannot hold its {} x {} pixels (width x height)", reader.remaining(), frame.width, frame.height);
  }
  Palette palette = gif.palette;
  if (frame.transparent >= 0 && options.alpha == Alpha::kFlattenOnWhite) {
    std::fill_n(palette.begin() + std::ptrdiff_t{3} * frame.transparent, 3, std::uint8_t{255});
  }
  resize_picture(out, gif.height, gif.width);
  if (frame.width < gif.width || frame.height < gif.height) {
    const std::uint8_t* outside = palette.data() + std::size_t{3} * static_cast<std::size_t>(std::max(frame.transparent, 0));
    for (std::size_t i = 0; i < out.rgb.size(); ++i) out.rgb[i] = outside[i % 3];
  }
  PixelWriter writer(gif, palette, out);
  LzwDecoder(reader, root_bits).decode(writer);
}

}  // namespace headstart
