// The Huffman codes of baseline JPEG, decoded faster than libjpeg does it: the largest part of a photo's cost (docs/performance.md).
//
// libjpeg calls its entropy decoder through a pointer, one MCU at a time. attach() puts a function of ours there; all that follows (inverse
// DCT, upsampling, colours, skipped rows and columns) stays libjpeg's, and so do the pixels, bit for bit. Ours decodes sound data only: at
// anything irregular (a bad code, a marker or the end of the data too early) it calls `give_up`, which must not return, and the caller
// decodes the picture again without it, so that damage is judged by libjpeg alone.
// Thread-safety: an object belongs to one thread and must outlive the decoder's use. Errors: none but `give_up`.
#pragma once

#include <cstddef>
#include <cstdio>
#include <memory>

// jpeglib.h needs FILE and size_t before it.
#include <jpeglib.h>

#include "image/jpeg_index.h"

namespace headstart {

class JpegEntropy {
 public:
  using GiveUp = void (*)(j_decompress_ptr);

  JpegEntropy();
  ~JpegEntropy();
  JpegEntropy(const JpegEntropy&) = delete;
  JpegEntropy& operator=(const JpegEntropy&) = delete;

  // To be called after jpeg_start_decompress, before the first row. False, and nothing is done, for files that are not baseline Huffman in
  // one scan. Takes client_data for itself. `index`, which may be null, is of this very file, and only this decoder's meanwhile.
  bool attach(j_decompress_ptr decoder, GiveUp give_up, JpegIndex* index);

  // The output columns [left, left + width) are made, the others are not: their MCUs need not be decoded.
  void need_columns(unsigned left, unsigned width);

  // Goes through what is left of the scan without making its pixels; false where anything but a sound scan and the end of the file is
  // there.
  bool rest_is_sound();

  // Leaves the scan's coefficients in the index where it asked for them, the file was decoded from its beginning and all of it is sound;
  // what is left of the scan is gone through. To be called behind the last row, outside of libjpeg, as it allocates.
  void keep_coefficients();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace headstart
