// PNG through libpng. Colour chunks (gAMA, iCCP, …) are not applied, as by Pillow; text and unknown chunks are never unpacked.
#include <png.h>
#include <zlib.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <vector>

#include "image/decode_formats.h"

namespace headstart {
namespace {

constexpr std::string_view kFormat = "PNG";

struct Header {
  std::int64_t height = 0, width = 0;
  int depth = 0, colour = 0;
  bool interlaced = false;
  bool transparency = false;  // a tRNS chunk before the pixels
};

bool is_chunk_type(const std::uint8_t* type) {
  for (int i = 0; i < 4; ++i) {
    const unsigned letter = type[i] | 0x20u;
    if (letter < 'a' || letter > 'z') return false;
  }
  return true;
}

void read_ihdr(const std::uint8_t* data, std::size_t length, Header& header) {
  if (length < 13) fail_decode(kFormat, "its header chunk is too short");
  header = {.height = load_u32be(data + 4), .width = load_u32be(data), .depth = data[8], .colour = data[9], .interlaced = data[12] != 0};
}

// Walks the chunks up to the pixels. Their checksums must be right; those of the pixel chunks are not looked at, as by Pillow, because the
// compressed stream has a checksum of its own.
Header read_header(Bytes encoded) {
  Header header;
  bool header_seen = false;
  for (std::size_t at = 8;;) {
    if (encoded.size() < 8 || at > encoded.size() - 8) fail_decode(kFormat, "it is truncated before its pixels");
    const std::uint8_t* chunk = as_u8(encoded) + at;
    const std::size_t length = load_u32be(chunk);
    const std::string_view type(reinterpret_cast<const char*>(chunk) + 4, 4);
    if (!is_chunk_type(chunk + 4)) fail_decode(kFormat, "a chunk has no valid name");
    if (!header_seen && type != "IHDR") fail_decode(kFormat, "it does not begin with its header chunk");
    if (type == "IDAT") return header;
    if (type == "IEND") fail_decode(kFormat, "it holds no pixels");
    if (length > encoded.size() - at - 8 || encoded.size() - at - 8 - length < 4) {
      fail_decode(kFormat, "it is truncated in its {} chunk", type);
    }
    if (crc32(crc32(0, nullptr, 0), chunk + 4, static_cast<uInt>(length + 4)) != load_u32be(chunk + 8 + length)) {
      fail_decode(kFormat, "the checksum of its {} chunk is wrong", type);
    }
    if (type == "IHDR") read_ihdr(chunk + 8, length, header), header_seen = true;
    if (type == "tRNS") header.transparency = true;
    at += 12 + length;
  }
}

// Everything that libpng's callbacks touch; trivially destructible, because its errors jump.
struct Session {
  std::jmp_buf jump;
  const std::uint8_t* next;
  std::size_t left;
  char message[128];
};

[[noreturn]] void jump_out(png_structp png, png_const_charp message) {
  auto* session = static_cast<Session*>(png_get_error_ptr(png));
  std::snprintf(session->message, sizeof session->message, "%s", message);
  std::longjmp(session->jump, 1);
}

void drop_warning(png_structp, png_const_charp) {}

void read_bytes(png_structp png, png_bytep out, std::size_t count) {
  auto* session = static_cast<Session*>(png_get_io_ptr(png));
  if (count > session->left) png_error(png, "it is truncated");
  std::memcpy(out, session->next, count);
  session->next += count;
  session->left -= count;
}

class Decoder {
 public:
  explicit Decoder(Bytes encoded) : session_{{}, as_u8(encoded), encoded.size(), {}} {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &session_, jump_out, drop_warning);
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
    if (info_ == nullptr) {
      png_destroy_read_struct(&png_, &info_, nullptr);
      fail_decode(kFormat, "no memory for the decoder");
    }
  }
  ~Decoder() { png_destroy_read_struct(&png_, &info_, nullptr); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  // Rows come out as RGB; with `alpha`, RGBA; with `wide`, 16-bit big-endian grey.
  void start(bool alpha, bool wide, std::size_t row_bytes) {
    if (!try_start(alpha, wide)) fail();
    if (png_get_rowbytes(png_, info_) != row_bytes) fail_decode(kFormat, "its rows have an unexpected length");
  }
  int passes() const { return passes_; }
  void read_row(std::uint8_t* row) {
    if (!try_read_rows(row, 0, 1)) fail();
  }
  void read_rows(std::uint8_t* rows, std::size_t stride, int count) {
    if (!try_read_rows(rows, stride, count)) fail();
  }

 private:
  bool try_start(bool alpha, bool wide) {
    if (setjmp(session_.jump) != 0) return false;
    png_set_read_fn(png_, &session_, read_bytes);
    png_set_crc_action(png_, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE);
    png_set_user_limits(png_, 0x7fffffff, 0x7fffffff);  // the size was checked against max_pixels
    png_set_chunk_malloc_max(png_, std::size_t{8} << 20);
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, 0);
    static constexpr png_byte kIgnored[] =
        "bKGD\0cHRM\0eXIf\0gAMA\0hIST\0iCCP\0iTXt\0oFFs\0pCAL\0pHYs\0sBIT\0sCAL\0sPLT\0sRGB\0tEXt\0tIME\0zTXt\0tRNS";
    constexpr int kCount = static_cast<int>(sizeof kIgnored / 5);
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, kIgnored, alpha ? kCount - 1 : kCount);
    png_read_info(png_, info_);
    if (!wide) {
      png_set_expand(png_);
      png_set_strip_16(png_);
      png_set_gray_to_rgb(png_);
      if (alpha) {
        png_set_add_alpha(png_, 0xFF, PNG_FILLER_AFTER);
      } else {
        png_set_strip_alpha(png_);
      }
    }
    passes_ = png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    return true;
  }
  bool try_read_rows(std::uint8_t* rows, std::size_t stride, int count) {
    if (setjmp(session_.jump) != 0) return false;
    for (int y = 0; y < count; ++y) png_read_row(png_, rows + static_cast<std::size_t>(y) * stride, nullptr);
    return true;
  }
  [[noreturn]] void fail() const { fail_decode(kFormat, "{}", session_.message); }

