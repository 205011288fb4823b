#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <memory>

// jpeglib.h needs FILE and size_t before it.
#include <jpeglib.h>

#include "headstart/error.h"
#include "image/decode_support.h"

namespace headstart {
namespace {

void check_image(const Image& image, std::string_view operation) {
  const auto expected = static_cast<std::int64_t>(image.size.height) * image.size.width * 3;
  if (image.size.height <= 0 || image.size.width <= 0 || expected != static_cast<std::int64_t>(image.rgb.size())) {
    throw Error(ErrorCategory::kUsage, fmt::format("{}: a picture of {} x {} pixels (height x width) with {} bytes of RGB", operation,
                                                   image.size.height, image.size.width, image.rgb.size()));
  }
}

// See jpeg.cpp: errors jump, so everything between setjmp and the jump is trivially destructible.
struct Failure {
  jpeg_error_mgr base;
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void jump_out(j_common_ptr common) {
  auto* failure = reinterpret_cast<Failure*>(common->err);
  common->err->format_message(common, failure->message);
  std::longjmp(failure->jump, 1);
}

void drop_message(j_common_ptr, int) {}
void drop_output(j_common_ptr) {}

bool try_encode(const Image& image, int quality, jpeg_compress_struct& encoder, Failure& failure, unsigned char*& buffer,
                unsigned long& size) {
  if (setjmp(failure.jump) != 0) return false;
  jpeg_create_compress(&encoder);
  jpeg_mem_dest(&encoder, &buffer, &size);
  encoder.image_width = static_cast<JDIMENSION>(image.size.width);
  encoder.image_height = static_cast<JDIMENSION>(image.size.height);
  encoder.input_components = 3;
  encoder.in_color_space = JCS_RGB;
  jpeg_set_defaults(&encoder);
  jpeg_set_quality(&encoder, quality, TRUE);
  jpeg_start_compress(&encoder, TRUE);
  const std::size_t stride = static_cast<std::size_t>(image.size.width) * 3;
  while (encoder.next_scanline < encoder.image_height) {
    auto* row = const_cast<std::uint8_t*>(image.rgb.data()) + encoder.next_scanline * stride;  // libjpeg's signature; it only reads
    jpeg_write_scanlines(&encoder, &row, 1);
  }
  jpeg_finish_compress(&encoder);
  return true;
}

}  // namespace

std::vector<std::byte> encode_jpeg(const Image& image, int quality) {
  check_image(image, "encode_jpeg");
  if (quality < 1 || quality > 100)
    throw Error(ErrorCategory::kUsage, fmt::format("encode_jpeg: quality {} is not from 1 to 100", quality));
  if (image.size.height > JPEG_MAX_DIMENSION || image.size.width > JPEG_MAX_DIMENSION) {
    throw Error(ErrorCategory::kUsage, fmt::format("encode_jpeg: {} x {} pixels (height x width); a JPEG has at most {} a side",
                                                   image.size.height, image.size.width, JPEG_MAX_DIMENSION));
  }
  jpeg_compress_struct encoder{};
  Failure failure{};
  encoder.err = jpeg_std_error(&failure.base);
  failure.base.error_exit = jump_out;
  failure.base.emit_message = drop_message;
  failure.base.output_message = drop_output;
  unsigned char* buffer = nullptr;
  unsigned long size = 0;
  const bool done = try_encode(image, quality, encoder, failure, buffer, size);
  jpeg_destroy_compress(&encoder);
  const std::unique_ptr<unsigned char, decltype(&std::free)> owner(buffer, std::free);
  if (!done) throw Error(ErrorCategory::kInternal, fmt::format("encode_jpeg: {}", failure.message));
  const auto* bytes = reinterpret_cast<const std::byte*>(buffer);
  return {bytes, bytes + size};
}

std::vector<std::byte> encode_png(const Image& image) {
  check_image(image, "encode_png");
  png_image picture{};
  picture.version = PNG_IMAGE_VERSION;
  picture.width = static_cast<png_uint_32>(image.size.width);
  picture.height = static_cast<png_uint_32>(image.size.height);
  picture.format = PNG_FORMAT_RGB;
  std::vector<std::byte> encoded(PNG_IMAGE_PNG_SIZE_MAX(picture));
  png_alloc_size_t size = encoded.size();
  if (png_image_write_to_memory(&picture, encoded.data(), &size, 0, image.rgb.data(), 0, nullptr) == 0) {
    throw Error(ErrorCategory::kInternal, fmt::format("encode_png: {}", picture.message));
  }
  encoded.resize(size);
  return encoded;
}

}  // namespace headstart
