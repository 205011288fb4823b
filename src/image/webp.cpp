// WebP through libwebp: still pictures and the first frame of animations, lossy and lossless.
#include <webp/decode.h>
#include <webp/demux.h>

#include <algorithm>
#include <vector>

#include "image/decode_formats.h"

namespace headstart {
namespace {

constexpr std::string_view kFormat = "WebP";

class Demuxer {
 public:
  explicit Demuxer(Bytes encoded) {
    const WebPData data{as_u8(encoded), encoded.size()};
    demuxer_ = WebPDemux(&data);
    if (demuxer_ == nullptr) fail_decode(kFormat, "it is truncated or its chunks are damaged");
    if (WebPDemuxGetFrame(demuxer_, 1, &frame_) == 0) {
      WebPDemuxDelete(demuxer_);
      fail_decode(kFormat, "it holds no frame");
    }
  }
  ~Demuxer() {
    WebPDemuxReleaseIterator(&frame_);
    WebPDemuxDelete(demuxer_);
  }
  Demuxer(const Demuxer&) = delete;
  Demuxer& operator=(const Demuxer&) = delete;

  std::int64_t height() const { return WebPDemuxGetI(demuxer_, WEBP_FF_CANVAS_HEIGHT); }
  std::int64_t width() const { return WebPDemuxGetI(demuxer_, WEBP_FF_CANVAS_WIDTH); }
  bool animated() const { return (WebPDemuxGetI(demuxer_, WEBP_FF_FORMAT_FLAGS) & ANIMATION_FLAG) != 0; }
  const WebPIterator& frame() const { return frame_; }

 private:
  WebPDemuxer* demuxer_ = nullptr;
  WebPIterator frame_{};
};

std::string_view reason_of(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_OUT_OF_MEMORY:
      return "no memory for the decoder";
    case VP8_STATUS_BITSTREAM_ERROR:
      return "its data is damaged";
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      return "it uses an unsupported feature";
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED:
      return "it is truncated";
    default:
      return "the decoder refused it";
  }
}

// The frame into a canvas of `channels` bytes a pixel.
void decode_frame(const WebPIterator& frame, int channels, std::uint8_t* canvas, std::size_t canvas_bytes, int canvas_width) {
  WebPDecoderConfig config;
  if (WebPInitDecoderConfig(&config) == 0) fail_decode(kFormat, "libwebp has another version than its headers");
  const std::size_t stride = static_cast<std::size_t>(canvas_width) * static_cast<std::size_t>(channels);
  const std::size_t offset = static_cast<std::size_t>(frame.y_offset) * stride + static_cast<std::size_t>(frame.x_offset * channels);
  config.output.colorspace = channels == 4 ? MODE_RGBA : MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = canvas + offset;
  config.output.u.RGBA.stride = static_cast<int>(stride);
  config.output.u.RGBA.size = canvas_bytes - offset;
  const VP8StatusCode status = WebPDecode(frame.fragment.bytes, frame.fragment.size, &config);
  WebPFreeDecBuffer(&config.output);
  if (status != VP8_STATUS_OK) fail_decode(kFormat, "{}", reason_of(status));
}

void check_frame(const Demuxer& webp) {
  const WebPIterator& frame = webp.frame();
  int width = 0, height = 0;
  if (WebPGetInfo(frame.fragment.bytes, frame.fragment.size, &width, &height) == 0) fail_decode(kFormat, "its frame header is damaged");
  if (frame.complete == 0 || width != frame.width || height != frame.height || frame.x_offset < 0 || frame.y_offset < 0 ||
      frame.width > webp.width() - frame.x_offset || frame.height > webp.height() - frame.y_offset) {
    fail_decode(kFormat, "its frame does not fit its canvas or is incomplete");
  }
}

}  // namespace

ImageInfo probe_webp(Bytes encoded) {
  const Demuxer webp(encoded);
  check_picture_size(kFormat, webp.height(), webp.width(), std::numeric_limits<std::int64_t>::max());
  std::string mode = webp.frame().has_alpha != 0 ? "RGBA" : "RGB";
  if (webp.animated()) mode += ", animated";
  return {.size = {static_cast<int>(webp.height()), static_cast<int>(webp.width())}, .mode = mode};
}

void decode_webp(Bytes encoded, const DecodeOptions& options, Image& out) {
  const Demuxer webp(encoded);
  check_picture_size(kFormat, webp.height(), webp.width(), options.max_pixels);
  check_frame(webp);
  const int height = static_cast<int>(webp.height());
  const int width = static_cast<int>(webp.width());
  const WebPIterator& frame = webp.frame();
  const bool whole = frame.width == width && frame.height == height;
  const bool flatten = options.alpha == Alpha::kFlattenOnWhite;
  resize_picture(out, height, width);
  if (!flatten || frame.has_alpha == 0) {
    // What an animation's first frame leaves free is transparent black.
    if (!whole) std::fill(out.rgb.begin(), out.rgb.end(), flatten ? std::uint8_t{255} : std::uint8_t{0});
    decode_frame(frame, 3, out.rgb.data(), out.rgb.size(), width);
    return;
  }
  std::vector<std::uint8_t> rgba(static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * 4);
  decode_frame(frame, 4, rgba.data(), rgba.size(), width);
  for (int y = 0; y < height; ++y) {
    flatten_rgba_row(rgba.data() + static_cast<std::size_t>(y) * static_cast<std::size_t>(width) * 4, picture_row(out, y), width);
  }
}

}  // namespace headstart
