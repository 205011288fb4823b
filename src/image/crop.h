// Rectangles of the evaluation view: where torchvision's Resize and CenterCrop put their pixels.
//
// Thread-safety: pure functions. Errors: Error(kUsage) for sizes that are not positive, Error(kData) for a picture so elongated that its
// resized side would not fit.
#pragma once

#include "headstart/image.h"
#include "headstart/preprocess.h"
#include "image/region.h"

namespace headstart {

// Python's round(): halves to the even neighbour.
double round_half_even(double value);

// Size after torchvision's Resize: the longer side is int(resize_size * long / short).
ImageSize resized_size(ImageSize picture, const Preprocessing& preprocessing);

// The crop's rectangle of the resized picture, and where in the crop it goes; what it leaves free is zero.
struct CenterCrop {
  Region of_resized;
  int top = 0, left = 0;  // in the crop
};
CenterCrop center_crop(ImageSize resized, int crop_size);

}  // namespace headstart
