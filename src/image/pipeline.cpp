#include "image/pipeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "headstart/error.h"
#include "image/decode.h"
#include "image/exif.h"
#include "image/jpeg.h"
#include "image/orient.h"
#include "image/preprocess.h"

namespace headstart {
namespace {

// The requests of one training view, together.
struct ViewRequest {
  const Preprocessing& preprocessing;
  const Augmentation& augmentation;
  std::uint64_t seed;
  std::uint32_t epoch, sample;

  CropDraw draw(ImageSize size) const { return draw_augmentation(size, augmentation, seed, epoch, sample); }
  ImageSize target() const { return {preprocessing.crop_size, preprocessing.crop_size}; }
};

std::size_t row_bytes(ImageSize size) { return static_cast<std::size_t>(size.width) * 3; }

void check_room(const Preprocessing& preprocessing, std::span<const std::uint8_t> out) {
  const auto side = static_cast<std::size_t>(std::max(preprocessing.crop_size, 0));
  if (side == 0) {
    throw Error(ErrorCategory::kUsage, fmt::format("training view: crop_size must be positive, got {}", preprocessing.crop_size));
  }
  if (out.size() != side * side * 3) {
    throw Error(ErrorCategory::kInternal,
                fmt::format("training view: expected room for {0}x{0} RGB pixels, got {1} bytes", side, out.size()));
  }
}

// torchvision's resized_crop of the picture upright, of which `image` is a part that holds `draw.region`: the crop comes first, so no pixel
// outside it takes part.
void render_crop(const Image& image, const CropDraw& draw, const ViewRequest& request, ResampleScratch& scratch,
                 std::span<std::uint8_t> out) {
  const ImageSize target = request.target();
  const ResizeJob job{.box = {0, 0, static_cast<double>(draw.region.width), static_cast<double>(draw.region.height)},
                      .size = target,
                      .interpolation = request.preprocessing.interpolation,
                      .mirror_columns = draw.flip};
  resize_into(crop_view(view_of(image), draw.region), job, scratch, {out.data(), target, row_bytes(target)});
}

void render_exact(const Image& image, const ViewRequest& request, ResampleScratch& scratch, std::span<std::uint8_t> out) {
  render_crop(image, request.draw(image.size), request, scratch, out);
}

// The pixels that the box touches, and the box in their coordinates: as in the exact view, nothing outside the crop takes part.
RgbView clip_to_box(const RgbView& view, Box& box) {
  const int top = static_cast<int>(std::floor(box.top)), left = static_cast<int>(std::floor(box.left));
  const int bottom = std::min(static_cast<int>(std::ceil(box.bottom)), view.size.height);
  const int right = std::min(static_cast<int>(std::ceil(box.right)), view.size.width);
  box = {box.left - left, box.top - top, box.right - left, box.bottom - top};
  return crop_view(view, {.top = top, .left = left, .height = bottom - top, .width = right - left});
}

// What to ask of decode_jpeg_region so that it picks 1, 2, 4 or 8 eighths: libjpeg-turbo has SIMD code for these alone, and the scales
// between them were slower than a whole decode and a resize (docs/pixels.md).
ImageSize decode_target(const Region& region, ImageSize view) {
  std::int64_t eighths = 1;
  while (eighths < 8 &&
         (region.height * eighths < view.height * std::int64_t{8} || region.width * eighths < view.width * std::int64_t{8})) {
    eighths *= 2;
  }
  return {static_cast<int>(region.height * eighths / 8), static_cast<int>(region.width * eighths / 8)};
}

// Decodes only what the crop shows, in the file's own orientation, and turns the small result. Mirroring is the resize's, for nothing.
void render_fast(const EncodedPhoto& photo, const JpegHeader& header, const ViewRequest& request, Workspace& workspace,
                 std::span<std::uint8_t> out) {
  const int orientation = request.preprocessing.decode.apply_exif_orientation ? header.orientation : 1;
  const CropDraw draw = request.draw(oriented_size(header.size, orientation));
  const ImageSize target = request.target();  // a square: the same before rows become columns
  const Region region = stored_region(draw.region, header.size, orientation);
  Box box;
  // A scaled decode smooths, which a resize that does not must not be given: OpenCV's aliasing is part of what it stands for.
  const bool scaled = request.preprocessing.interpolation != Interpolation::kOpenCvBilinear;
  const ImageSize decoded_size = scaled ? decode_target(region, target) : ImageSize{region.height, region.width};
  decode_jpeg_region(photo.bytes, region, decoded_size, workspace.decoded, box, photo.index);
  const RgbView source = clip_to_box(view_of(workspace.decoded), box);
  const OrientationSteps steps = orientation_steps(orientation);
  const ResizeJob job{.box = box,
                      .size = target,
                      .interpolation = request.preprocessing.interpolation,
                      .mirror_columns = steps.mirror_columns != (draw.flip && !steps.transposed),
                      .mirror_rows = steps.mirror_rows != (draw.flip && steps.transposed)};
  if (!steps.transposed) {
    resize_into(source, job, workspace.resample, {out.data(), target, row_bytes(target)});
    return;
  }
  workspace.scratch.resize(out.size());
  resize_into(source, job, workspace.resample, {workspace.scratch.data(), target, row_bytes(target)});
  transpose_rgb(workspace.scratch, target, out);
}

// The exact view with only the crop's pixels made; false where the picture has to be decoded whole.
bool render_exact_part(const EncodedPhoto& photo, const JpegHeader& header, const ViewRequest& request, Workspace& workspace,
                       std::span<std::uint8_t> out) {
  const int orientation = request.preprocessing.decode.apply_exif_orientation ? header.orientation : 1;
  CropDraw draw = request.draw(oriented_size(header.size, orientation));
  const Region region = stored_region(draw.region, header.size, orientation);
  Box box;
  if (!decode_sound_jpeg_region(photo.bytes, region, workspace.decoded, box, photo.index)) return false;
  const Region in_part{static_cast<int>(box.top), static_cast<int>(box.left), region.height, region.width};
  draw.region = upright_region(in_part, workspace.decoded.size, orientation);
  apply_orientation(workspace.decoded, orientation, workspace.scratch);
  render_crop(workspace.decoded, draw, request, workspace.resample, out);
  return true;
}

// Pictures beyond either limit go the exact way, which knows what to say about them.
bool within_limits(ImageSize size, const DecodeOptions& options) {
  const std::int64_t pixels = static_cast<std::int64_t>(size.height) * size.width;
  return pixels <= std::min(options.max_pixels, DecodeOptions{}.max_pixels);
}

JpegHeader header_of(const EncodedPhoto& photo) {
  if (photo.index == nullptr) return read_jpeg_header(photo.bytes);
  if (!photo.index->header) photo.index->header = read_jpeg_header(photo.bytes);
  return *photo.index->header;
}

}  // namespace

void render_training_view(const EncodedPhoto& photo, const Preprocessing& preprocessing, const Augmentation& augmentation,
                          std::uint64_t seed, std::uint32_t epoch, std::uint32_t sample, Workspace& workspace,
                          std::span<std::uint8_t> out) {
  check_room(preprocessing, out);
  const ViewRequest request{preprocessing, augmentation, seed, epoch, sample};
  if (sniff_format(photo.bytes) == ImageFormat::kJpeg) {
    const JpegHeader header = header_of(photo);
    if (within_limits(header.size, preprocessing.decode)) {
      if (augmentation.fast_decode) return render_fast(photo, header, request, workspace, out);
      if (render_exact_part(photo, header, request, workspace, out)) return;
    }
  }
  decode_image_into(photo.bytes, preprocessing.decode, workspace.decoded);
  render_exact(workspace.decoded, request, workspace.resample, out);
}

void render_training_view(const Image& image, const Preprocessing& preprocessing, const Augmentation& augmentation, std::uint64_t seed,
                          std::uint32_t epoch, std::uint32_t sample, Workspace& workspace, std::span<std::uint8_t> out) {
  check_room(preprocessing, out);
  render_exact(image, {preprocessing, augmentation, seed, epoch, sample}, workspace.resample, out);
}

void render_evaluation_view(std::span<const std::byte> encoded, const Preprocessing& preprocessing, Workspace& workspace,
                            std::span<std::uint8_t> out) {
  decode_image_into(encoded, preprocessing.decode, workspace.decoded);
  preprocess_into(workspace.decoded, preprocessing, workspace.resample, out);
}

void render_evaluation_view(const Image& image, const Preprocessing& preprocessing, Workspace& workspace, std::span<std::uint8_t> out) {
  preprocess_into(image, preprocessing, workspace.resample, out);
}

}  // namespace headstart
