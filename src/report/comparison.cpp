// Runs side by side, as text and as a page.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "headstart/compare.h"
#include "headstart/text.h"
#include "report/html_text.h"
#include "report/report_parts.h"

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
  const auto last = [](const TrainResult& run) { return run.history.empty() ? EpochRecord{} : run.history.back(); };
  return {.accuracy = spread_over(runs, [](const TrainResult& run) { return (run.test ? *run.test : run.validation).metrics.top1; }),
          .train_loss = spread_over(runs, [&](const TrainResult& run) { return last(run).train_loss; }),
          .train_top1 = spread_over(runs, [&](const TrainResult& run) { return last(run).train_top1; }),
          .speed = spread_over(runs, examples_per_second),
          .seconds = spread_over(runs, [](const TrainResult& run) { return run.seconds; })};
}

// "0.932 ± 0.004"; the spread only where there is one.
std::string with_spread(const Spread& spread, std::size_t seeds, int decimals = 3) {
  if (seeds < 2) return fmt::format("{:.{}f}", spread.mean, decimals);
  return fmt::format("{:.{}f} ± {:.{}f}", spread.mean, decimals, spread.deviation, decimals);
}

std::string_view scored(const Comparison& comparison) {
  if (comparison.runs.empty() || comparison.runs.front().seeds.empty()) return "validation";
  const TrainResult& first = comparison.runs.front().seeds.front();
  return first.test ? "test" : scored_name(first);
}

std::vector<std::string> cells_of(const ComparedRuns& runs) {
  const Row row = row_of(runs);
  const std::size_t seeds = runs.seeds.size();
  return {runs.name,
          std::to_string(seeds),
          with_spread(row.accuracy, seeds),
          with_spread(row.train_top1, seeds),
          with_spread(row.train_loss, seeds),
          with_spread(row.speed, seeds, 1),
          human_seconds(row.seconds.mean)};
}

std::vector<std::string> header_of(const Comparison& comparison) {
  return {"", "seeds", fmt::format("{} acc", scored(comparison)), "train acc", "train loss", "examples/sec", "time a run"};
}

std::string table_html(const Comparison& comparison) {
  std::string table = "<div class=\"scroll\"><table><thead><tr>";
  for (const std::string& name : header_of(comparison)) table += fmt::format("<th>{}</th>", html_text(name));
  table += "</tr></thead><tbody>";
  for (const ComparedRuns& runs : comparison.runs) {
    table += "<tr>";
    for (const std::string& cell : cells_of(runs)) table += fmt::format("<td>{}</td>", html_text(cell));
    table += "</tr>";
  }
  return table + "</tbody></table></div>";
}

std::string figures_html(const Comparison& comparison) {
  std::string figures = "<div class=\"charts\">";
  for (const ComparedRuns& runs : comparison.runs) {
    if (runs.seeds.empty()) continue;
    figures += fmt::format("<figure><figcaption>{}</figcaption>{}<pre>{}</pre></figure>", html_text(runs.name),
                           curves_svg(curves_of(runs.seeds.front())), html_text(book_lines(runs.seeds.front())));
  }
  return figures + "</div>";
}

}  // namespace

Curves curves_of(const TrainResult& run) {
  Curves curves{.epochs = std::max(run.options.epochs, 1),  // of a run without epochs the figure is empty
                .train = {},
                .test = {},
                .test_name = scored_name(run)};
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
  if (run.history.empty()) return fmt::format("{} acc {:.3f} without training\n", scored_name(run), run.validation.metrics.top1);
  const EpochRecord& last = run.history.back();
  return fmt::format("loss {:.3f}, train acc {:.3f}, {} acc {:.3f}\n{:.1f} examples/sec on [{}]\n", last.train_loss, last.train_top1,
                     scored_name(run), last.validation_top1, examples_per_second(run), run.options.device);
}

std::string comparison_to_text(const Comparison& comparison) {
  std::vector<std::vector<std::string>> rows = {header_of(comparison)};
  for (const ComparedRuns& runs : comparison.runs) rows.push_back(cells_of(runs));
  std::vector<std::size_t> widths(rows.front().size());
  // "±" is two bytes and one column wide.
  const auto columns = [](const std::string& text) { return text.size() - (text.find("±") == std::string::npos ? 0 : 1); };
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], columns(row[i]));
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line = row[0] + std::string(widths[0] - columns(row[0]), ' ');
    for (std::size_t i = 1; i < row.size(); ++i) line += "  " + std::string(widths[i] - columns(row[i]), ' ') + row[i];
    text += line + "\n";
  }
  return text;
}

std::string comparison_to_html(const Comparison& comparison) {
  std::string page = page_start(comparison.title);
  page += fmt::format("<header><div class=\"label\">headstart comparison</div><h1>{}</h1><p class=\"soft\">{}</p></header>\n<main>\n",
                      html_text(comparison.title), html_text(comparison.introduction));
  page += section("figures", "Accuracy", table_html(comparison)) + section("curves", "Training", figures_html(comparison));
  return page + "</main>\n" + page_end();
}

}  // namespace headstart
