#include "sixel.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <vector>

namespace headstart::cli {
namespace {

using Rgb = std::array<int, 3>;

constexpr std::size_t kColours = 256;
constexpr int kBits = 5;  // a channel of the histogram
constexpr std::size_t kBins = std::size_t{1} << (3 * kBits);
constexpr int kRowsPerBand = 6;
constexpr int kRounding = 2;  // what percents cannot say, of 255: left alone, or plain areas would be speckled

std::size_t bin_of(const Rgb& colour) {
  constexpr int kDrop = 8 - kBits;
  return static_cast<std::size_t>(((colour[0] >> kDrop) << (2 * kBits)) | ((colour[1] >> kDrop) << kBits) | (colour[2] >> kDrop));
}

// Sixel states colours in percent: what the terminal will show of a channel.
int to_percent(int value) { return (value * 100 + 127) / 255; }
int from_percent(int percent) { return (percent * 255 + 50) / 100; }

// The mean colour of the pixels of one bin of the histogram, and how many there are.
struct Bin {
  std::array<std::int64_t, 3> sum{};
  std::int64_t count = 0;
  int mean(std::size_t channel) const { return static_cast<int>(sum[channel] / count); }
};

std::vector<Bin> histogram(const Image& image) {
  std::vector<Bin> bins(kBins);
  for (std::size_t i = 0; i < image.rgb.size(); i += 3) {
    const Rgb colour = {image.rgb[i], image.rgb[i + 1], image.rgb[i + 2]};
    Bin& bin = bins[bin_of(colour)];
    for (std::size_t c = 0; c < 3; ++c) bin.sum[c] += colour[c];
    ++bin.count;
  }
  std::erase_if(bins, [](const Bin& bin) { return bin.count == 0; });
  return bins;
}

// A box of the median cut: bins [first, last), and the channel in which they differ most.
struct Cut {
  std::size_t first = 0, last = 0;
  std::size_t channel = 0;
  double weight = 0;  // how much it is worth to split: spread times pixels
};

Cut measure(const std::vector<Bin>& bins, std::size_t first, std::size_t last) {
  Cut cut{.first = first, .last = last};
  std::int64_t pixels = 0;
  int widest = 0;
  for (std::size_t i = first; i < last; ++i) pixels += bins[i].count;
  for (std::size_t c = 0; c < 3; ++c) {
    int low = 255, high = 0;
    for (std::size_t i = first; i < last; ++i) {
      low = std::min(low, bins[i].mean(c));
      high = std::max(high, bins[i].mean(c));
    }
    if (high - low <= widest) continue;
    widest = high - low;
    cut.channel = c;
  }
  cut.weight = last - first > 1 ? static_cast<double>(widest) * static_cast<double>(pixels) : 0;
  return cut;
}

// Where half of the cut's pixels are on either side; both sides have a bin.
std::size_t split_place(std::vector<Bin>& bins, const Cut& cut) {
  const auto at = [&bins](std::size_t i) { return bins.begin() + static_cast<std::ptrdiff_t>(i); };
  std::sort(at(cut.first), at(cut.last), [&cut](const Bin& a, const Bin& b) { return a.mean(cut.channel) < b.mean(cut.channel); });
  std::int64_t pixels = 0, half = 0;
  for (std::size_t i = cut.first; i < cut.last; ++i) pixels += bins[i].count;
  std::size_t place = cut.first;
  while (half * 2 < pixels) half += bins[place++].count;
  return std::clamp(place, cut.first + 1, cut.last - 1);
}

// In percent, as Sixel writes colours.
std::vector<Rgb> median_cut(const Image& image) {
  std::vector<Bin> bins = histogram(image);
  std::vector<Cut> cuts = {measure(bins, 0, bins.size())};
  while (cuts.size() < kColours) {
    const auto widest = std::max_element(cuts.begin(), cuts.end(), [](const Cut& a, const Cut& b) { return a.weight < b.weight; });
    if (widest->weight == 0) break;
    const Cut cut = *widest;
    const std::size_t middle = split_place(bins, cut);
    *widest = measure(bins, cut.first, middle);
    cuts.push_back(measure(bins, middle, cut.last));
  }
  std::vector<Rgb> palette;
  for (const Cut& cut : cuts) {
    Bin all;
    Bin commonest;
    for (std::size_t i = cut.first; i < cut.last; ++i) {
      all.count += bins[i].count;
      for (std::size_t c = 0; c < 3; ++c) all.sum[c] += bins[i].sum[c];
      if (bins[i].count > commonest.count) commonest = bins[i];
    }
    if (commonest.count * 2 > all.count) all = commonest;  // a plain area keeps its colour: its rare neighbours can be dithered
    palette.push_back({to_percent(all.mean(0)), to_percent(all.mean(1)), to_percent(all.mean(2))});
  }
  std::sort(palette.begin(), palette.end());
  palette.erase(std::unique(palette.begin(), palette.end()), palette.end());
  return palette;
}

// The pixels' own colours in percent; empty when there are more than Sixel's registers.
std::vector<Rgb> exact_palette(const Image& image) {
  std::vector<Rgb> palette;
  for (std::size_t i = 0; i < image.rgb.size(); i += 3) {
    const Rgb colour = {to_percent(image.rgb[i]), to_percent(image.rgb[i + 1]), to_percent(image.rgb[i + 2])};
    const auto place = std::lower_bound(palette.begin(), palette.end(), colour);
    if (place != palette.end() && *place == colour) continue;
    if (palette.size() == kColours) return {};
    palette.insert(place, colour);
  }
  return palette;
}

// The nearest register of a colour. Each bin of the histogram is looked up once: dithering makes up for what that rounds away.
class NearestColour {
 public:
  explicit NearestColour(const std::vector<Rgb>& palette) : by_bin_(kBins, -1) {
    for (const Rgb& colour : palette) colours_.push_back({from_percent(colour[0]), from_percent(colour[1]), from_percent(colour[2])});
  }
  int find(const Rgb& colour) {
    std::int16_t& known = by_bin_[bin_of(colour)];
    if (known < 0) known = search(colour);
    return known;
  }
  const Rgb& colour(int index) const { return colours_[static_cast<std::size_t>(index)]; }

