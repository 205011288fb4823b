// Our Huffman decoder against libjpeg's own, on sound and on damaged files; indexes against none.
#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <optional>
#include <random>

// jpeglib.h needs FILE and size_t before it.
#include <jpeglib.h>

#include "decode_testing.h"
#include "image/jpeg.h"

namespace headstart::test {
namespace {

// Noise makes long codes, smooth parts short ones.
Image scene(ImageSize size, unsigned seed) {
  Image image{size, {}};
  std::mt19937 random(seed);
  for (int y = 0; y < size.height; ++y) {
    for (int x = 0; x < size.width; ++x) {
      const unsigned noise = x < size.width / 2 ? 4 : 200;
      for (int c = 0; c < 3; ++c)
        image.rgb.push_back(static_cast<std::uint8_t>((x + y * (c + 1) + static_cast<int>(random() % noise)) % 256));
    }
  }
  return image;
}

struct Failure {
  jpeg_error_mgr base;
  std::jmp_buf jump;
};

// How the file is to be coded.
struct Coding {
  int quality = 90;
  bool optimised = false;  // Huffman tables of its own
  int restart_rows = 0;
  bool grey = false;
  bool progressive = false;
  int sampling = 2;  // of luminance, in both directions
};

EncodedBytes encode(const Image& image, const Coding& coding) {
  jpeg_compress_struct encoder{};
  jpeg_error_mgr errors{};
  encoder.err = jpeg_std_error(&errors);
  jpeg_create_compress(&encoder);
  unsigned char* memory = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&encoder, &memory, &size);
  encoder.image_width = static_cast<JDIMENSION>(image.size.width);
  encoder.image_height = static_cast<JDIMENSION>(image.size.height);
  encoder.input_components = 3;
  encoder.in_color_space = JCS_RGB;
  jpeg_set_defaults(&encoder);
  if (coding.grey) jpeg_set_colorspace(&encoder, JCS_GRAYSCALE);
  encoder.comp_info[0].h_samp_factor = encoder.comp_info[0].v_samp_factor = coding.sampling;
  jpeg_set_quality(&encoder, coding.quality, TRUE);
  encoder.optimize_coding = coding.optimised ? TRUE : FALSE;
  encoder.restart_in_rows = coding.restart_rows;
  if (coding.progressive) jpeg_simple_progression(&encoder);
  jpeg_start_compress(&encoder, TRUE);
  std::vector<std::uint8_t> pixels = image.rgb;  // libjpeg takes no const rows
  while (encoder.next_scanline < encoder.image_height) {
    JSAMPROW row = pixels.data() + std::size_t{encoder.next_scanline} * encoder.image_width * 3;
    jpeg_write_scanlines(&encoder, &row, 1);
  }
  jpeg_finish_compress(&encoder);
  const auto* bytes = reinterpret_cast<const std::byte*>(memory);
  EncodedBytes encoded(bytes, bytes + size);
  jpeg_destroy_compress(&encoder);
  std::free(memory);
  return encoded;
}

// libjpeg alone, which must not ask for more than there is; nullopt: it refuses the file.
std::optional<std::vector<std::uint8_t>> decode_with_libjpeg(const EncodedBytes& encoded, std::vector<std::uint8_t>& pixels) {
  jpeg_decompress_struct decoder{};
  Failure failure{};
  jpeg_source_mgr source{};
  decoder.err = jpeg_std_error(&failure.base);
  failure.base.emit_message = [](j_common_ptr, int) {};
  failure.base.output_message = [](j_common_ptr) {};
  failure.base.error_exit = [](j_common_ptr common) { std::longjmp(reinterpret_cast<Failure*>(common->err)->jump, 1); };
  if (setjmp(failure.jump) != 0) {
    jpeg_destroy_decompress(&decoder);
    return std::nullopt;
  }
  jpeg_create_decompress(&decoder);
  source.next_input_byte = reinterpret_cast<const JOCTET*>(encoded.data());
  source.bytes_in_buffer = encoded.size();
  source.init_source = source.term_source = [](j_decompress_ptr) {};
  source.fill_input_buffer = [](j_decompress_ptr d) -> boolean { std::longjmp(reinterpret_cast<Failure*>(d->err)->jump, 1); };
  source.skip_input_data = [](j_decompress_ptr d, long count) {
    if (count > static_cast<long>(d->src->bytes_in_buffer)) std::longjmp(reinterpret_cast<Failure*>(d->err)->jump, 1);
    d->src->next_input_byte += std::max(count, 0L);
    d->src->bytes_in_buffer -= static_cast<std::size_t>(std::max(count, 0L));
  };
  source.resync_to_restart = jpeg_resync_to_restart;
  decoder.src = &source;
  jpeg_read_header(&decoder, TRUE);
  decoder.out_color_space = JCS_RGB;
  jpeg_start_decompress(&decoder);
  pixels.assign(std::size_t{decoder.output_width} * decoder.output_height * 3, 0);
  while (decoder.output_scanline < decoder.output_height) {
    JSAMPROW row = pixels.data() + std::size_t{decoder.output_scanline} * decoder.output_width * 3;
    jpeg_read_scanlines(&decoder, &row, 1);
  }
  jpeg_destroy_decompress(&decoder);
  return pixels;
}

const Coding kCodings[] = {{},
                           {.quality = 100},
                           {.quality = 100, .optimised = true, .sampling = 1},
                           {.quality = 30, .optimised = true},
                           {.restart_rows = 1},
                           {.quality = 97, .grey = true},
                           {.quality = 95, .sampling = 1}};

TEST(JpegEntropy, PicturesEqualLibjpegs) {
  std::vector<std::uint8_t> pixels;
  for (const Coding& coding : kCodings) {
    for (const ImageSize size : {ImageSize{1, 1}, ImageSize{97, 131}, ImageSize{64, 64}}) {
      const EncodedBytes jpeg = encode(scene(size, 1), coding);
      EXPECT_EQ(decode_image(jpeg).rgb, decode_with_libjpeg(jpeg, pixels)) << coding.quality << ' ' << size.width;
    }
  }
}

// Where one accepts a changed file, so does the other, with the same pixels.
TEST(JpegEntropy, DamagedPicturesEqualLibjpegs) {
  std::mt19937 random(2);
  std::vector<std::uint8_t> pixels;
  int accepted = 0;
  for (const Coding& coding : kCodings) {
    const EncodedBytes sound = encode(scene({80, 112}, 3), coding);
    for (int i = 0; i < 150; ++i) {
      EncodedBytes jpeg = sound;
      for (int flips = 1 + i % 3; flips > 0; --flips) {
        // The last bytes stay: where no end comes, we read what libjpeg's own source would have invented.
        jpeg[200 + random() % (jpeg.size() - 210)] = static_cast<std::byte>(i % 5 == 0 ? 0xFF : random() % 256);
      }
      const auto expected = decode_with_libjpeg(jpeg, pixels);
      std::optional<std::vector<std::uint8_t>> got;
      try {
        got = decode_image(jpeg, {.apply_exif_orientation = false}).rgb;
      } catch (const Error&) {
      }
      if (expected && got) {
        ASSERT_TRUE(*got == *expected) << "case " << i << ", quality " << coding.quality;
        ++accepted;
      }
      ASSERT_TRUE(expected || !got) << "case " << i << ", quality " << coding.quality;
    }
  }
  EXPECT_GT(accepted, 300);
}

Region random_region(std::mt19937& random, ImageSize size) {
  const auto draw = [&](int limit) { return static_cast<int>(random() % static_cast<unsigned>(limit)); };
  Region region{.height = 1 + draw(size.height), .width = 1 + draw(size.width)};
  region.top = draw(size.height - region.height + 1);
  region.left = draw(size.width - region.width + 1);
  return region;
}

TEST(JpegIndex, RegionsAreEqualWithAndWithoutOne) {
  std::mt19937 random(4);
  const ImageSize size{203, 315};
  for (const Coding& coding : kCodings) {
    const EncodedBytes jpeg = encode(scene(size, 5), coding);
    for (const bool keep_coefficients : {false, true}) {
      JpegIndex index{.keep_coefficients = keep_coefficients};
      for (int i = 0; i < 60; ++i) {
        const Region region = random_region(random, size);
        const int eighths = 1 << random() % 4;
        const ImageSize target{region.height * eighths / 8, region.width * eighths / 8};
        Image with, without;
        Box box_with, box_without;
        decode_jpeg_region(jpeg, region, target, with, box_with, &index);
        decode_jpeg_region(jpeg, region, target, without, box_without);
        ASSERT_EQ(with.size, without.size);
        ASSERT_TRUE(with.rgb == without.rgb) << "region " << i << ", quality " << coding.quality;
      }
      EXPECT_EQ(index.points.empty(), coding.restart_rows > 0);
      EXPECT_EQ(index.coefficients.empty(), coding.restart_rows > 0 || !keep_coefficients);
    }
  }
}

// With its codes gone a file still has the pixels of its coefficients: they are what is read.
TEST(JpegIndex, KeptCoefficientsNeedNoCodes) {
  Image picture = scene({90, 130}, 10);
  for (std::size_t i = 0; i < picture.rgb.size() / 2; ++i) picture.rgb[i] = i / 3 % 8 < 4 ? 0 : 255;  // stripes, half a block wide
  EncodedBytes jpeg = encode(picture, {.quality = 100});
  JpegIndex index{.keep_coefficients = true};
  Image first, again;
  Box box;
  decode_jpeg_region(jpeg, {0, 0, 8, 8}, {8, 8}, first, box, &index);
  ASSERT_EQ(index.mcu_begin.size(), 6U * 9U);
  const auto is_large = [](std::uint16_t word) { return static_cast<std::int16_t>(word) >> 6 == -512; };
  EXPECT_TRUE(std::any_of(index.coefficients.begin(), index.coefficients.end(), is_large));
  ASSERT_TRUE(decode_sound_jpeg_region(jpeg, {0, 0, 90, 130}, first, box, &index));
  std::fill(jpeg.begin() + static_cast<std::ptrdiff_t>(jpeg.size() / 2), jpeg.end(), std::byte{0});
  ASSERT_TRUE(decode_sound_jpeg_region(jpeg, {0, 0, 90, 130}, again, box, &index));
  EXPECT_TRUE(again.rgb == first.rgb);
}

TEST(JpegIndex, KeepsNoCoefficientsOfADamagedFile) {
  EncodedBytes jpeg = encode(scene({90, 130}, 11), {});
  jpeg.resize(jpeg.size() * 3 / 4);
  JpegIndex index{.keep_coefficients = true};
  Image out;
  Box box;
  decode_jpeg_region(jpeg, {0, 0, 8, 8}, {8, 8}, out, box, &index);  // its own part is sound
  EXPECT_FALSE(index.points.empty());
  EXPECT_TRUE(index.coefficients.empty() && index.mcu_begin.empty());
}

TEST(JpegIndex, ItIsCompleteOnceTheWholeFileWasSound) {
  const EncodedBytes jpeg = encode(scene({203, 315}, 6), {});
  JpegIndex index;
  Image out;
  Box box;
  decode_jpeg_region(jpeg, {0, 0, 20, 20}, {20, 20}, out, box, &index);
  EXPECT_FALSE(index.complete);
  EXPECT_FALSE(index.points.empty());
  const std::size_t before = index.points.size();
  EXPECT_TRUE(decode_sound_jpeg_region(jpeg, {0, 0, 20, 20}, out, box, &index));
  EXPECT_TRUE(index.complete);
  EXPECT_GT(index.points.size(), before);
  EXPECT_EQ(index.points.size(), (13U * 20U + JpegIndex::kStride - 1) / JpegIndex::kStride);
}

TEST(SoundJpegRegion, PixelsEqualTheWholePictures) {
  std::mt19937 random(7);
  const ImageSize size{120, 211};
  for (const Coding& coding : kCodings) {
    const EncodedBytes jpeg = encode(scene(size, 8), coding);
    const Image whole = decode_image(jpeg);
    for (int i = 0; i < 40; ++i) {
      const Region region = random_region(random, size);
      Image part;
      Box box;
      ASSERT_TRUE(decode_sound_jpeg_region(jpeg, region, part, box));
      const int top = static_cast<int>(box.top), left = static_cast<int>(box.left);
      for (int y = 0; y < region.height; ++y) {
        const auto got = part.rgb.begin() + (static_cast<std::ptrdiff_t>(top + y) * part.size.width + left) * 3;
        const auto expected = whole.rgb.begin() + (static_cast<std::ptrdiff_t>(region.top + y) * size.width + region.left) * 3;
        ASSERT_TRUE(std::equal(got, got + static_cast<std::ptrdiff_t>(region.width) * 3, expected)) << "region " << i << ", row " << y;
      }
    }
  }
}

TEST(SoundJpegRegion, DamageAnywhereAndOtherKindsAreNotTakenForSound) {
  const Image picture = scene({160, 160}, 9);
  const Region corner{0, 0, 16, 16};
  Image out;
  Box box;
  const EncodedBytes jpeg = encode(picture, {});
  EXPECT_FALSE(decode_sound_jpeg_region(std::span(jpeg).first(jpeg.size() / 2), corner, out, box)) << "truncated";
  EXPECT_FALSE(decode_sound_jpeg_region(std::span(jpeg).first(jpeg.size() - 2), corner, out, box)) << "no end marker";
  EncodedBytes marked = jpeg;
  marked[jpeg.size() - 200] = std::byte{0xFF};
  marked[jpeg.size() - 199] = std::byte{0xD9};
  EXPECT_FALSE(decode_sound_jpeg_region(marked, corner, out, box)) << "an end marker too early";
  EXPECT_FALSE(decode_sound_jpeg_region(encode(picture, {.progressive = true}), corner, out, box)) << "progressive";
}

}  // namespace
}  // namespace headstart::test
