// Metrics for readers: JSON for programs, CSV for spreadsheets, aligned text for a terminal.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "eval/confusion.h"
#include "eval/display_text.h"
#include "eval/json_text.h"
#include "headstart/error.h"
#include "headstart/evaluate.h"
#include "headstart/text.h"

namespace headstart {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kMostMatrixClasses = 12;  // more make a table that no terminal holds
constexpr std::size_t kMostPairs = 15;

void check_classes(const Metrics& metrics, std::span<const std::string> classes) {
  if (metrics.per_class.size() != classes.size() || metrics.confusion.size() != classes.size() * classes.size()) {
    throw Error(ErrorCategory::kUsage,
                fmt::format("write metrics: {} class names for metrics of {} classes", classes.size(), metrics.per_class.size()));
  }
}

ordered_json to_json(const ClassMetrics& m) {
  return {{"precision", m.precision}, {"recall", m.recall}, {"f1", m.f1}, {"support", m.support}};
}

std::int64_t confusion_at(const Metrics& metrics, std::size_t row, std::size_t column) {
  return metrics.confusion[row * metrics.per_class.size() + column];
}

std::int64_t right_photos(const Metrics& metrics) {
  std::int64_t right = 0;
  for (std::size_t c = 0; c < metrics.per_class.size(); ++c) right += confusion_at(metrics, c, c);
  return right;
}

std::vector<std::string> printable_names(std::span<const std::string> classes) {
  std::vector<std::string> names;
  names.reserve(classes.size());
  for (const std::string& name : classes) names.push_back(printable(name));
  return names;
}

int widest(std::span<const std::string> names) {
  int width = 0;
  for (const std::string& name : names) width = std::max(width, display_width(name));
  return width;
}

std::string headline(const Metrics& metrics) {
  std::string out = fmt::format("accuracy   {}  ({} of {} photos)\n           95% interval {} to {}\n", human_percent(metrics.top1),
                                right_photos(metrics), metrics.photos, human_percent(metrics.top1_interval.low),
                                human_percent(metrics.top1_interval.high));
  if (metrics.per_class.size() > 5) out += fmt::format("top-5      {}\n", human_percent(metrics.top5));
  return out + fmt::format("mean loss  {:.4f} nats\ncalibration error  {}  (expected, in 15 ranges)\n", metrics.mean_loss,
                           human_percent(metrics.calibration_error));
}

std::string class_row(std::string_view name, int name_width, const ClassMetrics& m) {
  return fmt::format("{}  {:>9}  {:>6}  {:>6}  {:>7}\n", fit_to_width(name, name_width, Align::kLeft), human_percent(m.precision),
                     human_percent(m.recall), human_percent(m.f1), m.support);
}

std::string class_table(const Metrics& metrics, std::span<const std::string> names, int columns) {
  constexpr int kFigures = 36;  // of class_row(), behind the name
  constexpr std::string_view kMacro = "macro average";
  const int wanted = std::max(widest(names), static_cast<int>(kMacro.size()));
  const int width = std::clamp(columns - kFigures, std::min(wanted, 13), wanted);
  std::string out =
      fmt::format("{}  {:>9}  {:>6}  {:>6}  {:>7}\n", fit_to_width("class", width, Align::kLeft), "precision", "recall", "F1", "photos");
  for (std::size_t c = 0; c < names.size(); ++c) out += class_row(names[c], width, metrics.per_class[c]);
  return out + class_row(kMacro, width, metrics.macro);
}

// Rows: true class; columns: predicted. Where the names do not fit above the columns, rows and columns are numbered. Empty when even the
// counts do not fit.
std::string confusion_table(const Metrics& metrics, std::vector<std::string> rows, int columns) {
  const int count = static_cast<int>(rows.size());
  const auto digits = static_cast<int>(std::to_string(*std::max_element(metrics.confusion.begin(), metrics.confusion.end())).size());
  std::vector<std::string> headers = rows;
  int cell = std::max(widest(headers), digits);
  if (widest(rows) + count * (cell + 2) > columns) {
    for (std::size_t c = 0; c < rows.size(); ++c) {
      headers[c] = std::to_string(c + 1);
      rows[c] = fmt::format("{:>2} {}", c + 1, rows[c]);
    }
    cell = std::max(widest(headers), digits);
  }
  const int row_width = std::min(widest(rows), columns - count * (cell + 2));
  if (row_width < 8) return {};
  std::string out = std::string(static_cast<std::size_t>(row_width), ' ');
  for (const std::string& header : headers) out += "  " + fit_to_width(header, cell, Align::kRight);
  out += '\n';
  for (std::size_t row = 0; row < rows.size(); ++row) {
    out += fit_to_width(rows[row], row_width, Align::kLeft);
    for (std::size_t column = 0; column < rows.size(); ++column) out += fmt::format("  {:>{}}", confusion_at(metrics, row, column), cell);
    out += '\n';
  }
  return "confusion (rows: true class, columns: predicted)\n" + out;
}

std::string confused_pairs(const Metrics& metrics, std::span<const std::string> names, int columns) {
  const std::vector<ConfusedPair> pairs = most_confused(metrics, kMostPairs);
  if (pairs.empty()) return "no photo was taken for another class\n";
  const int width = std::min(widest(names), std::max(8, (columns - 32) / 2));
  std::string out =
      fmt::format("most confused\n{}     {}  photos  of the class\n", fit_to_width("true class", std::max(width, 10), Align::kLeft),
                  fit_to_width("taken for", std::max(width, 10), Align::kLeft));
  for (const ConfusedPair& pair : pairs) {
    out += fmt::format("{}  →  {}  {:>6}  {:>12}\n",
                       fit_to_width(names[static_cast<std::size_t>(pair.label)], std::max(width, 10), Align::kLeft),
                       fit_to_width(names[static_cast<std::size_t>(pair.predicted)], std::max(width, 10), Align::kLeft), pair.photos,
                       human_percent(pair.share));
  }
  return out;
}

}  // namespace