  Session session_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  int passes_ = 1;
};

// Pillow's I;16 to RGB: values above 255 are white.
void clip_grey_row(const std::uint8_t* grey, std::uint8_t* rgb, int pixels) {
  for (int x = 0; x < pixels; ++x, grey += 2, rgb += 3) rgb[0] = rgb[1] = rgb[2] = grey[0] != 0 ? 255 : grey[1];
}

// Pixels that need a step after libpng: alpha over white, 16-bit grey clipped. Interlaced ones are kept whole until the last pass.
template <typename Finish>
void read_through_buffer(Decoder& decoder, std::size_t row_bytes, Image& out, const Finish& finish) {
  const int height = out.size.height;
  if (decoder.passes() == 1) {
    std::vector<std::uint8_t> row(row_bytes);
    for (int y = 0; y < height; ++y) {
      decoder.read_row(row.data());
      finish(row.data(), picture_row(out, y), out.size.width);
    }
    return;
  }
  std::vector<std::uint8_t> rows(row_bytes * static_cast<std::size_t>(height));
  for (int pass = 0; pass < decoder.passes(); ++pass) decoder.read_rows(rows.data(), row_bytes, height);
  for (int y = 0; y < height; ++y) finish(rows.data() + row_bytes * static_cast<std::size_t>(y), picture_row(out, y), out.size.width);
}

std::string describe(const Header& header) {
  const bool grey = (header.colour & PNG_COLOR_MASK_COLOR) == 0;
  std::string mode = header.colour == PNG_COLOR_TYPE_PALETTE ? "palette" : grey ? "grey" : "RGB";
  if ((header.colour & PNG_COLOR_MASK_ALPHA) != 0) mode = grey ? "grey with alpha" : "RGBA";
  if (header.transparency) mode += " with transparency";
  if (header.depth != 8) mode += fmt::format(" {}-bit", header.depth);
  return mode;
}

}  // namespace

ImageInfo probe_png(Bytes encoded) {
  const Header header = read_header(encoded);
  check_picture_size(kFormat, header.height, header.width, std::numeric_limits<std::int64_t>::max());
  return {.size = {static_cast<int>(header.height), static_cast<int>(header.width)}, .mode = describe(header)};
}

void decode_png(Bytes encoded, const DecodeOptions& options, Image& out) {
  const Header header = read_header(encoded);
  check_picture_size(kFormat, header.height, header.width, options.max_pixels);
  const bool translucent = header.transparency || (header.colour & PNG_COLOR_MASK_ALPHA) != 0;
  const bool alpha = translucent && options.alpha == Alpha::kFlattenOnWhite;
  const bool wide = header.colour == PNG_COLOR_TYPE_GRAY && header.depth == 16 && options.clip_16_bit_grey && !alpha;
  const std::size_t row_bytes = static_cast<std::size_t>(header.width) * (alpha ? 4 : wide ? 2 : 3);
  Decoder decoder(encoded);
  decoder.start(alpha, wide, row_bytes);
  resize_picture(out, static_cast<int>(header.height), static_cast<int>(header.width));
  if (alpha) {
    read_through_buffer(decoder, row_bytes, out, flatten_rgba_row);
  } else if (wide) {
    read_through_buffer(decoder, row_bytes, out, clip_grey_row);
  } else {
    for (int pass = 0; pass < decoder.passes(); ++pass) decoder.read_rows(out.rgb.data(), row_bytes, out.size.height);
  }
}

}  // namespace headstart
