// From encoded bytes to the square of pixels that a network sees: the two ways a photo is prepared.
//
// Thread-safety: pure functions; a Workspace belongs to one thread and makes repeated calls free of allocations.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/random.h"
#include "headstart/image.h"
#include "headstart/preprocess.h"
#include "image/jpeg_index.h"
#include "image/region.h"
#include "image/resample.h"

namespace headstart {

struct CropDraw {
  Region region;
  bool flip = false;
};

// torchvision's RandomResizedCrop.get_params on a picture of this size (ten tries, log-uniform aspect, then the central fallback), drawn
// from the crop stream; the flip from its own stream. Depends on (seed, epoch, sample) alone.
CropDraw draw_augmentation(ImageSize size, const Augmentation& augmentation, std::uint64_t seed, std::uint32_t epoch, std::uint32_t sample);

// Scratch memory that is kept from photo to photo.
struct Workspace {
  Image decoded;
  std::vector<std::uint8_t> scratch;  // a view before rows become columns
  ResampleScratch resample;
  std::vector<std::byte> encoded;  // for the caller's reads
};

// A photo's file. `index`, null or the file's own, makes further views of it cheaper; it belongs to one call at a time.
struct EncodedPhoto {
  std::span<const std::byte> bytes;
  JpegIndex* index = nullptr;
};

// Training view: decode, crop of draw_augmentation resized to crop_size, flipped when drawn. `out` is u8 [crop_size, crop_size, 3].
// Fast decode (Augmentation::fast_decode) reads JPEGs at the smallest DCT scale of 1/8, 1/4, 1/2 and 1 that still covers the crop, and only
// the crop's rows: its pixels differ from the exact ones within the bound stated in docs/pixels.md.
void render_training_view(const EncodedPhoto& photo, const Preprocessing& preprocessing, const Augmentation& augmentation,
                          std::uint64_t seed, std::uint32_t epoch, std::uint32_t sample, Workspace& workspace, std::span<std::uint8_t> out);
// The exact view of a picture that is decoded already.
void render_training_view(const Image& image, const Preprocessing& preprocessing, const Augmentation& augmentation, std::uint64_t seed,
                          std::uint32_t epoch, std::uint32_t sample, Workspace& workspace, std::span<std::uint8_t> out);

// Evaluation view: preprocess() of the decoded picture into `out`, exact.
void render_evaluation_view(std::span<const std::byte> encoded, const Preprocessing& preprocessing, Workspace& workspace,
                            std::span<std::uint8_t> out);
void render_evaluation_view(const Image& image, const Preprocessing& preprocessing, Workspace& workspace, std::span<std::uint8_t> out);

// u8 pixels [pixels, 3] to (value / 255 - mean) / std, same layout, in one pass. bfloat16 rounds to nearest even, as a bit pattern.
void normalize_to_float32(std::span<const std::uint8_t> rgb, const Preprocessing& preprocessing, float* out);
void normalize_to_bfloat16(std::span<const std::uint8_t> rgb, const Preprocessing& preprocessing, std::uint16_t* out);

}  // namespace headstart
