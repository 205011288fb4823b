// Runs side by side, as text and as a page.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "headstart/compare.h"
#include "headstart/text.h"
#include "report/html_text.h"
#include "report/report_parts.h"
#include "report/tables.h"

namespace headstart {
namespace {

template <typename Figure>
Spread spread_over(const ComparedRuns& runs, const Figure& figure) {
  std::vector<double> values;
  for (const TrainResult& run : runs.seeds) values.push_back(figure(run));
  return spread_of(values);
}

// What a way of training comes to.
struct Row {
  Spread accuracy, train_loss, train_top1, speed, seconds;
};

Row row_of(const ComparedRuns& runs) {
  return {.accuracy = spread_over(runs, compared_accuracy),
          .train_loss = spread_over(runs, [](const TrainResult& run) { return last_record(run).train_loss; }),
          .train_top1 = spread_over(runs, [](const TrainResult& run) { return last_record(run).train_top1; }),
          .speed = spread_over(runs, examples_per_second),
          .seconds = spread_over(runs, [](const TrainResult& run) { return run.seconds; })};
}

std::string_view scored(const Comparison& comparison) {
  if (comparison.runs.empty() || comparison.runs.front().seeds.empty()) return "validation";
  const TrainResult& first = comparison.runs.front().seeds.front();
  return first.test ? "test" : to_string(first.options.score);
}

// A fitted head takes no steps, and steps on stored features say nothing of photos.
bool trains_on_photos(const TrainResult& run) { return !run.history.empty() && run.options.recipe != Recipe::kHead; }

std::vector<std::string> cells_of(const ComparedRuns& runs) {
  const Row row = row_of(runs);
  const std::size_t seeds = runs.seeds.size();
  const bool has_speed = std::all_of(runs.seeds.begin(), runs.seeds.end(), trains_on_photos);
  return {runs.name,
          std::to_string(seeds),
          spread_text(row.accuracy, seeds),
          spread_text(row.train_top1, seeds),
          spread_text(row.train_loss, seeds),
          has_speed ? spread_text(row.speed, seeds, 1) : "-",
          human_seconds(row.seconds.mean)};
}

std::vector<std::string> header_of(const Comparison& comparison) {
  return {"", "seeds", fmt::format("{} acc", scored(comparison)), "train acc", "train loss", "examples/sec", "time a run"};
}

TextTable table_of(const Comparison& comparison) {
  TextTable table{header_of(comparison)};
  for (const ComparedRuns& runs : comparison.runs) table.push_back(cells_of(runs));
  return table;
}

// Enough digits to tell small ones apart.
std::string p_text(double p) { return p < 0.0001 ? "< 0.0001" : fmt::format("{:.{}f}", p, p < 0.1 ? 4 : 2); }

// The pairs of ways, adjusted p only where there are several.
TextTable pairs_table(const std::vector<PairedComparison>& pairs) {
  const bool several = pairs.size() > 1;
  TextTable table{{"pair", "difference", "p"}};
  if (several) table.front().emplace_back("p, adjusted");
  table.front().emplace_back("test");
  for (const PairedComparison& pair : pairs) {
    std::vector<std::string> row = {fmt::format("{} - {}", pair.first, pair.second), fmt::format("{:+.3f}", pair.difference),
                                    p_text(pair.p)};
    if (several) row.push_back(p_text(pair.adjusted_p));
    row.push_back(pair.test);
    table.push_back(std::move(row));
  }
  return table;
}

std::string remarks_html(const Comparison& comparison) {
  std::string out;
  for (const ComparedRuns& runs : comparison.runs) {
    if (!runs.remark.empty()) out += fmt::format("<p class=\"soft\">{}: {}.</p>", html_text(runs.name), html_text(runs.remark));
  }
  return out;
}

std::string pairs_html(const Comparison& comparison) {
  const std::vector<PairedComparison> pairs = paired_comparisons(comparison);
  if (pairs.empty()) return "";
  std::string text =
      "<p class=\"soft\">Difference of the accuracies, and how often chance alone would give one at least as large (p, two-sided).";
  if (pairs.size() > 1) text += fmt::format(" Adjusted by Holm's method for {} pairs.", pairs.size());
  return section("pairs", "Is the difference real?", text + "</p>" + html_table(pairs_table(pairs)));
}

std::string figures_html(const Comparison& comparison) {
  std::string figures = "<div class=\"charts\">";
  for (const ComparedRuns& runs : comparison.runs) {
    if (runs.seeds.empty()) continue;
    const TrainResult& first = runs.seeds.front();
    figures += fmt::format("<figure><figcaption>{}</figcaption>{}<pre>{}</pre></figure>", html_text(runs.name),
                           first.history.empty() ? "" : curves_svg(curves_of(first)), html_text(book_lines(first)));
  }
  return figures + "</div>";
}

}  // namespace

Curves curves_of(const TrainResult& run) {
  Curves curves{.epochs = std::max(run.options.epochs, 1),  // of a run without epochs the figure is empty
                .train = {},
                .test = {},
                .test_name = std::string(to_string(run.options.score))};
  for (const TrainingPoint& point : run.curve)
    curves.train.push_back({.x = point.epoch, .train_loss = point.loss, .train_top1 = point.top1});
  for (const EpochRecord& epoch : run.history)
    curves.test.push_back({.x = static_cast<double>(epoch.epoch), .top1 = epoch.validation_top1});
  return curves;
}

Spread spread_of(const std::vector<double>& values) {
  if (values.empty()) return {};
  const auto count = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return {.mean = mean, .deviation = values.size() < 2 ? 0 : std::sqrt(squares / (count - 1))};
}

double examples_per_second(const TrainResult& run) {
  double seconds = 0;
  for (const EpochRecord& epoch : run.history) seconds += epoch.seconds * (1 - epoch.loader_wait_share);
  if (run.history.empty() || seconds <= 0) return 0;
  const EpochRecord& last = run.history.back();
  return last.photos_per_second * last.seconds * static_cast<double>(run.history.size()) / seconds;
}

std::string book_lines(const TrainResult& run) {
  if (run.history.empty())
    return fmt::format("{} acc {:.3f} without training\n", to_string(run.options.score), run.validation.metrics.top1);
  const EpochRecord& last = run.history.back();
  return fmt::format("loss {:.3f}, train acc {:.3f}, {} acc {:.3f}\n{:.1f} examples/sec on [{}]\n", last.train_loss, last.train_top1,
                     to_string(run.options.score), last.validation_top1, examples_per_second(run), run.options.device);
}

std::string comparison_to_text(const Comparison& comparison) {
  std::string text = text_table(table_of(comparison));
  for (const ComparedRuns& runs : comparison.runs) {
    if (!runs.remark.empty()) text += fmt::format("{}: {}\n", runs.name, runs.remark);
  }
  const std::vector<PairedComparison> pairs = paired_comparisons(comparison);
  return pairs.empty() ? text : text + "\n" + text_table(pairs_table(pairs));
}

std::string comparison_to_html(const Comparison& comparison) {
  std::string page = page_start(comparison.title);
  page += fmt::format("<header><div class=\"label\">headstart comparison</div><h1>{}</h1><p class=\"soft\">{}</p></header>\n<main>\n",
                      html_text(comparison.title), html_text(comparison.introduction));
  page += section("figures", "Accuracy", html_table(table_of(comparison)) + remarks_html(comparison)) + pairs_html(comparison);
  page += section("curves", "Training", figures_html(comparison));
  return page + "</main>\n" + page_end();
}

}  // namespace headstart
