#include "headstart/preview.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <optional>
#include <utility>

#include "data/loader.h"
#include "headstart/error.h"

namespace headstart {
namespace {

constexpr int kWholePhotoCell = 160;
constexpr int kMostCells = 100;  // a side
constexpr int kSmallestCell = 8, kLargestCell = 1024;
constexpr std::int64_t kMostPixels = std::int64_t{1} << 26U;  // 200 MB of RGB
constexpr std::uint8_t kGround = 230;                         // a light grey: photos on white and on black both keep their edges
constexpr std::uint32_t kFirstEpoch = 0;                      // the key of the loop's first epoch, which is called epoch 1

void expect(bool holds, std::string_view option, int low, int high, int found) {
  if (holds) return;
  throw Error(ErrorCategory::kUsage, fmt::format("preview: option {} must be from {} to {}, but is {}", option, low, high, found));
}

int cell_side(const PreviewOptions& options) {
  if (options.cell != 0) return options.cell;
  return options.augmented ? options.preprocessing.crop_size : kWholePhotoCell;
}

int gap_of(int cell) { return std::max(2, cell / 40); }

ImageSize picture_size(const PreviewOptions& options, int cell) {
  const int gap = gap_of(cell);
  return {.height = gap + options.rows * (cell + gap), .width = gap + options.columns * (cell + gap)};
}

void check(const PreviewOptions& options) {
  expect(options.rows >= 1 && options.rows <= kMostCells, "rows", 1, kMostCells, options.rows);
  expect(options.columns >= 1 && options.columns <= kMostCells, "columns", 1, kMostCells, options.columns);
  const int cell = cell_side(options);
  if (options.cell != 0) expect(cell >= kSmallestCell && cell <= kLargestCell, "cell", kSmallestCell, kLargestCell, cell);
  if (options.augmented) {
    const int crop = options.preprocessing.crop_size;
    expect(crop >= 1 && crop <= 4096, "crop_size", 1, 4096, crop);
    if (options.split != Split::kTrain) {
      throw Error(ErrorCategory::kUsage,
                  fmt::format("preview: only training photos are augmented, not those of the split {}", to_string(options.split)));
    }
  }
  const ImageSize size = picture_size(options, cell);
  if (static_cast<std::int64_t>(size.height) * size.width > kMostPixels) {
    throw Error(ErrorCategory::kUsage, fmt::format("preview: {} x {} cells of {} pixels make a picture of {} x {} pixels, more than {}; "
                                                   "take fewer or smaller cells",
                                                   options.rows, options.columns, cell, size.width, size.height, kMostPixels));
  }
}

// The photos that may be shown. Split-off validation photos are put back among the training photos by path: both lists are sorted.
std::vector<Sample> shown_samples(const Catalog& catalog, const PreviewOptions& options) {
  std::vector<Sample> samples = catalog.samples(options.split);
  if (options.split != Split::kTrain || options.augmented || !catalog.validation_was_split_off) return samples;
  const auto own = static_cast<std::ptrdiff_t>(samples.size());
  samples.insert(samples.end(), catalog.validation.begin(), catalog.validation.end());
  std::inplace_merge(samples.begin(), samples.begin() + own, samples.end(),
                     [](const Sample& a, const Sample& b) { return a.path < b.path; });
  return samples;
}

// A class's photos as indices into the samples, and the rows that they fill.
struct Band {
  std::int32_t label = 0;
  bool reversed = false;
  int rows = 0;
  std::vector<std::uint32_t> photos;  // in the order in which they are shown
};

std::vector<Band> classes_with_photos(const std::vector<Sample>& samples, std::size_t classes) {
  std::vector<Band> bands(classes);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    Band& band = bands[static_cast<std::size_t>(samples[i].label)];
    band.label = samples[i].label;
    band.photos.push_back(static_cast<std::uint32_t>(i));
  }
  std::erase_if(bands, [](const Band& band) { return band.photos.empty(); });
  return bands;
}

// Which classes are shown over how many rows, from top to bottom.
std::vector<Band> plan(const std::vector<Sample>& samples, const Catalog& catalog, const PreviewOptions& options) {
  std::vector<Band> all = classes_with_photos(samples, catalog.classes.size());
  if (all.empty()) {
    throw Error(ErrorCategory::kData, fmt::format("preview: {} has no {} photos", catalog.root.string(), to_string(options.split)));
  }
  const auto classes = static_cast<int>(all.size());
  const int shown = std::min(classes, options.rows);
  std::vector<Band> bands;
  for (int i = 0; i < shown; ++i) {
    const int which = shown == 1 ? 0 : i * (classes - 1) / (shown - 1);  // increasing: shown <= classes
    Band band = std::move(all[static_cast<std::size_t>(which)]);
    band.rows = options.rows * (i + 1) / shown - options.rows * i / shown;
    band.reversed = shown > 1 && i == shown - 1;
    if (band.reversed) std::reverse(band.photos.begin(), band.photos.end());
    bands.push_back(std::move(band));
  }
  return bands;
}

// A whole photo in the middle of a square of ground.
Image fit(const Image& photo, int cell) {
  Image square{.size = {cell, cell},
               .rgb = std::vector<std::uint8_t>(static_cast<std::size_t>(cell) * static_cast<std::size_t>(cell) * 3, kGround)};
  const double scale = static_cast<double>(cell) / std::max(photo.size.height, photo.size.width);
  const auto side = [&](int length) { return std::clamp(static_cast<int>(std::lround(length * scale)), 1, cell); };
  const Image small = resize(photo, {.height = side(photo.size.height), .width = side(photo.size.width)}, Interpolation::kBilinear);
  const int top = (cell - small.size.height) / 2, left = (cell - small.size.width) / 2;
  const std::size_t row_bytes = static_cast<std::size_t>(small.size.width) * 3;
  for (int y = 0; y < small.size.height; ++y) {
    const std::size_t to = (static_cast<std::size_t>(top + y) * static_cast<std::size_t>(cell) + static_cast<std::size_t>(left)) * 3;
    std::memcpy(square.rgb.data() + to, small.rgb.data() + static_cast<std::size_t>(y) * row_bytes, row_bytes);
  }
  return square;
}

// Makes the square of one photo; nullopt for one that cannot be read.
class CellMaker {
 public:
  CellMaker(const Catalog& catalog, const std::vector<Sample>& samples, const PreviewOptions& options)
      : catalog_(catalog), samples_(samples), options_(options), cell_(cell_side(options)) {
    // The loader itself, so that a view cannot differ from training's.
    if (options.augmented) {
      loader_.emplace(samples, LoaderOptions{.root = catalog.root,
                                             .preprocessing = options.preprocessing,
                                             .augmentation = options.augmentation,
                                             .batch_size = 1,
                                             .seed = options.seed});
    }
  }