std::string metrics_to_json(const Metrics& metrics, std::span<const std::string> classes) {
  check_classes(metrics, classes);
  ordered_json json = {{"photos", metrics.photos},
                       {"top1", metrics.top1},
                       {"top1_interval", {metrics.top1_interval.low, metrics.top1_interval.high}},
                       {"top5", metrics.top5},
                       {"mean_loss", metrics.mean_loss},
                       {"calibration_error", metrics.calibration_error},
                       {"macro", to_json(metrics.macro)}};
  json["per_class"] = ordered_json::array();
  json["confusion"] = ordered_json::array();
  for (std::size_t c = 0; c < classes.size(); ++c) {
    ordered_json row = {{"class", valid_utf8(classes[c])}};
    row.update(to_json(metrics.per_class[c]));
    json["per_class"].push_back(std::move(row));
    ordered_json counts = ordered_json::array();
    for (std::size_t p = 0; p < classes.size(); ++p) counts.push_back(confusion_at(metrics, c, p));
    json["confusion"].push_back(std::move(counts));
  }
  return pretty_json(json);  // NaN becomes null
}

std::string metrics_to_csv(const Metrics& metrics, std::span<const std::string> classes) {
  check_classes(metrics, classes);
  std::string out = "class,precision,recall,f1,support,top1,top1_low,top1_high,top5,mean_loss,calibration_error";
  for (const std::string& name : classes) out += "," + csv_field("predicted:" + name);
  out += '\n';
  const auto figures = [](const ClassMetrics& m) { return fmt::format(",{},{},{},{}", m.precision, m.recall, m.f1, m.support); };
  std::vector<std::int64_t> predicted(classes.size());
  for (std::size_t c = 0; c < classes.size(); ++c) {
    out += csv_field(classes[c]) + figures(metrics.per_class[c]) + ",,,,,,";
    for (std::size_t p = 0; p < classes.size(); ++p) {
      out += fmt::format(",{}", confusion_at(metrics, c, p));
      predicted[p] += confusion_at(metrics, c, p);
    }
    out += '\n';
  }
  out += "(all)" + figures(metrics.macro) +
         fmt::format(",{},{},{},{},{},{}", metrics.top1, metrics.top1_interval.low, metrics.top1_interval.high, metrics.top5,
                     metrics.mean_loss, metrics.calibration_error);
  for (const std::int64_t photos : predicted) out += fmt::format(",{}", photos);
  return out + '\n';
}

std::string metrics_to_text(const Metrics& metrics, std::span<const std::string> classes, int columns) {
  check_classes(metrics, classes);
  const std::vector<std::string> names = printable_names(classes);
  std::string confusion;
  if (!names.empty() && names.size() <= kMostMatrixClasses) confusion = confusion_table(metrics, names, columns);
  if (confusion.empty()) confusion = confused_pairs(metrics, names, columns);
  return headline(metrics) + '\n' + class_table(metrics, names, columns) + '\n' + confusion;
}

}  // namespace headstart
