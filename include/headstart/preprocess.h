// Preprocessing: what turns a picture into the square of pixels that a network sees. A model file carries its own.
//
// Thread-safety: pure functions.
#pragma once

#include <array>

#include "headstart/image.h"

namespace headstart {

enum class ResizeMode {
  kShorterSide,  // shorter side to resize_size, longer side in proportion, truncated: torchvision Resize(n)
  kSquash,       // both sides to resize_size: torchvision Resize([n, n])
};

// Evaluation-time preprocessing: decode, resize, centre crop, (pixel / 255 - mean) / std.
struct Preprocessing {
  ResizeMode resize_mode = ResizeMode::kShorterSide;
  int resize_size = 256;  // pixels
  int crop_size = 224;    // pixels; the network sees [crop_size, crop_size]
  Interpolation interpolation = Interpolation::kBilinear;
  std::array<float, 3> mean = {0.485F, 0.456F, 0.406F};  // of R, G, B in [0, 1]
  std::array<float, 3> std = {0.229F, 0.224F, 0.225F};
  DecodeOptions decode;
};

// Training-time augmentation: torchvision's RandomResizedCrop (ten tries, then the central fallback) and a horizontal flip.
struct Augmentation {
  double min_area = 0.08;  // share of the picture's area
  double max_area = 1.0;
  double min_aspect = 3.0 / 4.0;  // width / height
  double max_aspect = 4.0 / 3.0;
  double flip_probability = 0.5;
  bool fast_decode = true;  // scaled JPEG decode where the crop is larger than needed; false: bit-equal to Pillow
};

// Resizes and centre-crops: u8 [crop_size, crop_size, 3]. Bit-equal to torchvision's Resize + CenterCrop on a PIL image; pictures smaller
// than the crop are padded with zeros as there. Normalisation is not applied.
Image preprocess(const Image& image, const Preprocessing& preprocessing);

}  // namespace headstart
