// A font of strokes for the figure's labels: small letters, digits and a few signs on a grid. Our own drawing.
//
// Thread-safety: pure functions.
#pragma once

#include <string_view>
#include <vector>

namespace headstart {

inline constexpr double kDigitUnits = 9;  // a digit's height; small letters are six units tall
inline constexpr double kLetterGap = 2.4;

struct GlyphPoint {
  double x = 0, y = 0;  // units; y upwards from the base line
};

struct Glyph {
  std::vector<std::vector<GlyphPoint>> strokes;  // a stroke of one point is a dot
  double advance = 0;                            // units to the next glyph
};

// One glyph a character of valid UTF-8; a box for those that the font lacks.
std::vector<Glyph> glyphs_of(std::string_view text);

}  // namespace headstart
