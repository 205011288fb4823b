// headstart preview: a grid of a folder's photos as a PNG file, and in the terminal where it draws pictures.
#include "headstart/preview.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "cli.h"
#include "options.h"
#include "output.h"
#include "terminal_picture.h"
#include "text.h"
#include "train_options.h"

namespace headstart::cli {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  headstart preview photos/                             the first 8 photos of the first class, the last 8 of the last\n"
    "  headstart preview photos/ --rows 3 --cols 12          one row a class, spread over the classes\n"
    "  headstart preview photos/ --augmented --seed 7        what train --seed 7 will see of them in its first epoch\n"
    "  headstart preview photos/ --split test --out test.png";

constexpr std::size_t kMostSkippedListed = 10;

inline constexpr Choice<Split> kSplits[] = {{"train", Split::kTrain}, {"val", Split::kValidation}, {"test", Split::kTest}};
inline constexpr Choice<Drawing> kDrawings[] = {
    {"auto", Drawing::kAuto}, {"kitty", Drawing::kKitty}, {"sixel", Drawing::kSixel}, {"none", Drawing::kNone}};

struct PreviewRequest {
  std::filesystem::path photos;
  std::filesystem::path out = "preview.png";
  Drawing drawing = Drawing::kAuto;
  ScanOptions scan;
  PreviewOptions preview;
  TrainOptions source;  // model and architecture: whose preprocessing the augmented views have
  std::optional<int> crop_size;
  std::optional<Interpolation> interpolation;
  AugmentationRequest augmentation;  // over that of train's default recipe
};

PreviewOptions preview_options(const PreviewRequest& request) {
  PreviewOptions options = request.preview;
  options.seed = request.scan.seed;
  if (!options.augmented) return options;
  const DecodeOptions decode = options.preprocessing.decode;
  options.preprocessing = source_preprocessing(request.source);
  options.preprocessing.decode = decode;
  options.preprocessing.crop_size = request.crop_size.value_or(options.preprocessing.crop_size);
  options.preprocessing.interpolation = request.interpolation.value_or(options.preprocessing.interpolation);
  options.augmentation = request.augmentation.over(recipe_defaults(Recipe::kAuto, "").augmentation);
  return options;
}

// "row 2: not-hotdog, the last 8 photos, the last one first", a line for the rows of a class.
std::string rows_text(const Catalog& catalog, const Preview& preview) {
  std::string text;
  const auto rows = static_cast<int>(preview.row_label.size());
  for (int first = 0, end = 0; first < rows; first = end) {
    const auto at = static_cast<std::size_t>(first);
    const std::int32_t label = preview.row_label[at];
    for (end = first; end < rows && preview.row_label[static_cast<std::size_t>(end)] == label;) ++end;
    const auto count = std::count_if(preview.cells.begin(), preview.cells.end(), [&](const PreviewCell& c) { return c.label == label; });
    text += first + 1 == end ? fmt::format("  row {}: ", end) : fmt::format("  rows {} to {}: ", first + 1, end);
    text += fmt::format("{}, the {} {}{}\n", printable(catalog.classes[static_cast<std::size_t>(label)]),
                        preview.row_reversed[at] ? "last" : "first", count_text(count, "photo"),
                        preview.row_reversed[at] ? ", the last one first" : "");
  }
  return text;
}

void warn_of_skipped(Console& console, const std::vector<Problem>& skipped) {
  for (std::size_t i = 0; i < std::min(skipped.size(), kMostSkippedListed); ++i) {
    console.warn("skipped " + problem_text(skipped[i]));
  }
  if (skipped.size() > kMostSkippedListed) console.warn(fmt::format("skipped {} more", skipped.size() - kMostSkippedListed));
}

void write_png(const std::filesystem::path& path, const Image& picture) {
  const std::vector<std::byte> png = encode_png(picture);
  Output file(path);
  file.write({reinterpret_cast<const char*>(png.data()), png.size()});
  file.finish();
}

void run_preview(const PreviewRequest& request, Context& context) {
  const Drawing drawing = choose_drawing(request.drawing);  // refused before any work
  const Catalog catalog = scan_photos(request.photos, request.scan);
  const PreviewOptions options = preview_options(request);
  Preview preview = preview_grid(catalog, options);
  warn_of_skipped(context.console, preview.skipped);
  write_png(request.out, preview.picture);
  const ImageSize size = preview.picture.size;
  const std::string summary =
      fmt::format("{}: {} of {}{}, {} x {} pixels\n", printable(request.out.string()),
                  count_text(static_cast<std::int64_t>(preview.cells.size()), "photo"), to_string(options.split),
                  options.augmented ? fmt::format(" as epoch 1 of seed {} sees them", options.seed) : "", size.width, size.height);
  const std::string rows = rows_text(catalog, preview);
  std::string picture;
  if (drawing != Drawing::kNone) picture = picture_text(shrink_to_width(std::move(preview.picture), terminal_pixel_width()), drawing);
  Output().write(picture + summary + rows);
}

void add_grid_options(CLI::App& command, PreviewRequest& request) {
  add_count(command, "--rows", request.preview.rows, 1,
            "Rows, to 100; as long as there are classes enough, one row a class, spread from the first class to the last; more rows than "
            "classes give every class several (default: 2)");
  add_count(command, "--cols", request.preview.columns, 1, "Photos in a row, to 100 (default: 8)");
  add_choice(command, "--split", request.preview.split, kSplits,
             "Whose photos; train is all training photos, those that are set aside for validation included (default: train)");
  add_seed(command, request.scan.seed, "As of train: of the crops, and of which photos are set aside (default: 0)");
  add_number(command, "--validation-fraction", request.scan.validation_fraction, {.high = 1, .above_low = true},
             "As of train (default: 0.2)");
  command.add_option("--out", request.out, "PNG file; an older one is replaced (default: preview.png)")->type_name("FILE");
  add_count(command, "--cell", request.preview.cell, 8, "Side of a cell in pixels, to 1024 (default: 160; --augmented: the crop size)")
      ->type_name("PIXELS");
  add_choice(command, "--draw", request.drawing, kDrawings,
             "In the terminal too: by Kitty's protocol or as Sixel (default: auto, what the terminal understands; never in a pipe)");
  add_decode_options(command, request.preview.preprocessing.decode);
}

void add_view_options(CLI::App& command, PreviewRequest& request) {
  CLI::Option* const augmented =
      command.add_flag("--augmented", request.preview.augmented,
                       "Show what training will see of its photos in the first epoch: the same crops and flips (default: whole photos)");
  command.add_option("--model", request.source.model, "As of train: its crop size (default: efficientnet_lite0)")
      ->type_name("NAME|FILE")
      ->group("Augmentation");
  command.add_option("--architecture", request.source.architecture, "As of train (default: told from the tensors)")
      ->type_name("NAME")
      ->group("Augmentation");
  add_count(command, "--crop-size", request.crop_size, 1, "As of train (default: the source model's)")->group("Augmentation");
  add_choice(command, "--interpolation", request.interpolation, kInterpolations, "As of train (default: the source model's)")
      ->group("Augmentation");
  add_augmentation_options(command, request.augmentation);
  for (CLI::Option* option : command.get_options([](const CLI::Option* o) { return o->get_group() == "Augmentation"; })) {
    option->needs(augmented);
  }
}

}  // namespace

void add_preview(CLI::App& app, Context& context) {
  CLI::App* const command =
      add_command(app, context, "preview", "Show photos of a folder as a grid, as they are or as training sees them", kExamples);
  const auto request = std::make_shared<PreviewRequest>();
  command->add_option("PHOTOS", request->photos, "Folder of class folders, or of train/ with optional val/ and test/")
      ->type_name("PHOTOS")
      ->required();
  add_grid_options(*command, *request);
  add_view_options(*command, *request);
  command->callback([request, &context] { context.action = [request, &context] { run_preview(*request, context); }; });
}

}  // namespace headstart::cli
