#include "report/stroke_font.h"

#include <algorithm>
#include <array>
#include <utility>

namespace headstart {
namespace {

constexpr int kBaseLine = 3;  // the grid's row of the base line: the rows below it are for descenders
constexpr double kSpace = 4;

// Strokes are separated by blanks; a point is its column (0 to 6) and its row (0 to c, twelve).
constexpr std::array<std::pair<char, std::string_view>, 39> kGlyphs = {{
    {'0', "1c4c5b544313040b1c"},
    {'1', "0a2c23 0343"},
    {'2', "0b1c4c5b590353"},
    {'3', "0b1c4c5b594828 485754431304"},
    {'4', "434c0656"},
    {'5', "5c0c08485754431304"},
    {'6', "5b4c1c0b0413435457481807"},
    {'7', "0c5c23"},
    {'8', "1c4c5b594818090b1c 1807041343545748"},
    {'9', "041343545b4c1c0b08174758"},
    {'a', "5953 5849190804134354"},
    {'b', "0c03 0819495854431304"},
    {'c', "5849190804134354"},
    {'d', "5c53 5849190804134354"},
    {'e', "06565849190804134354"},
    {'f', "4c3c2b23 0949"},
    {'g', "5951401001 5849190804134354"},
    {'h', "0c03 0819495853"},
    {'i', "0903 0b"},
    {'j', "29211000 2b"},
    {'k', "0c03 4905 1643"},
    {'l', "0c0413"},
    {'m', "0903 0819293833 3849596863"},
    {'n', "0903 0819495853"},
    {'o', "081949585443130408"},
    {'p', "0900 0819495854431304"},
    {'q', "5950 5849190804134354"},
    {'r', "0903 07182939"},
    {'s', "584919080716465554431304"},
    {'t', "1c142333 0939"},
    {'u', "0904134354 5953"},
    {'v', "092349"},
    {'w', "0913375369"},
    {'x', "0953 0359"},
    {'y', "0924 491000"},
    {'z', "09590353"},
    {'.', "03"},
    {'-', "0747"},
    {'_', "0353"},
}};
constexpr std::string_view kBox = "030c5c5303";

int digit(char c) { return c >= 'a' ? c - 'a' + 10 : c - '0'; }

Glyph parse(std::string_view code) {
  Glyph glyph;
  glyph.strokes.emplace_back();
  double width = 0;
  for (std::size_t i = 0; i < code.size();) {
    if (code[i] == ' ') {
      glyph.strokes.emplace_back();
      ++i;
      continue;
    }
    glyph.strokes.back().push_back({static_cast<double>(digit(code[i])), static_cast<double>(digit(code[i + 1]) - kBaseLine)});
    width = std::max(width, glyph.strokes.back().back().x);
    i += 2;
  }
  glyph.advance = width + kLetterGap;
  return glyph;
}

}  // namespace

std::vector<Glyph> glyphs_of(std::string_view text) {
  std::vector<Glyph> glyphs;
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) & 0xC0U) == 0x80U) continue;  // belongs to the character before
    if (c == ' ') {
      glyphs.push_back({.strokes = {}, .advance = kSpace});
      continue;
    }
    const char small = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    const auto found = std::find_if(kGlyphs.begin(), kGlyphs.end(), [small](const auto& entry) { return entry.first == small; });
    glyphs.push_back(parse(found == kGlyphs.end() ? kBox : found->second));
  }
  return glyphs;
}

}  // namespace headstart
