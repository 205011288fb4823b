// An integer rectangle of pixels, shared by the decoders and the pipeline.
#pragma once

namespace headstart {

// Integer pixel rectangle: of the oriented picture in the pipeline, of the stored one in the decoders.
struct Region {
  int top = 0, left = 0, height = 0, width = 0;
};

}  // namespace headstart
