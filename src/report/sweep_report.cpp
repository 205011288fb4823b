// A sweep as text and as a page.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "headstart/compare.h"
#include "headstart/error.h"
#include "headstart/sweep.h"
#include "headstart/text.h"
#include "report/html_text.h"
#include "report/report_parts.h"
#include "report/svg_chart.h"
#include "report/tables.h"

namespace headstart {
namespace {

std::optional<double> number_of(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

// The values of an axis as numbers; nothing when one of them is none.
std::optional<std::vector<double>> numbers_of(const SweepAxis& axis) {
  std::vector<double> numbers;
  for (const std::string& value : axis.values) {
    const std::optional<double> number = number_of(value);
    if (!number) return std::nullopt;
    numbers.push_back(*number);
  }
  return numbers;
}

// The axis that the chart is drawn over: the first of numbers, else the first.
std::size_t main_axis(const SweepResult& result) {
  for (std::size_t i = 0; i < result.axes.size(); ++i) {
    if (numbers_of(result.axes[i])) return i;
  }
  return 0;
}

// "momentum=0.9, decay=all": the values of all axes but the main one, as a name for the outcomes that share them.
std::string others_of(const SweepResult& result, const SweepOutcome& outcome) {
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < result.axes.size(); ++i) {
    if (i != main_axis(result)) parts.push_back(fmt::format("{}={}", result.axes[i].name, outcome.values[i]));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

bool has_diverged(const SweepOutcome& outcome) {
  return std::any_of(outcome.runs.begin(), outcome.runs.end(), [](const SweepRun& run) { return run.diverged.has_value(); });
}

template <typename Figure>
Spread spread_over(const SweepOutcome& outcome, const Figure& figure) {
  std::vector<double> values;
  for (const SweepRun& run : outcome.runs) {
    if (run.result) values.push_back(figure(*run.result));
  }
  return spread_of(values);
}

double validation_top1(const TrainResult& run) { return run.validation.metrics.top1; }
double validation_loss(const TrainResult& run) { return run.validation.metrics.mean_loss; }
double train_loss(const TrainResult& run) { return last_record(run).train_loss; }
double train_top1(const TrainResult& run) { return last_record(run).train_top1; }

std::string figure_text(const SweepOutcome& outcome, const Spread& spread) {
  const bool none = std::none_of(outcome.runs.begin(), outcome.runs.end(), [](const SweepRun& run) { return run.result.has_value(); });
  return none ? "-" : spread_text(spread, outcome.runs.size());
}

// "diverged at step 3, epoch 1"; of several seeds how many, and the first of them.
std::string divergence_text(const SweepOutcome& outcome) {
  const SweepRun* first = nullptr;
  std::size_t count = 0;
  for (const SweepRun& run : outcome.runs) {
    if (!run.diverged) continue;
    if (first == nullptr) first = &run;
    ++count;
  }
  if (first == nullptr) return "";
  const std::string where = fmt::format("diverged at step {}, epoch {}", first->diverged->step, first->diverged->epoch);
  return outcome.runs.size() == 1 ? where : fmt::format("{} of {} seeds {}", count, outcome.runs.size(), where);
}

std::string remark_of(const SweepResult& result, std::size_t index) {
  return result.best == index ? "best" : divergence_text(result.outcomes[index]);
}

TextTable table_of(const SweepResult& result) {
  TextTable table(1);
  for (const SweepAxis& axis : result.axes) table[0].push_back(axis.name);
  for (const char* const name : {"validation acc", "validation loss", "train acc", "train loss", "remark"}) table[0].emplace_back(name);
  for (std::size_t i = 0; i < result.outcomes.size(); ++i) {
    const SweepOutcome& outcome = result.outcomes[i];
    std::vector<std::string> row = outcome.values;
    for (const auto& figure : {validation_top1, validation_loss, train_top1, train_loss}) {
      row.push_back(figure_text(outcome, spread_over(outcome, figure)));
    }
    row.push_back(remark_of(result, i));
    table.push_back(std::move(row));
  }
  return table;
}

// "lr 0.01, momentum 0.9".
std::string values_text(const SweepResult& result, const SweepOutcome& outcome) {
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < result.axes.size(); ++i) parts.push_back(fmt::format("{} {}", result.axes[i].name, outcome.values[i]));
  return fmt::format("{}", fmt::join(parts, ", "));
}

// The test photos chose nothing, so the best case may say what it makes of them.
std::string best_text(const SweepResult& result) {
  if (!result.best) return "every case diverged";
  const SweepOutcome& best = result.outcomes[*result.best];
  std::string text =
      fmt::format("best: {}, validation accuracy {}", values_text(result, best), figure_text(best, spread_over(best, validation_top1)));
  if (best.runs.front().result->test) text += fmt::format(", test accuracy {}", figure_text(best, spread_over(best, compared_accuracy)));
  return text;
}

// A line of means for each combination of the other axes, and with several seeds a dot for each run.
struct ChartData {
  std::vector<ChartSeries> series;
  ChartSeries runs{.name = "each seed", .points = {}, .only_dots = true};
  std::vector<double> crosses;
};

ChartData chart_data(const SweepResult& result, const std::vector<double>& positions) {
  ChartData data;
  const SweepAxis& axis = result.axes[main_axis(result)];
  for (const SweepOutcome& outcome : result.outcomes) {
    const std::string name = result.axes.size() == 1 ? "mean" : others_of(result, outcome);
    auto series = std::find_if(data.series.begin(), data.series.end(), [&](const ChartSeries& s) { return s.name == name; });
    if (series == data.series.end()) series = data.series.insert(data.series.end(), {.name = name, .points = {}});
    const auto at = std::find(axis.values.begin(), axis.values.end(), outcome.values[main_axis(result)]) - axis.values.begin();
    const double x = positions[static_cast<std::size_t>(at)];
    if (has_diverged(outcome)) {
      data.crosses.push_back(x);
      continue;
    }
    series->points.push_back({x, spread_over(outcome, validation_top1).mean});
    for (const SweepRun& run : outcome.runs) data.runs.points.push_back({x, validation_top1(*run.result)});
  }
  for (ChartSeries& series : data.series) {
    std::stable_sort(series.points.begin(), series.points.end(), [](const ChartPoint& a, const ChartPoint& b) { return a.x < b.x; });
  }
  return data;
}

std::string chart_svg(const SweepResult& result) {
  const SweepAxis& axis = result.axes[main_axis(result)];
  const std::optional<std::vector<double>> numbers = numbers_of(axis);
  std::vector<double> positions = numbers.value_or(std::vector<double>{});
  for (std::size_t i = positions.size(); i < axis.values.size(); ++i) positions.push_back(static_cast<double>(i));
  ChartData data = chart_data(result, positions);
  const bool several_seeds = result.outcomes.front().runs.size() > 1;
  if (!several_seeds && result.axes.size() == 1) data.series.front().name = "accuracy";
  if (several_seeds) data.series.push_back(std::move(data.runs));
  LineChart chart{.title = "Validation accuracy",
                  .x_label = axis.name,
                  .description = best_text(result),
                  .y_scale = ChartScale::kShares,
                  .series = std::move(data.series),
                  .crosses = std::move(data.crosses),
                  .whole_x = !numbers,
                  .log_x = axis.log && numbers,
                  .width = 760,
                  .height = 360};
  if (!numbers) chart.x_names = axis.values;
  if (result.best) {
    const std::string& value = result.outcomes[*result.best].values[main_axis(result)];
    const auto at = std::find(axis.values.begin(), axis.values.end(), value) - axis.values.begin();
    chart.mark = ChartMark{positions[static_cast<std::size_t>(at)], "best: " + value};
  }
  return line_chart_svg(chart);
}

// Rounded to three digits.
double rounded(double value) {
  double out = 0;
  const std::string text = fmt::format("{:.3g}", value);
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

template <typename At>
std::vector<double> values_between(double low, double high, int count, const At& at) {
  if (count < 2 || count > 1000 || !(low < high) || !std::isfinite(low) || !std::isfinite(high)) {
    throw Error(ErrorCategory::kUsage,
                fmt::format("values of a sweep: expected 2 to 1000 of them from a number to a larger one, found {} from {} to {}", count,
                            low, high));
  }
  std::vector<double> values = {low};
  for (int i = 1; i < count - 1; ++i) values.push_back(rounded(at(static_cast<double>(i) / (count - 1))));
  values.push_back(high);
  return values;
}

}  // namespace

std::vector<double> linear_values(double low, double high, int count) {
  return values_between(low, high, count, [&](double share) { return low + share * (high - low); });
}

std::vector<double> log_values(double low, double high, int count) {
  if (!(low > 0)) {
    throw Error(ErrorCategory::kUsage, fmt::format("values of a sweep: by equal factors they must be above 0, not {}", low));
  }
  return values_between(low, high, count, [&](double share) { return low * std::pow(high / low, share); });
}

std::optional<std::size_t> best_outcome(const std::vector<SweepOutcome>& outcomes) {
  std::optional<std::size_t> best;
  std::pair<double, double> best_score;
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    if (outcomes[i].runs.empty() || has_diverged(outcomes[i])) continue;
    const std::pair score(spread_over(outcomes[i], validation_top1).mean, -spread_over(outcomes[i], validation_loss).mean);
    if (best && score <= best_score) continue;
    best = i;
    best_score = score;
  }
  return best;
}

std::vector<std::string> divergences(const SweepResult& result) {
  const std::size_t main = main_axis(result);
  const bool ordered = numbers_of(result.axes[main]).has_value();
  std::vector<std::string> groups, lines;
  for (const SweepOutcome& outcome : result.outcomes) {
    const std::string group = others_of(result, outcome);
    if (std::find(groups.begin(), groups.end(), group) == groups.end()) groups.push_back(group);
  }
  for (const std::string& group : groups) {
    std::vector<std::pair<double, const SweepOutcome*>> members;
    for (const SweepOutcome& outcome : result.outcomes) {
      if (others_of(result, outcome) == group) members.emplace_back(number_of(outcome.values[main]).value_or(0), &outcome);
    }
    std::stable_sort(members.begin(), members.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    const auto diverged = [](const auto& member) { return has_diverged(*member.second); };
    const auto first = std::find_if(members.begin(), members.end(), diverged);
    if (first == members.end()) continue;
    const bool from_there_on = ordered && std::all_of(first, members.end(), diverged);
    std::vector<std::string> values;
    for (auto member = first; member != members.end(); ++member) {
      if (diverged(*member)) values.push_back(member->second->values[main]);
    }
    const std::string at = from_there_on ? fmt::format("from {} {} on", result.axes[main].name, values.front())
                                         : fmt::format("at {} {}", result.axes[main].name, fmt::join(values, ", "));
    lines.push_back(fmt::format("{}training diverges {}", group.empty() ? "" : fmt::format("with {} ", group), at));
  }
  return lines;
}

std::string sweep_to_text(const SweepResult& result) {
  std::string text = text_table(table_of(result)) + "\n" + best_text(result) + "\n";
  for (const std::string& line : divergences(result)) text += line + "\n";
  return text;
}

std::string sweep_to_html(const SweepResult& result) {
  std::vector<std::string> names;
  for (const SweepAxis& axis : result.axes) names.push_back(axis.name);
  const std::string title = fmt::format("Sweep of {}", fmt::join(names, " and "));
  std::string page = page_start(title);
  page += fmt::format("<header><div class=\"label\">headstart sweep</div><h1>{}</h1><p class=\"soft\">{}</p></header>\n<main>\n",
                      html_text(title), html_text(best_text(result)));
  std::string note = "<p class=\"soft\">The case with the best validation accuracy is marked; the test photos choose nothing.";
  const std::vector<std::string> lines = divergences(result);
  if (!lines.empty()) note += " A cross on the axis stands for a case that diverged.";
  note += "</p>";
  for (const std::string& line : lines) note += fmt::format("<p class=\"note\">{}.</p>", html_text(line));
  page += section("chart", "Accuracy",
                  fmt::format("<figure><figcaption>Validation accuracy</figcaption>{}</figure>", chart_svg(result)) + note);
  const std::optional<std::size_t> best_row = result.best ? std::optional(*result.best + 1) : std::nullopt;
  page += section("table", "Every case", html_table(table_of(result), best_row));
  return page + "</main>\n" + page_end();
}

}  // namespace headstart
