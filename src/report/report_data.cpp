// What the model was trained on, what was left out, and how fast it went.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "headstart/text.h"
#include "report/html_text.h"
#include "report/report_parts.h"

namespace headstart {
namespace {

constexpr std::size_t kMostOpenRows = 30;
constexpr std::size_t kMostProblems = 500;  // a report of a hundred thousand lines helps nobody; run.json has them all
constexpr double kSlowLoader = 0.15;        // share of waiting from which advice is worth its space

constexpr std::array<std::string_view, 3> kSplitNames = {"training", "validation", "test"};

using SplitCounts = std::array<std::int64_t, 3>;  // train, validation, test

std::vector<SplitCounts> photos_by_class(const Catalog& catalog) {
  std::vector<SplitCounts> counts(catalog.classes.size());
  for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest}) {
    for (const Sample& sample : catalog.samples(split))
      ++counts.at(static_cast<std::size_t>(sample.label))[static_cast<std::size_t>(split)];
  }
  return counts;
}

// The splits that have photos.
std::vector<std::size_t> used_splits(const SplitCounts& total) {
  std::vector<std::size_t> used;
  for (std::size_t split = 0; split < total.size(); ++split) {
    if (total[split] > 0) used.push_back(split);
  }
  return used;
}

// `largest`: the longest bar, of training photos; 0: no bar.
std::string count_row(std::string_view row_class, const std::string& name, const SplitCounts& counts, std::span<const std::size_t> splits,
                      std::int64_t largest) {
  std::string out = fmt::format("<tr{}><th class=\"wrap left\">{}</th>", row_class, name);
  for (const std::size_t split : splits) {
    const bool bar = split == 0 && largest > 0;
    out += fmt::format("<td>{}{}</td>", human_count(counts[split]),
                       bar ? fmt::format("<span class=\"bar\"><i style=\"width:{:.1f}%\"></i></span>",
                                         100.0 * static_cast<double>(counts[0]) / static_cast<double>(largest))
                           : "");
  }
  return out + "</tr>";
}

std::string split_table(const ReportContext& context) {
  if (context.catalog == nullptr) return {};
  const std::vector<SplitCounts> counts = photos_by_class(*context.catalog);
  std::int64_t largest = 0;
  SplitCounts total{};
  for (const SplitCounts& one : counts) {
    largest = std::max(largest, one[0]);
    for (std::size_t split = 0; split < 3; ++split) total[split] += one[split];
  }
  const std::vector<std::size_t> splits = used_splits(total);
  std::string table = "<div class=\"scroll\"><table><thead><tr><th>class</th>";
  for (const std::size_t split : splits) table += fmt::format("<th>{}</th>", kSplitNames[split]);
  table += "</tr></thead><tbody>";
  for (std::size_t c = 0; c < counts.size(); ++c)
    table += count_row("", html_name(context.catalog->classes[c]), counts[c], splits, largest);
  table += count_row(" class=\"total\"", "all", total, splits, 0) + "</tbody></table></div>";
  if (counts.size() > kMostOpenRows) {
    table =
        fmt::format("<details><summary>Photos of all {} classes: {} for training, {} for validation, {} for the test</summary>{}</details>",
                    counts.size(), human_count(total[0]), human_count(total[1]), human_count(total[2]), table);
  }
  const std::string origin =
      context.catalog->validation_was_split_off
          ? "<p class=\"soft\">The validation photos were set aside from the training photos, the same share of every "
            "class, by the run's seed.</p>"
          : "";
  return origin + table;
}

std::string problem_table(std::span<const Problem> problems) {
  std::string out =
      "<div class=\"scroll tall\"><table><thead><tr><th>photo or folder</th><th class=\"left\">reason</th></tr></thead><tbody>";
  for (std::size_t i = 0; i < std::min(problems.size(), kMostProblems); ++i) {
    out += fmt::format("<tr><td class=\"wrap left path\">{}</td><td class=\"wrap left\">{}</td></tr>", html_name(problems[i].path),
                       html_text(problems[i].reason));
  }
  if (problems.size() > kMostProblems) {
    out += fmt::format("<tr><td class=\"left\" colspan=\"2\">and {} more, listed in run.json</td></tr>", problems.size() - kMostProblems);
  }
  return out + "</tbody></table></div>";
}

std::string epoch_row(const EpochRecord& e, bool best) {
  return fmt::format(
      "<tr{}><th class=\"left\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.3g}</td><td>{:.1f}</td><td>{}</td>"
      "<td>{}</td></tr>",
      best ? " class=\"best\"" : "", e.epoch, html_number(e.train_loss), html_percent(e.train_top1), html_number(e.validation_loss),
      html_percent(e.validation_top1), e.lr, e.photos_per_second, html_percent(e.loader_wait_share),
      human_seconds(e.seconds + e.validation_seconds));
}

std::string epoch_table(const TrainResult& result) {
  std::string out = fmt::format(
      "<div class=\"scroll tall\"><table><thead><tr><th>epoch</th><th>training loss</th><th>accuracy</th><th>{} loss</th>"
      "<th>accuracy</th><th>learning rate</th><th>photos/s</th><th>waiting</th><th>time</th></tr></thead><tbody>",
      to_string(result.options.score));
  for (const EpochRecord& epoch : result.history) out += epoch_row(epoch, epoch.epoch == result.best_epoch);
  return out + "</tbody></table></div>";
}

}  // namespace

EpochRecord last_record(const TrainResult& result) {
  return result.history.empty() ? result.start.value_or(EpochRecord{}) : result.history.back();
}

MeanSpeed mean_speed(const std::vector<EpochRecord>& history) {
  double photos = 0;
  double waited = 0;
  double seconds = 0;
  for (const EpochRecord& epoch : history) {
    photos += epoch.photos_per_second * epoch.seconds;
    waited += epoch.loader_wait_share * epoch.seconds;
    seconds += epoch.seconds;
  }
  if (!(seconds > 0)) return {};
  return {.photos_per_second = photos / seconds, .wait_share = waited / seconds};
}

std::string photos_section(const ReportContext& context) {
  const TrainResult& result = context.result;
  std::string body = split_table(context);
  if (!result.unreadable.empty()) {
    body += fmt::format("<h3>Skipped: {}</h3>{}", counted(static_cast<std::int64_t>(result.unreadable.size()), "photo", "photos"),
                        problem_table(result.unreadable));
  }
  if (!result.problems.empty()) {
    body += fmt::format("<h3>{} found while reading the folder</h3>{}",
                        counted(static_cast<std::int64_t>(result.problems.size()), "problem", "problems"), problem_table(result.problems));
  }
  if (result.unreadable.empty() && result.problems.empty())
    body += "<p class=\"soft\">Every photo could be read, and no problem was found.</p>";
  return section("photos", "Photos", body);
}

std::string speed_section(const ReportContext& context) {
  const TrainResult& result = context.result;
  if (result.history.empty()) return {};
  const MeanSpeed speed = mean_speed(result.history);
  std::string body = fmt::format(
      "<p>Training saw <strong>{:.1f} photos a second</strong> on {} with {} and waited <strong>{}</strong> of its time for photos to be "
      "read and decoded. The whole run took {}.</p>",
      speed.photos_per_second, html_text(result.options.device), counted(result.options.threads, "thread", "threads"),
      html_percent(speed.wait_share), human_seconds(result.seconds));
  if (speed.wait_share > kSlowLoader) {
    body +=
        "<p class=\"note\">The network waited for photos. More threads, photos stored smaller or on a faster disk would speed up "
        "training.</p>";
  }
  return section("speed", "Epochs and speed", body + epoch_table(result));
}

}  // namespace headstart
