#include "image/jpeg.h"

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>

// jpeglib.h needs FILE and size_t before it.
#include <jerror.h>
#include <jpeglib.h>

#include "image/decode_formats.h"
#include "image/exif.h"
#include "image/jpeg_entropy.h"

namespace headstart {
namespace {

// libjpeg reports errors by calling a function that must not return. It jumps back with longjmp, which runs no destructors: every function
// here that calls setjmp, or libjpeg below it, holds trivially destructible objects only.
constexpr int kMaxScans = 500;  // real progressive files have about ten; thousands are an attack on the processor
constexpr std::string_view kFormat = "JPEG";
constexpr int kTruncated = -1, kTooManyScans = -2, kIrregular = -3;  // beside libjpeg's own codes, which are positive

struct Failure {
  jpeg_error_mgr base;  // first: libjpeg hands back a pointer to it
  std::jmp_buf jump;
  int code = 0;
  char message[JMSG_LENGTH_MAX] = {};
};

[[noreturn]] void jump_out(j_common_ptr common) {
  auto* failure = reinterpret_cast<Failure*>(common->err);
  failure->code = common->err->msg_code;
  common->err->format_message(common, failure->message);
  std::longjmp(failure->jump, 1);
}

void drop_message(j_common_ptr, int) {}
void drop_output(j_common_ptr) {}

[[noreturn]] void fail_in_libjpeg(j_decompress_ptr decoder, int code, const char* message) {
  auto* failure = reinterpret_cast<Failure*>(decoder->err);
  failure->code = code;
  std::snprintf(failure->message, sizeof failure->message, "%s", message);
  std::longjmp(failure->jump, 1);
}

// The whole file is in memory, so a request for more means that it is truncated. (libjpeg's own memory source would invent an end marker.)
boolean refuse_more_input(j_decompress_ptr decoder) { fail_in_libjpeg(decoder, kTruncated, "it is truncated"); }

void skip_input(j_decompress_ptr decoder, long count) {
  if (count <= 0) return;
  if (static_cast<unsigned long>(count) > decoder->src->bytes_in_buffer) fail_in_libjpeg(decoder, kTruncated, "it is truncated");
  decoder->src->next_input_byte += count;
  decoder->src->bytes_in_buffer -= static_cast<std::size_t>(count);
}

void ignore_source(j_decompress_ptr) {}

void watch_scans(j_common_ptr common) {
  auto* decoder = reinterpret_cast<j_decompress_ptr>(common);
  if (decoder->input_scan_number > kMaxScans) fail_in_libjpeg(decoder, kTooManyScans, "it has more than 500 scans");
}

// Thrown where the data are not as sound as JpegEntropy needs them: libjpeg alone decides what becomes of such a picture.
struct Irregular {};

void give_up(j_decompress_ptr decoder) { fail_in_libjpeg(decoder, kIrregular, "it is irregular"); }

class Decoder {
 public:
  explicit Decoder(Bytes encoded) {
    decoder_.err = jpeg_std_error(&failure_.base);
    failure_.base.error_exit = jump_out;
    failure_.base.emit_message = drop_message;  // warnings: damaged data that libjpeg can decode around, accepted as by Pillow
    failure_.base.output_message = drop_output;
    source_.next_input_byte = as_u8(encoded);
    source_.bytes_in_buffer = encoded.size();
    source_.init_source = ignore_source;
    source_.fill_input_buffer = refuse_more_input;
    source_.skip_input_data = skip_input;
    source_.resync_to_restart = jpeg_resync_to_restart;
    source_.term_source = ignore_source;
    progress_.progress_monitor = watch_scans;
    if (!create()) fail();
    decoder_.src = &source_;
    decoder_.progress = &progress_;
  }
  ~Decoder() { jpeg_destroy_decompress(&decoder_); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  void read_header(std::int64_t max_pixels) {
    if (!try_read_header()) fail();
    if (decoder_.data_precision != 8) fail_precision(decoder_.data_precision);
    if (components() != 1 && components() != 3 && components() != 4) fail_decode(kFormat, "it has {} components", components());
    check_picture_size(kFormat, decoder_.image_height, decoder_.image_width, max_pixels);
    decoder_.out_color_space = components() == 4 ? JCS_CMYK : JCS_RGB;
  }
  void set_scale(int eighths) {
    decoder_.scale_num = static_cast<unsigned>(eighths);
    decoder_.scale_denom = 8;
  }
  void start() {
    if (!try_start()) fail();
  }
  // From here on the entropy decoder is ours where it knows the kind of file (else false), and all that follows can throw Irregular.
  bool use_fast_entropy(JpegIndex* index) {
    fast_ = fast_entropy().attach(&decoder_, give_up, index);
    return fast_;
  }
  void require_sound_rest() {
    if (!fast_entropy().rest_is_sound()) throw Irregular();
  }
  void keep_coefficients() {
    if (fast_) fast_entropy().keep_coefficients();
  }
  void crop_columns(unsigned& left, unsigned& width) {
    if (!try_crop_columns(left, width)) fail();
    if (fast_) fast_entropy().need_columns(left, width);
  }
  void skip_rows(unsigned rows) {
    if (rows > 0 && !try_skip_rows(rows)) fail();
  }
  // Reads what is behind the last row: like Pillow, damage there is an error, a missing end marker is none.
  void finish() {
    if (!try_finish()) fail();
  }
  // The next out.size.height rows, of the current output width.
  void read_rows(Image& out) {
    if (!try_read_rows(out.rgb.data(), out.size.height)) fail();
  }
  int components() const { return decoder_.num_components; }
  ImageSize full_size() const { return {static_cast<int>(decoder_.image_height), static_cast<int>(decoder_.image_width)}; }
  ImageSize output_size() const { return {static_cast<int>(decoder_.output_height), static_cast<int>(decoder_.output_width)}; }
  // Rows that are reconstructed together, in output pixels.
  int rows_per_mcu() const { return decoder_.max_v_samp_factor * decoder_.min_DCT_scaled_size; }

 private:
  // Its tables outlast the picture.
  static JpegEntropy& fast_entropy() {
    thread_local JpegEntropy entropy;
    return entropy;
  }
  bool create() {
    if (setjmp(failure_.jump) != 0) return false;
    jpeg_create_decompress(&decoder_);
    return true;
  }
  bool try_read_header() {
    if (setjmp(failure_.jump) != 0) return false;
    return jpeg_read_header(&decoder_, TRUE) == JPEG_HEADER_OK;
  }
  bool try_start() {
    if (setjmp(failure_.jump) != 0) return false;
    return jpeg_start_decompress(&decoder_) != FALSE;
  }
  bool try_crop_columns(unsigned& left, unsigned& width) {
    if (setjmp(failure_.jump) != 0) return false;
    jpeg_crop_scanline(&decoder_, &left, &width);
    return true;
  }
  bool try_skip_rows(unsigned rows) {
    if (setjmp(failure_.jump) != 0) return false;
    return jpeg_skip_scanlines(&decoder_, rows) == rows;
  }
  bool try_finish() {
    if (setjmp(failure_.jump) != 0) return failure_.code == kTruncated;
    return jpeg_finish_decompress(&decoder_) != FALSE;
  }
  bool try_read_rows(std::uint8_t* rgb, int count) {
    if (setjmp(failure_.jump) != 0) return false;
    return components() == 4 ? read_cmyk_rows(rgb, count) : read_rgb_rows(rgb, count);
  }

  // Straight into the picture: libjpeg's colour conversion writes its rows.
  bool read_rgb_rows(std::uint8_t* rgb, int count) {
    constexpr int kBatch = 16;
    const std::size_t stride = static_cast<std::size_t>(decoder_.output_width) * 3;
    for (int done = 0; done < count;) {
      JSAMPROW rows[kBatch];
      const int wanted = std::min(kBatch, count - done);
      for (int i = 0; i < wanted; ++i) rows[i] = rgb + static_cast<std::size_t>(done + i) * stride;
      const int got = static_cast<int>(jpeg_read_scanlines(&decoder_, rows, static_cast<JDIMENSION>(wanted)));
      if (got == 0) return false;
      done += got;
    }
    return true;
  }

  // Like Pillow: four components are Adobe's inverted inks, whether or not an Adobe marker says so.
  bool read_cmyk_rows(std::uint8_t* rgb, int count) {
    const std::size_t width = decoder_.output_width;
    JSAMPARRAY row = (*decoder_.mem->alloc_sarray)(reinterpret_cast<j_common_ptr>(&decoder_), JPOOL_IMAGE, decoder_.output_width * 4, 1);
    for (int y = 0; y < count; ++y) {
      if (jpeg_read_scanlines(&decoder_, row, 1) != 1) return false;
      for (std::size_t x = 0; x < width; ++x, rgb += 3) {
        const std::uint8_t* in = row[0] + x * 4;
        const std::uint8_t ink[4] = {static_cast<std::uint8_t>(~in[0]), static_cast<std::uint8_t>(~in[1]),
                                     static_cast<std::uint8_t>(~in[2]), static_cast<std::uint8_t>(~in[3])};
        cmyk_to_rgb(ink, rgb);
      }
    }
    return true;
  }

  [[noreturn]] static void fail_precision(int bits) {
    fail_decode(kFormat, "it has {} bits a sample, only 8 are supported; convert it to 8 bits", bits);
  }
  [[noreturn]] void fail() const {
    if (failure_.code == kIrregular) throw Irregular();
    if (failure_.code == JERR_BAD_PRECISION) fail_precision(failure_.base.msg_parm.i[0]);
    if (failure_.code == JERR_SOF_UNSUPPORTED) {
      fail_decode(kFormat, "it uses lossless or hierarchical coding (SOF marker 0x{:02x}), which is not supported; convert it to baseline",
                  static_cast<unsigned>(failure_.base.msg_parm.i[0]));
    }
    fail_decode(kFormat, "{}", failure_.message[0] != '\0' ? failure_.message : "its data ends too early");
  }

  jpeg_decompress_struct decoder_{};
  Failure failure_{};
  jpeg_source_mgr source_{};
  jpeg_progress_mgr progress_{};
  bool fast_ = false;
};

// The smallest n of n/8 at which the region keeps `target` pixels a side.
int choose_scale(const Region& region, ImageSize target) {
  for (int eighths = 1; eighths < 8; ++eighths) {
    if (static_cast<std::int64_t>(region.height) * eighths >= static_cast<std::int64_t>(target.height) * 8 &&
        static_cast<std::int64_t>(region.width) * eighths >= static_cast<std::int64_t>(target.width) * 8) {
      return eighths;
    }
  }
  return 8;
}

struct Interval {
  int begin = 0, end = 0;
};

// Scaled pixels that show [begin, begin + length) of the full resolution, with a margin, inside [0, limit).
Interval scaled_interval(int begin, int length, int eighths, int limit) {
  constexpr std::int64_t kMargin = 4;  // two for a bicubic filter, and the outermost two, which chroma upsampling at a cut may change
  const std::int64_t first = static_cast<std::int64_t>(begin) * eighths / 8 - kMargin;
  const std::int64_t last = ((static_cast<std::int64_t>(begin) + length) * eighths + 7) / 8 + kMargin;
  return {static_cast<int>(std::max<std::int64_t>(first, 0)), static_cast<int>(std::min<std::int64_t>(last, limit))};
}

void check_region(const Region& region, ImageSize size) {
  if (region.top < 0 || region.left < 0 || region.height <= 0 || region.width <= 0 || region.height > size.height - region.top ||
      region.width > size.width - region.left) {
    throw Error(ErrorCategory::kUsage,
                fmt::format("decode_jpeg_region: the region (top {}, left {}, height {}, width {}) is empty or not inside the picture's "
                            "{} x {} pixels (height x width)",
                            region.top, region.left, region.height, region.width, size.height, size.width));
  }
}

}  // namespace

JpegHeader read_jpeg_header(std::span<const std::byte> encoded) {
  Decoder decoder(encoded);
  decoder.read_header(std::numeric_limits<std::int64_t>::max());
  return {.size = decoder.full_size(), .orientation = jpeg_orientation(encoded), .components = decoder.components()};
}

namespace {

// How a part of a picture is read.
struct PartOptions {
  ImageSize target;
  bool fast_entropy = true;
  bool whole_must_be_sound = false;  // wherever the damage is; needs the fast entropy decoder
  JpegIndex* index = nullptr;
};

// False, with nothing decoded, where the file is of a kind whose soundness the fast entropy decoder cannot tell, and has to be.
bool decode_part(Bytes encoded, const Region& region, const PartOptions& options, Image& out, Box& box) {
  Decoder decoder(encoded);
  decoder.read_header(DecodeOptions{}.max_pixels);
  check_region(region, decoder.full_size());
  const int eighths = choose_scale(region, options.target);
  decoder.set_scale(eighths);
  decoder.start();
  if (options.fast_entropy && !decoder.use_fast_entropy(options.index) && options.whole_must_be_sound) return false;
  const ImageSize scaled = decoder.output_size();
  const Interval columns = scaled_interval(region.left, region.width, eighths, scaled.width);
  const Interval rows = scaled_interval(region.top, region.height, eighths, scaled.height);
  auto left = static_cast<unsigned>(columns.begin);
  auto width = static_cast<unsigned>(columns.end - columns.begin);
  if (columns.begin > 0 || columns.end < scaled.width) decoder.crop_columns(left, width);
  // Skipping ends on a boundary of reconstruction: libjpeg-turbo 2 returns wrong rows for some skips that do not (its issue 915).
  const int top = rows.begin - rows.begin % decoder.rows_per_mcu();
  decoder.skip_rows(static_cast<unsigned>(top));
  resize_picture(out, rows.end - top, static_cast<int>(width));
  decoder.read_rows(out);
  if (options.whole_must_be_sound) decoder.require_sound_rest();
  decoder.keep_coefficients();
  const double factor = eighths / 8.0;
  box.left = region.left * factor - left;
  box.top = region.top * factor - top;
  box.right = std::min<double>((region.left + region.width) * factor - left, out.size.width);
  box.bottom = std::min<double>((region.top + region.height) * factor - top, out.size.height);
  return true;
}

void decode_whole(Bytes encoded, const DecodeOptions& options, bool fast_entropy, Image& out) {
  Decoder decoder(encoded);
  decoder.read_header(options.max_pixels);
  decoder.start();
  if (fast_entropy) decoder.use_fast_entropy(nullptr);
  resize_picture(out, decoder.output_size().height, decoder.output_size().width);
  decoder.read_rows(out);
  decoder.finish();
}

}  // namespace

void decode_jpeg_region(std::span<const std::byte> encoded, const Region& region, ImageSize target, Image& out, Box& box_in_out,
                        JpegIndex* index) {
  try {
    decode_part(encoded, region, {.target = target, .index = index}, out, box_in_out);
  } catch (const Irregular&) {
    decode_part(encoded, region, {.target = target, .fast_entropy = false}, out, box_in_out);
  }
}

bool decode_sound_jpeg_region(std::span<const std::byte> encoded, const Region& region, Image& out, Box& box_in_out, JpegIndex* index) {
  const ImageSize full{region.height, region.width};
  try {
    return decode_part(encoded, region, {.target = full, .whole_must_be_sound = true, .index = index}, out, box_in_out);
  } catch (const Irregular&) {
    return false;
  }
}

ImageInfo probe_jpeg(Bytes encoded) {
  Decoder decoder(encoded);
  decoder.read_header(std::numeric_limits<std::int64_t>::max());
  const char* mode = decoder.components() == 1 ? "grey" : decoder.components() == 3 ? "RGB" : "CMYK";
  return {.size = decoder.full_size(), .mode = mode};
}

void decode_jpeg(Bytes encoded, const DecodeOptions& options, Image& out) {
  try {
    decode_whole(encoded, options, true, out);
  } catch (const Irregular&) {
    decode_whole(encoded, options, false, out);
  }
}

}  // namespace headstart