 private:
  std::int16_t search(const Rgb& colour) const {
    int best = std::numeric_limits<int>::max();
    std::size_t found = 0;
    for (std::size_t i = 0; i < colours_.size(); ++i) {
      int distance = 0;
      for (std::size_t c = 0; c < 3; ++c) distance += (colour[c] - colours_[i][c]) * (colour[c] - colours_[i][c]);
      if (distance < best) {
        best = distance;
        found = i;
      }
    }
    return static_cast<std::int16_t>(found);
  }
  std::vector<Rgb> colours_;
  std::vector<std::int16_t> by_bin_;
};

// Register of every pixel, [height * width]; the error of each goes to its right and lower neighbours (7, 3, 5, 1 sixteenths).
std::vector<std::uint8_t> dither(const Image& image, const std::vector<Rgb>& palette) {
  NearestColour nearest(palette);
  const auto width = static_cast<std::size_t>(image.size.width);
  std::vector<std::uint8_t> registers(image.rgb.size() / 3);
  std::vector<Rgb> here(width + 2), below(width + 2);  // errors in sixteenths, one pixel of margin
  for (std::size_t y = 0; y < static_cast<std::size_t>(image.size.height); ++y) {
    for (std::size_t x = 0; x < width; ++x) {
      Rgb wanted{};
      for (std::size_t c = 0; c < 3; ++c) wanted[c] = std::clamp(image.rgb[(y * width + x) * 3 + c] + here[x + 1][c] / 16, 0, 255);
      const int found = nearest.find(wanted);
      registers[y * width + x] = static_cast<std::uint8_t>(found);
      for (std::size_t c = 0; c < 3; ++c) {
        const int difference = wanted[c] - nearest.colour(found)[c];
        const int error = std::abs(difference) <= kRounding ? 0 : difference;
        here[x + 2][c] += 7 * error;
        below[x][c] += 3 * error;
        below[x + 1][c] += 5 * error;
        below[x + 2][c] += error;
      }
    }
    here.swap(below);
    std::fill(below.begin(), below.end(), Rgb{});
  }
  return registers;
}

std::vector<std::uint8_t> look_up(const Image& image, const std::vector<Rgb>& palette) {
  std::vector<std::uint8_t> registers(image.rgb.size() / 3);
  for (std::size_t i = 0; i < registers.size(); ++i) {
    const Rgb colour = {to_percent(image.rgb[i * 3]), to_percent(image.rgb[i * 3 + 1]), to_percent(image.rgb[i * 3 + 2])};
    registers[i] = static_cast<std::uint8_t>(std::lower_bound(palette.begin(), palette.end(), colour) - palette.begin());
  }
  return registers;
}

void append_run(std::string& out, std::uint8_t pattern, std::size_t length) {
  const char character = static_cast<char>('?' + pattern);
  if (length > 3) {
    out += fmt::format("!{}{}", length, character);
  } else {
    out.append(length, character);
  }
}

// Columns of up to six pixels in one colour. What follows the last set pixel is left out.
void append_line(std::string& out, const std::uint8_t* patterns, std::size_t width) {
  while (width > 0 && patterns[width - 1] == 0) --width;
  for (std::size_t x = 0; x < width;) {
    std::size_t end = x + 1;
    while (end < width && patterns[end] == patterns[x]) ++end;
    append_run(out, patterns[x], end - x);
    x = end;
  }
}

// Six rows, one pass a colour.
void append_band(std::string& out, const std::vector<std::uint8_t>& registers, ImageSize size, int first_row, std::size_t colours) {
  const auto width = static_cast<std::size_t>(size.width);
  std::vector<std::uint8_t> patterns(colours * width);
  std::vector<bool> used(colours);
  for (int y = first_row; y < std::min(first_row + kRowsPerBand, size.height); ++y) {
    for (std::size_t x = 0; x < width; ++x) {
      const std::uint8_t colour = registers[static_cast<std::size_t>(y) * width + x];
      used[colour] = true;
      patterns[colour * width + x] = static_cast<std::uint8_t>(patterns[colour * width + x] | (1U << static_cast<unsigned>(y - first_row)));
    }
  }
  bool first = true;
  for (std::size_t colour = 0; colour < colours; ++colour) {
    if (!used[colour]) continue;
    if (!first) out += '$';  // back to the band's left end
    first = false;
    out += fmt::format("#{}", colour);
    append_line(out, patterns.data() + colour * width, width);
  }
  out += '-';
}

}  // namespace

std::string sixel_text(const Image& image) {
  std::vector<Rgb> palette = exact_palette(image);
  const bool exact = !palette.empty();
  if (!exact) palette = median_cut(image);
  const std::vector<std::uint8_t> registers = exact ? look_up(image, palette) : dither(image, palette);
  // Square pixels, what is not drawn stays as it is; the size lets the terminal make room at once.
  std::string out = fmt::format("\x1bP0;1;0q\"1;1;{};{}", image.size.width, image.size.height);
  for (std::size_t i = 0; i < palette.size(); ++i) out += fmt::format("#{};2;{};{};{}", i, palette[i][0], palette[i][1], palette[i][2]);
  for (int row = 0; row < image.size.height; row += kRowsPerBand) append_band(out, registers, image.size, row, palette.size());
  return out + "\x1b\\";
}

}  // namespace headstart::cli
