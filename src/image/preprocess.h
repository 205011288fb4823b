// preprocess() into memory that the caller keeps.
//
// Thread-safety: pure; the scratch belongs to one thread. Errors: as crop.h; Error(kInternal) when `out` has another size.
#pragma once

#include <cstdint>
#include <span>

#include "headstart/preprocess.h"
#include "image/resample.h"

namespace headstart {

// out: u8 [crop_size, crop_size, 3]. Only the pixels inside the crop are computed.
void preprocess_into(const Image& image, const Preprocessing& preprocessing, ResampleScratch& scratch, std::span<std::uint8_t> out);

}  // namespace headstart
