// The top of the report: what the model reaches, what it is, and how training went.
#include <fmt/format.h>

#include <algorithm>

#include "headstart/text.h"
#include "report/html_text.h"
#include "report/report_parts.h"
#include "report/svg_chart.h"

namespace headstart {
namespace {

std::string fact(std::string_view name, std::string_view value, std::string_view small) {
  return fmt::format("<div><dt>{}</dt><dd>{}{}</dd></div>", name, value, small.empty() ? "" : fmt::format("<small>{}</small>", small));
}

std::int64_t right_photos(const Metrics& metrics) {
  std::int64_t right = 0;
  for (std::size_t c = 0; c < metrics.per_class.size(); ++c) right += metrics.confusion[c * metrics.per_class.size() + c];
  return right;
}

std::string accuracy_figure(const ReportContext& context) {
  const Metrics& metrics = context.held_out.metrics;
  const Interval& interval = metrics.top1_interval;
  const std::string sentence =
      fmt::format("{} of {} right. With 95% confidence the true accuracy lies between {} and {}.", human_count(right_photos(metrics)),
                  counted(metrics.photos, "photo", "photos"), html_percent(interval.low), html_percent(interval.high)) +
      (context.result.refitted && !context.result.test ? " This is before the output layer learned from these photos too." : "");
  return fmt::format(
      "<div><div class=\"label\">Accuracy on the {} photos</div><div class=\"figure\">{}</div>"
      "<div class=\"interval\" role=\"img\" aria-label=\"95% interval from {} to {}\">"
      "<i style=\"left:{:.2f}%;width:{:.2f}%\"></i><b style=\"left:{:.2f}%\"></b></div>"
      "<div class=\"scale\"><span>0%</span><span>50%</span><span>100%</span></div><p class=\"soft\">{}</p></div>",
      context.held_out_name, html_percent(metrics.top1), html_percent(interval.low), html_percent(interval.high), 100 * interval.low,
      100 * (interval.high - interval.low), 100 * metrics.top1, sentence);
}

// Six cards, so that the grid has no holes.
std::string facts(const ReportContext& context) {
  const TrainResult& result = context.result;
  const Metrics& metrics = context.held_out.metrics;
  const MeanSpeed speed = mean_speed(result.history);
  std::string out = "<dl class=\"facts\">";
  if (result.test && result.validation.metrics.photos > 0) {
    out += fact("Validation accuracy", html_percent(result.validation.metrics.top1),
                counted(result.validation.metrics.photos, "photo", "photos"));
  } else {
    out += fact("Classes", human_count(static_cast<std::int64_t>(result.classes.size())), "named by their folders");
  }
  out += fact("Macro F1", html_percent(metrics.macro.f1), "mean over the classes");
  out += result.classes.size() > 5 ? fact("Top-5 accuracy", html_percent(metrics.top5), "the label is among five")
                                   : fact("Mean loss", html_number(metrics.mean_loss), "cross-entropy, nats");
  out += fact("Calibration error", html_percent(metrics.calibration_error), "between probability and truth");
  if (result.history.empty()) {
    out += result.head_trials.empty() ? fact("Epochs", "0", "the network as it started")
                                      : fact("Output layer", "fitted", "to features, without an epoch");
    return out + fact("Time", human_seconds(result.seconds), html_text(result.options.device)) + "</dl>";
  }
  out += fact("Best epoch", fmt::format("{} of {}", result.best_epoch, result.history.size()),
              result.options.keep == Keep::kLast ? "the last one is kept"
              : result.best_epoch == 0           ? "none beat the fitted output layer"
                                                 : "by validation accuracy");
  return out +
         fact("Training time", human_seconds(result.seconds),
              fmt::format("{:.{}f} photos a second, {} of it waiting", speed.photos_per_second, speed.photos_per_second < 100 ? 1 : 0,
                          html_percent(speed.wait_share))) +
         "</dl>";
}

ChartSeries series_of(const TrainResult& result, std::string_view name, double EpochRecord::*field) {
  ChartSeries series{.name = std::string(name), .points = {}};
  if (result.start) series.points.push_back({0, *result.start.*field});
  for (const EpochRecord& epoch : result.history) series.points.push_back({static_cast<double>(epoch.epoch), epoch.*field});
  return series;
}

std::string chart_figure(const TrainResult& result, LineChart chart, double EpochRecord::*train, double EpochRecord::*validation) {
  chart.x_label = "epoch";
  chart.series = {series_of(result, "training", train), series_of(result, to_string(result.options.score), validation)};
  if (result.best_epoch > 0)
    chart.mark = ChartMark{static_cast<double>(result.best_epoch),
                           fmt::format("{}: {}", result.options.keep == Keep::kLast ? "kept" : "best", result.best_epoch)};
  return fmt::format("<figure><figcaption>{}</figcaption>{}</figure>", html_text(chart.title), line_chart_svg(chart));
}

}  // namespace

std::string headline_section(const ReportContext& context) {
  return fmt::format("<div class=\"hero\">{}{}</div>", accuracy_figure(context), facts(context));
}

// Of the ways in which the recipe auto shows photos to the network.
std::string resize_table(const TrainResult& result) {
  if (result.resize_trials.empty()) return {};
  std::string rows;
  for (const ResizeTrial& trial : result.resize_trials) {
    const std::string view = trial.mode == ResizeMode::kSquash
                                 ? fmt::format("whole photos, squashed to {0} × {0} pixels", trial.resize_size)
                                 : "the middle of photos, in proportion";
    rows += fmt::format("<tr{}><th class=\"left\">{}</th><td>{}</td><td>{}</td></tr>", trial.chosen ? " class=\"best\"" : "", view,
                        html_number(trial.loss), html_percent(trial.top1));
  }
  return fmt::format(
      "<p class=\"soft\">This is in the view of the photos that suits them best, as told by photos that a layer was not fitted "
      "to:</p><div class=\"scroll\"><table><thead><tr><th>view</th><th>loss</th><th>accuracy</th></tr></thead>"
      "<tbody>{}</tbody></table></div>",
      rows);
}

// Which of the source's output rows the fit was given the answers of; "" for none.
std::string known_classes_text(const ReportContext& context) {
  const TrainResult& result = context.result;
  std::vector<std::string> known;
  for (std::size_t i = 0; i < result.head_sources.size(); ++i) {
    const HeadSource& source = result.head_sources[i];
    if (source.row < 0) continue;
    const std::string name = source.name.empty() ? "" : fmt::format(", {}", html_name(source.name));
    known.push_back(fmt::format("{} (row {}{})", class_name(context, static_cast<int>(i)), source.row, name));
  }
  if (known.empty()) return {};
  return fmt::format(" It was helped by what the source network itself answers for {}.", join_some(known, 10));
}

std::string head_section(const ReportContext& context) {
  const TrainResult& result = context.result;
  if (result.head_trials.empty()) return {};
  std::string rows;
  for (const HeadTrial& trial : result.head_trials) {
    rows +=
        fmt::format("<tr{}><th class=\"left\">{:g}</th><td>{}</td><td>{}</td><td>{}</td></tr>", trial.chosen ? " class=\"best\"" : "",
                    trial.penalty, html_number(trial.train_loss), html_number(trial.validation_loss), html_percent(trial.validation_top1));
  }
  const std::string_view choice =
      result.head_trials.size() > 1 ? "Of these penalties on its weights, the one with the lowest loss on the validation photos was taken."
                                    : "";
  const std::string refit =
      result.refitted ? fmt::format(
                            "<p class=\"soft\">Once the model was scored, the layer learned from the {} as well, by a second fit to "
                            "these and the training photos. The validation figures and the temperature are those from before, when "
                            "it had not seen them; test figures are of the model in the file.</p>",
                            counted(result.validation.metrics.photos, "validation photo", "validation photos"))
                      : "";
  return section("head", "Output layer",
                 fmt::format("<p class=\"soft\">Fitted to the features that the source network computes of the training photos: a "
                             "logistic regression.{} {}</p><div class=\"scroll\"><table><thead><tr><th>penalty</th><th>training loss</th>"
                             "<th>validation loss</th><th>accuracy</th></tr></thead><tbody>{}</tbody></table></div>{}{}",
                             known_classes_text(context), choice, rows, resize_table(result), refit));
}

std::string curves_section(const ReportContext& context) {
  const TrainResult& result = context.result;
  if (result.history.empty()) return {};
  const EpochRecord& last = result.history.back();
  const std::string loss_text = fmt::format("after epoch {} training {}, {} {}", last.epoch, html_number(last.train_loss),
                                            to_string(result.options.score), html_number(last.validation_loss));
  const std::string accuracy_text = fmt::format("after epoch {} training {}, {} {}", last.epoch, html_percent(last.train_top1),
                                                to_string(result.options.score), html_percent(last.validation_top1));
  const std::string figures =
      chart_figure(result, {.title = "Accuracy", .description = accuracy_text, .y_scale = ChartScale::kShares}, &EpochRecord::train_top1,
                   &EpochRecord::validation_top1) +
      chart_figure(result, {.title = "Loss", .description = loss_text}, &EpochRecord::train_loss, &EpochRecord::validation_loss);
  return section("curves", "Training",
                 "<p class=\"soft\">Training figures are means over an epoch, on augmented photos and while the weights still change; so "
                 "validation may well look better.</p><div class=\"charts\">" +
                     figures + "</div>");
}

}  // namespace headstart
