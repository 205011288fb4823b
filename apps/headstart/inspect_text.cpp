#include "inspect_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "options.h"
#include "text.h"

namespace headstart::cli {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kMostListed = 10;
constexpr int kWidestClass = 40;

std::size_t listed(std::size_t count, const TextStyle& style) { return style.all ? count : std::min(count, kMostListed); }

std::string rest_line(std::size_t count, const TextStyle& style) {
  const std::size_t shown = listed(count, style);
  return shown == count
             ? ""
             : style.paint.dim(fmt::format("  … and {} more; --all lists them\n", human_count(static_cast<std::int64_t>(count - shown))));
}

std::string heading(std::string_view text, const TextStyle& style) { return fmt::format("\n{}\n", style.paint.bold(text)); }

std::string padded(std::string_view text, int columns) {
  const int missing = columns - text_columns(text);
  return std::string(text) + std::string(static_cast<std::size_t>(std::max(missing, 0)), ' ');
}

std::string size_text(const ImageSize& size) { return fmt::format("{}x{}", size.width, size.height); }

ordered_json size_json(const ImageSize& size) { return {{"width", size.width}, {"height", size.height}}; }

ordered_json problems_json(const std::vector<Problem>& problems) {
  ordered_json json = ordered_json::array();
  for (const Problem& problem : problems) json.push_back({{"path", problem.path}, {"reason", problem.reason}});
  return json;
}

std::string problems_text(std::string_view title, const std::vector<Problem>& problems, const TextStyle& style) {
  if (problems.empty()) return "";
  std::string text = heading(fmt::format("{} ({})", title, problems.size()), style);
  for (std::size_t i = 0; i < listed(problems.size(), style); ++i) text += "  " + problem_text(problems[i]) + "\n";
  return text + rest_line(problems.size(), style);
}

// "jpeg 1,990, png 10", most frequent first.
std::string tally(const std::map<std::string, std::int64_t>& counts) {
  std::vector<std::pair<std::string, std::int64_t>> rows(counts.begin(), counts.end());
  std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  std::string text;
  for (const auto& [name, count] : rows) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, human_count(count));
  return text;
}

std::string class_table(const AuditReport& report, const TextStyle& style) {
  int width = 5;
  for (const ClassCount& row : report.classes) width = std::max(width, std::min(text_columns(printable(row.name)), kWidestClass));
  const auto line = [width](std::string_view name, const std::array<std::int64_t, 3>& photos) {
    return fmt::format("  {}  {:>9}  {:>10}  {:>9}\n", padded(name, width), human_count(photos[0]), human_count(photos[1]),
                       human_count(photos[2]));
  };
  std::string text =
      style.paint.dim(fmt::format("  {}  {:>9}  {:>10}  {:>9}", padded("class", width), "train", "validation", "test")) + "\n";
  std::array<std::int64_t, 3> sum{};
  for (const ClassCount& row : report.classes) {
    for (std::size_t split = 0; split < sum.size(); ++split) sum[split] += row.photos[split];
  }
  for (std::size_t c = 0; c < listed(report.classes.size(), style); ++c)
    text += line(printable(report.classes[c].name), report.classes[c].photos);
  return text + rest_line(report.classes.size(), style) + line("total", sum);
}

std::string duplicates_text(const AuditReport& report, const TextStyle& style) {
  if (report.duplicates.empty()) return "";
  const auto across = [&](auto member) {
    return std::count_if(report.duplicates.begin(), report.duplicates.end(),
                         [member](const DuplicateGroup& group) { return group.*member; });
  };
  std::string text = heading(fmt::format("Duplicates ({} groups; {} across splits, {} across classes)", report.duplicates.size(),
                                         across(&DuplicateGroup::across_splits), across(&DuplicateGroup::across_classes)),
                             style);
  for (std::size_t i = 0; i < listed(report.duplicates.size(), style); ++i) {
    const DuplicateGroup& group = report.duplicates[i];
    std::string line = group.exact ? "  same bytes  " : "  look alike  ";
    for (std::size_t p = 0; p < group.paths.size(); ++p) line += (p == 0 ? "" : " = ") + printable(group.paths[p]);
    if (group.across_splits) line += style.paint.yellow("  across splits");
    if (group.across_classes) line += style.paint.yellow("  across classes");
    text += line + "\n";
  }
  return text + rest_line(report.duplicates.size(), style);
}

std::string preprocessing_line(const Preprocessing& p) {
  return fmt::format("{} to {} ({}), centre {}x{}, mean {:g},{:g},{:g}, std {:g},{:g},{:g}, EXIF orientation {}, transparency {}",
                     p.resize_mode == ResizeMode::kShorterSide ? "shorter side" : "both sides", p.resize_size,
                     word_of(kInterpolations, p.interpolation), p.crop_size, p.crop_size, p.mean[0], p.mean[1], p.mean[2], p.std[0],
                     p.std[1], p.std[2], p.decode.apply_exif_orientation ? "applied" : "ignored",
                     p.decode.alpha == Alpha::kFlattenOnWhite ? "flattened on white" : "dropped");
}

