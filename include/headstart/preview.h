// A look at a folder's photos before anything is trained: a grid as one picture, of the whole photos or of what training will see.
//
// Thread-safety: pure but for the reads of the photos. Ownership: everything by value. Errors: kUsage (sizes), kData (the split has no
// photos, or none of those asked for can be read).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "headstart/dataset.h"
#include "headstart/image.h"
#include "headstart/preprocess.h"

namespace headstart {

struct PreviewOptions {
  Split split = Split::kTrain;
  int rows = 2;     // 1 to 100
  int columns = 8;  // 1 to 100
  int cell = 0;     // side of a cell, 8 to 1024 pixels; 0: 160, or preprocessing.crop_size with `augmented`, so that no pixel is changed
  // false: whole photos, scaled to fit their cell on a neutral ground (exact resize). true: the views of training's first epoch with this
  // seed, preprocessing and augmentation, bit-equal to the batches'; training split only.
  bool augmented = false;
  std::uint64_t seed = 0;
  Preprocessing preprocessing;  // of whole photos only the decode options count
  Augmentation augmentation;
};

struct PreviewCell {
  std::string path;  // relative to the catalogue's root
  std::int32_t label = 0;
  int row = 0, column = 0;
  int top = 0, left = 0;  // of the cell in the picture, pixels
};

struct Preview {
  Image picture;
  int cell = 0;                         // side of a cell, pixels
  std::vector<PreviewCell> cells;       // row by row; a class with too few photos leaves the rest of its rows empty
  std::vector<std::int32_t> row_label;  // [rows]
  std::vector<bool> row_reversed;       // [rows]; true: counted from the class's last photo
  std::vector<Problem> skipped;         // photos that could not be read; the next ones took their places
};

// The grid. Which photos: of the classes that have photos in the split, with rows <= classes one row a class, spread evenly from the first
// class to the last; with more rows than classes every class gets several rows, one below the other. A class shows its first photos in path
// order; the last class of two or more shows its last photos, last first. So 2 x 8 is the book's preview: the first eight photos and the
// last eight.
//
// Where validation photos were split off from the training photos, whole photos are taken from both (the person's training photos, as the
// book's), augmented views from those that are trained on.
Preview preview_grid(const Catalog& catalog, const PreviewOptions& options = {});

}  // namespace headstart