  std::optional<Image> make(std::uint32_t index) { return options_.augmented ? augmented(index) : whole(index); }

  // Photos that could not be read, sorted by path.
  std::vector<Problem> skipped() {
    std::vector<Problem> all = loader_ ? loader_->skipped() : std::move(skipped_);
    std::sort(all.begin(), all.end(), [](const Problem& a, const Problem& b) { return a.path < b.path; });
    return all;
  }

 private:
  std::optional<Image> augmented(std::uint32_t index) {
    loader_->start({index}, kFirstEpoch);
    std::optional<Batch> batch = loader_->next();
    if (!batch || batch->count == 0) return std::nullopt;
    const int crop = options_.preprocessing.crop_size;
    Image view{.size = {crop, crop}, .rgb = std::move(batch->pixels)};
    return crop == cell_ ? view : resize(view, {cell_, cell_}, Interpolation::kBilinear);
  }

  std::optional<Image> whole(std::uint32_t index) {
    const Sample& sample = samples_[index];
    try {
      return fit(read_image(catalog_.root / sample.path, options_.preprocessing.decode), cell_);
    } catch (const Error& error) {
      if (error.category() != ErrorCategory::kData && error.category() != ErrorCategory::kFile) throw;
      skipped_.push_back({sample.path, error.what()});
      return std::nullopt;
    }
  }

  const Catalog& catalog_;
  const std::vector<Sample>& samples_;
  const PreviewOptions& options_;
  int cell_;
  std::optional<Loader> loader_;
  std::vector<Problem> skipped_;
};

void paste(const Image& square, const PreviewCell& at, Image& picture) {
  const auto side = static_cast<std::size_t>(square.size.width);
  const auto width = static_cast<std::size_t>(picture.size.width);
  for (std::size_t y = 0; y < side; ++y) {
    const std::size_t to = ((static_cast<std::size_t>(at.top) + y) * width + static_cast<std::size_t>(at.left)) * 3;
    std::memcpy(picture.rgb.data() + to, square.rgb.data() + y * side * 3, side * 3);
  }
}

// Fills a class's rows with its first photos that can be read.
void fill_band(const Band& band, const std::vector<Sample>& samples, CellMaker& maker, int columns, Preview& preview) {
  const int first_row = static_cast<int>(preview.row_label.size());
  const int gap = gap_of(preview.cell);
  int filled = 0;
  for (const std::uint32_t index : band.photos) {
    if (filled == band.rows * columns) break;
    const std::optional<Image> square = maker.make(index);
    if (!square) continue;
    const int row = first_row + filled / columns, column = filled % columns;
    preview.cells.push_back({.path = samples[index].path,
                             .label = band.label,
                             .row = row,
                             .column = column,
                             .top = gap + row * (preview.cell + gap),
                             .left = gap + column * (preview.cell + gap)});
    paste(*square, preview.cells.back(), preview.picture);
    ++filled;
  }
  preview.row_label.insert(preview.row_label.end(), static_cast<std::size_t>(band.rows), band.label);
  preview.row_reversed.insert(preview.row_reversed.end(), static_cast<std::size_t>(band.rows), band.reversed);
}

}  // namespace

Preview preview_grid(const Catalog& catalog, const PreviewOptions& options) {
  check(options);
  const std::vector<Sample> samples = shown_samples(catalog, options);
  const std::vector<Band> bands = plan(samples, catalog, options);
  Preview preview;
  preview.cell = cell_side(options);
  preview.picture.size = picture_size(options, preview.cell);
  preview.picture.rgb.assign(
      static_cast<std::size_t>(preview.picture.size.height) * static_cast<std::size_t>(preview.picture.size.width) * 3, kGround);
  CellMaker maker(catalog, samples, options);
  for (const Band& band : bands) fill_band(band, samples, maker, options.columns, preview);
  preview.skipped = maker.skipped();
  if (preview.cells.empty()) {
    throw Error(ErrorCategory::kData, fmt::format("preview: none of the photos of {} can be read; the first: {}: {}", catalog.root.string(),
                                                  preview.skipped.front().path, preview.skipped.front().reason));
  }
  return preview;
}

}  // namespace headstart