// Metrics are shares, but for losses.
std::string metric_text(const std::string& name, double value) {
  return name.find("loss") != std::string::npos ? fmt::format("{:.4f}", value) : human_percent(value);
}

}  // namespace

ordered_json audit_json(const Catalog& catalog, const AuditReport& report) {
  ordered_json json = {{"root", catalog.root.string()}, {"fingerprint", fingerprint(catalog)}};
  json["classes"] = ordered_json::array();
  for (const ClassCount& row : report.classes) {
    json["classes"].push_back({{"name", row.name}, {"train", row.photos[0]}, {"validation", row.photos[1]}, {"test", row.photos[2]}});
  }
  json["validation_was_split_off"] = catalog.validation_was_split_off;
  json["imbalance"] = report.imbalance;
  json["formats"] = report.formats;
  json["modes"] = report.modes;
  json["sizes"] = {{"smallest", size_json(report.smallest)}, {"median", size_json(report.median)}, {"largest", size_json(report.largest)}};
  json["rotated_by_exif"] = report.rotated_by_exif;
  json["duplicates"] = ordered_json::array();
  for (const DuplicateGroup& group : report.duplicates) {
    json["duplicates"].push_back(
        {{"exact", group.exact}, {"across_splits", group.across_splits}, {"across_classes", group.across_classes}, {"paths", group.paths}});
  }
  json["unreadable"] = problems_json(report.unreadable);
  json["problems"] = problems_json(report.problems);
  return json;
}

std::string audit_text(const Catalog& catalog, const AuditReport& report, const TextStyle& style) {
  const auto photos = std::ssize(catalog.train) + std::ssize(catalog.validation) + std::ssize(catalog.test);
  std::string text = fmt::format("{}: {} of {}\n\n", style.paint.bold(printable(catalog.root.string())), count_text(photos, "photo"),
                                 count_text(std::ssize(catalog.classes), "class"));
  text += class_table(report, style);
  if (catalog.validation_was_split_off) text += style.paint.dim("  validation is set aside from the training photos, by seed\n");
  const auto fact = [&](std::string_view name, const std::string& value) { text += fmt::format("{:<16}  {}\n", name, value); };
  text += "\n";
  fact("imbalance", fmt::format("{:.1f} : 1", report.imbalance));
  fact("formats", tally(report.formats));
  fact("colours", tally(report.modes));
  fact("sizes", fmt::format("{} to {}, median {}", size_text(report.smallest), size_text(report.largest), size_text(report.median)));
  if (report.rotated_by_exif > 0) fact("turned by EXIF", count_text(report.rotated_by_exif, "photo"));
  text += duplicates_text(report, style);
  text += problems_text("Unreadable photos, which training skips", report.unreadable, style);
  text += problems_text("Problems", report.problems, style);
  if (report.duplicates.empty() && report.unreadable.empty() && report.problems.empty()) {
    text += "\n" + style.paint.green("No problems found.") + "\n";
  }
  return text;
}

ordered_json model_json(const ModelInfo& info) {
  const Preprocessing& p = info.preprocessing;
  ordered_json json = {{"architecture", info.architecture}, {"classes", info.classes}};
  json["preprocessing"] = {{"resize", word_of(kResizeModes, p.resize_mode)},
                           {"resize_size", p.resize_size},
                           {"crop_size", p.crop_size},
                           {"interpolation", word_of(kInterpolations, p.interpolation)},
                           {"mean", p.mean},
                           {"std", p.std},
                           {"apply_exif_orientation", p.decode.apply_exif_orientation},
                           {"drop_alpha", p.decode.alpha == Alpha::kDrop},
                           {"max_pixels", p.decode.max_pixels}};
  json["temperature"] = info.temperature;
  json["metrics"] = info.metrics;
  json["provenance"] = info.provenance;
  return json;
}

std::string model_text(const std::filesystem::path& file, const ModelInfo& info, const TextStyle& style) {
  std::string text = fmt::format("{}: {} for {}\n", style.paint.bold(printable(file.string())), info.architecture,
                                 count_text(std::ssize(info.classes), "class"));
  text += heading("Classes", style);
  for (std::size_t c = 0; c < listed(info.classes.size(), style); ++c) text += fmt::format("  {:>4}  {}\n", c, printable(info.classes[c]));
  text += rest_line(info.classes.size(), style);
  text += heading("Preprocessing", style) + "  " + preprocessing_line(info.preprocessing) + "\n";
  if (info.temperature != 1) text += heading("Probabilities", style) + fmt::format("  softmax(logits / {:.4g})\n", info.temperature);
  if (!info.metrics.empty()) text += heading("Metrics", style);
  for (const auto& [name, value] : info.metrics) text += fmt::format("  {:<24}  {}\n", printable(name), metric_text(name, value));
  if (!info.provenance.empty()) text += heading("Provenance", style);
  for (const auto& [name, value] : info.provenance) text += fmt::format("  {:<24}  {}\n", printable(name), printable(value));
  return text;
}

}  // namespace headstart::cli
