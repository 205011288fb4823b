// The most confident mistakes with thumbnails: often a wrong label, a photo of two things, or one that a person would get wrong as well.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "headstart/image.h"
#include "report/html_text.h"
#include "report/report_parts.h"

namespace headstart {
namespace {

constexpr std::size_t kMostMistakes = 24;
constexpr int kThumbnailSide = 160;  // pixels, of the longer side
constexpr int kThumbnailQuality = 80;

struct Mistake {
  const ScoredPhoto* photo = nullptr;
  ClassScore predicted;
};

std::vector<Mistake> most_confident_mistakes(std::span<const ScoredPhoto> photos) {
  std::vector<Mistake> mistakes;
  for (const ScoredPhoto& photo : photos) {
    const std::vector<ClassScore> top = top_scores(photo.probabilities, 1);
    // NaN is no confidence.
    if (!top.empty() && top[0].label != photo.label && !std::isnan(top[0].probability)) mistakes.push_back({&photo, top[0]});
  }
  std::stable_sort(mistakes.begin(), mistakes.end(),
                   [](const Mistake& a, const Mistake& b) { return a.predicted.probability > b.predicted.probability; });
  return mistakes;
}

Image shrink(const Image& image) {
  const int longer = std::max(image.size.height, image.size.width);
  if (longer <= kThumbnailSide) return image;
  const auto side = [&](int pixels) {
    return std::max(1, static_cast<int>(std::lround(static_cast<double>(pixels) * kThumbnailSide / longer)));
  };
  return resize(image, {.height = side(image.size.height), .width = side(image.size.width)}, Interpolation::kBilinear);
}

// The picture, or a few words when it cannot be read any more.
std::string thumbnail(const ReportContext& context, const std::string& path) {
  try {
    const Image small = shrink(read_image(context.photos_root / path, context.result.options.preprocessing.decode));
    return fmt::format("<img src=\"data:image/jpeg;base64,{}\" width=\"{}\" height=\"{}\" alt=\"\">",
                       base64(encode_jpeg(small, kThumbnailQuality)), small.size.width, small.size.height);
  } catch (const std::exception&) {  // moved, damaged, out of memory: a report without this picture is better than none
    return "<span>the photo could<br>not be read</span>";
  }
}

std::string mistake_item(const ReportContext& context, const Mistake& mistake) {
  return fmt::format(
      "<li><div class=\"thumb\">{}</div><p><b class=\"sure\">{}</b> {}<br><span class=\"soft\">labelled</span> <b>{}</b></p>"
      "<span class=\"path\">{}</span></li>",
      thumbnail(context, mistake.photo->path), class_name(context, mistake.predicted.label), html_percent(mistake.predicted.probability),
      class_name(context, mistake.photo->label), html_name(mistake.photo->path));
}

}  // namespace

std::string mistakes_section(const ReportContext& context) {
  const bool has_photos = !context.held_out.photos.empty();
  const Evaluation& source = has_photos ? context.held_out : context.result.validation;
  const std::string_view name = has_photos ? context.held_out_name : "validation";
  if (source.photos.empty()) return {};
  const std::vector<Mistake> mistakes = most_confident_mistakes(source.photos);
  if (mistakes.empty()) return section("mistakes", "Mistakes", fmt::format("<p>None: every {} photo was named right.</p>", name));
  const std::size_t shown = std::min(mistakes.size(), kMostMistakes);
  std::string body = fmt::format(
      "<p class=\"soft\">{} of the {} {} named wrong{}, the most confident first. Look whether the label is right.</p><ul "
      "class=\"mistakes\">",
      human_count(static_cast<std::int64_t>(mistakes.size())), counted(static_cast<std::int64_t>(source.photos.size()), "photo", "photos"),
      fmt::format("of the {} split {}", name, mistakes.size() == 1 ? "was" : "were"),
      shown < mistakes.size() ? fmt::format("; here are {}", shown) : "");
  for (std::size_t i = 0; i < shown; ++i) body += mistake_item(context, mistakes[i]);
  return section("mistakes", "Most confident mistakes", body + "</ul>");
}

}  // namespace headstart
