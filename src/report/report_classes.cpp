// Which classes the model knows well, and which it takes for which.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "eval/confusion.h"
#include "report/html_text.h"
#include "report/report_parts.h"

namespace headstart {
namespace {

constexpr std::size_t kMostOpenRows = 30;  // longer tables are folded, their weakest classes shown
constexpr std::size_t kWeakest = 12;
constexpr std::size_t kMostMatrixClasses = 30;  // above, a matrix is a blur of tiny cells
constexpr std::size_t kMostLargeCells = 10;
constexpr std::size_t kMostPairs = 25;

std::string share_cell(double share) {
  return fmt::format("<td>{}<span class=\"bar\"><i style=\"width:{:.1f}%\"></i></span></td>", html_percent(share), 100 * share);
}

std::string class_row(const ReportContext& context, int label) {
  const ClassMetrics& m = context.held_out.metrics.per_class[static_cast<std::size_t>(label)];
  return fmt::format("<tr><th class=\"wrap left\">{}</th>{}{}{}<td>{}</td></tr>", class_name(context, label), share_cell(m.precision),
                     share_cell(m.recall), share_cell(m.f1), human_count(m.support));
}

std::string class_table(const ReportContext& context, const std::vector<int>& labels, bool with_total) {
  std::string out =
      "<div "
      "class=\"scroll\"><table><thead><tr><th>class</th><th>precision</th><th>recall</th><th>F1</th><th>photos</th></tr></thead><tbody>";
  for (const int label : labels) out += class_row(context, label);
  const ClassMetrics& macro = context.held_out.metrics.macro;
  if (with_total) {
    out += fmt::format("<tr class=\"total\"><th class=\"left\">macro average</th>{}{}{}<td>{}</td></tr>", share_cell(macro.precision),
                       share_cell(macro.recall), share_cell(macro.f1), human_count(macro.support));
  }
  return out + "</tbody></table></div>";
}

std::vector<int> weakest_labels(const Metrics& metrics) {
  std::vector<int> labels;
  for (std::size_t c = 0; c < metrics.per_class.size(); ++c) {
    if (metrics.per_class[c].support > 0) labels.push_back(static_cast<int>(c));
  }
  std::stable_sort(labels.begin(), labels.end(), [&](int a, int b) {
    return metrics.per_class[static_cast<std::size_t>(a)].f1 < metrics.per_class[static_cast<std::size_t>(b)].f1;
  });
  labels.resize(std::min(labels.size(), kWeakest));
  return labels;
}

std::string matrix_cell(const Metrics& metrics, std::size_t row, std::size_t column) {
  const std::int64_t photos = metrics.confusion[row * metrics.per_class.size() + column];
  if (photos == 0) return "<td class=\"zero\">0</td>";
  const double share = static_cast<double>(photos) / static_cast<double>(std::max<std::int64_t>(1, metrics.per_class[row].support));
  // The square root lets a few wrong photos among many stand out.
  const double strength = row == column ? 0.12 + 0.82 * share : 0.14 + 0.80 * std::sqrt(share);
  return fmt::format("<td class=\"{}{}\" style=\"--v:{:.2f}\">{}</td>", row == column ? "right" : "wrong", strength > 0.6 ? " strong" : "",
                     strength, human_count(photos));
}

std::string matrix(const ReportContext& context) {
  const Metrics& metrics = context.held_out.metrics;
  const std::size_t n = metrics.per_class.size();
  const bool large = n <= kMostLargeCells;
  const bool turned = n > 4;  // long names side by side would make wide columns
  std::string out = fmt::format(
      "<div class=\"matrix-box\"><table class=\"matrix{}{}\" style=\"--cell:{}px\"><thead><tr><th class=\"corner\">"
      "true ↓ &nbsp; predicted →</th>",
      large ? "" : " small", turned ? " turned" : "",
      n <= 4  ? 84
      : large ? 52
              : 29);
  for (std::size_t c = 0; c < n; ++c) out += fmt::format("<th scope=\"col\">{}</th>", class_name(context, static_cast<int>(c)));
  out += "</tr></thead><tbody>";
  for (std::size_t row = 0; row < n; ++row) {
    out += fmt::format("<tr><th scope=\"row\">{}</th>", class_name(context, static_cast<int>(row)));
    for (std::size_t column = 0; column < n; ++column) out += matrix_cell(metrics, row, column);
    out += "</tr>";
  }
  return out + "</tbody></table></div>";
}

std::string pairs_table(const ReportContext& context, std::span<const ConfusedPair> pairs) {
  std::string out =
      "<div class=\"scroll\"><table class=\"pair\"><thead><tr><th>true class</th><th class=\"left\">taken for</th><th>photos</th>"
      "<th>of the class</th></tr></thead><tbody>";
  for (const ConfusedPair& pair : pairs) {
    out +=
        fmt::format("<tr><th class=\"wrap left\">{}</th><td class=\"wrap left\">{}</td><td>{}</td>{}</tr>", class_name(context, pair.label),
                    class_name(context, pair.predicted), human_count(pair.photos), share_cell(pair.share));
  }
  return out + "</tbody></table></div>";
}

}  // namespace

std::string classes_section(const ReportContext& context) {
  const Metrics& metrics = context.held_out.metrics;
  if (metrics.per_class.empty()) return {};
  std::vector<int> all(metrics.per_class.size());
  std::iota(all.begin(), all.end(), 0);
  std::string body = fmt::format(
      "<p class=\"soft\">On the {} photos. Precision: how many of the photos that were given this name have it. Recall: how many of the "
      "photos of the class were found. F1: their harmonic mean.</p>",
      context.held_out_name);
  if (all.size() <= kMostOpenRows) {
    body += class_table(context, all, true);
  } else {
    const std::vector<int> weakest = weakest_labels(metrics);
    body += fmt::format("<h3>The {} weakest classes by F1</h3>{}<details><summary>All {} classes</summary>{}</details>", weakest.size(),
                        class_table(context, weakest, true), all.size(), class_table(context, all, true));
  }
  return section("classes", "Classes", body);
}

std::string confusion_section(const ReportContext& context) {
  const Metrics& metrics = context.held_out.metrics;
  if (metrics.per_class.empty()) return {};
  const bool as_matrix = metrics.per_class.size() <= kMostMatrixClasses;
  std::string body;
  if (as_matrix) {
    body =
        "<p class=\"soft\">Every photo by its label and by what the model said: right on the diagonal in blue, wrong beside it in orange. "
        "The shade is the share of the row.</p>" +
        matrix(context);
  }
  const std::vector<ConfusedPair> pairs = most_confused(metrics, as_matrix ? 8 : kMostPairs);
  if (pairs.empty()) {
    body += "<p>No photo was taken for another class.</p>";
  } else if (!as_matrix || metrics.per_class.size() > kMostLargeCells) {
    body += (as_matrix ? "<h3>Most confused</h3>" : "<p class=\"soft\">The pairs of classes that were confused most often.</p>") +
            pairs_table(context, pairs);
  }
  return section("confusion", "Confusions", body);
}

}  // namespace headstart
