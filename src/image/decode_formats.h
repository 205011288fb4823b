// One pair of functions a format. decode_* fill `out` with the pixels as stored (orientation not applied, except that TIFF's own tag is
// part of its pixel layout, as for Pillow); probe_* read the header and the metadata only.
//
// Thread-safety: pure functions. Errors: Error(kData).
#pragma once

#include "image/decode_support.h"

namespace headstart {

ImageInfo probe_jpeg(Bytes encoded);
ImageInfo probe_png(Bytes encoded);
ImageInfo probe_webp(Bytes encoded);
ImageInfo probe_tiff(Bytes encoded);
ImageInfo probe_bmp(Bytes encoded);
ImageInfo probe_pnm(Bytes encoded);
ImageInfo probe_gif(Bytes encoded);

void decode_jpeg(Bytes encoded, const DecodeOptions& options, Image& out);
void decode_png(Bytes encoded, const DecodeOptions& options, Image& out);
void decode_webp(Bytes encoded, const DecodeOptions& options, Image& out);
void decode_tiff(Bytes encoded, const DecodeOptions& options, Image& out);
void decode_bmp(Bytes encoded, const DecodeOptions& options, Image& out);
void decode_pnm(Bytes encoded, const DecodeOptions& options, Image& out);
void decode_gif(Bytes encoded, const DecodeOptions& options, Image& out);

}  // namespace headstart
