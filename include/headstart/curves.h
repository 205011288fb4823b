// The figure of a run as the book draws it: loss and accuracy over the epochs, as SVG, as pixels and as text for a terminal.
//
// x goes from 1 to the number of epochs (from 0 where there is but one), y from 0 to 1; what lies outside is cut off at the frame, as the
// book's figure does with the first epoch's points and with losses above 1. Train loss is solid, train accuracy dashed, the other accuracy
// dash-dotted. A value that is not finite breaks its line. All three can be drawn at any moment of a run.
// Thread-safety: pure functions. Errors: kUsage for fewer than one epoch and for sizes that are out of range.
#pragma once

#include <string>
#include <vector>

#include "headstart/image.h"

namespace headstart {

struct Curves {
  struct TrainPoint {
    double x = 0;           // epochs done, fractions too: 0.2 after the first fifth of the first epoch
    double train_loss = 0;  // running mean since the epoch's start
    double train_top1 = 0;  // likewise, in [0, 1]
  };
  struct TestPoint {
    double x = 0;     // epochs done
    double top1 = 0;  // in [0, 1]
  };
  int epochs = 0;                  // of the whole run, those to come included
  std::vector<TrainPoint> train;   // by ascending x
  std::vector<TestPoint> test;     // by ascending x
  std::string test_name = "test";  // "test" or "validation": the legend's word
};

// An SVG file: 420 x 300 units, white ground.
std::string curves_svg(const Curves& curves);

// The same picture in pixels, `width` (210 to 8400) by 5/7 of it; encode_png() makes the file.
Image curves_png_rgb(const Curves& curves, int width = 840);

struct CurvesTextOptions {
  int columns = 80;
  int rows = 20;
  bool utf8 = true;     // braille dots and box characters; false: ASCII
  bool colour = false;  // ANSI colours; they take no columns
};

// Exactly `rows` lines of at most `columns` characters, each ending in a line feed: the legend, the curves, the axis and its numbers.
// Empty below 20 x 6: there is no room for a figure. At most 4096 of each.
std::string curves_text(const Curves& curves, const CurvesTextOptions& options = {});

}  // namespace headstart
