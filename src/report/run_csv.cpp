// The run folder's tables: log.csv, predictions.csv and dataset.csv.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <map>

#include "headstart/error.h"
#include "headstart/text.h"
#include "report/csv_table.h"
#include "report/run_files.h"

namespace headstart {
namespace {

using Row = std::vector<std::string>;

constexpr std::string_view kDatasetHeader = "path,split,label,bytes,mtime_ns";
constexpr std::size_t kPredictionColumns = 5;  // before those of the classes
constexpr std::size_t kMostNamed = 5;          // changes of one kind

[[noreturn]] void refuse(std::string_view table, std::size_t row, std::string_view reason) {
  throw Error(ErrorCategory::kModel, fmt::format("{} row {}: {}", table, row + 1, reason));
}

template <typename Number>
Number parse_field(const std::string& text, std::string_view table, std::size_t row, std::string_view column) {
  Number value{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end)
    refuse(table, row, fmt::format("field '{}': expected a number, found '{}'", column, valid_utf8(text)));
  return value;
}

std::int32_t label_of(const Row& header, const std::string& name, std::size_t row) {
  const auto found = std::find(header.begin() + kPredictionColumns, header.end(), name);
  if (found == header.end()) refuse("predictions.csv", row, fmt::format("field 'label': '{}' is no class of the header", valid_utf8(name)));
  return static_cast<std::int32_t>(found - header.begin() - static_cast<std::ptrdiff_t>(kPredictionColumns));
}

// A photo of dataset.csv: everything but its path, as text.
using DatasetEntry = std::array<std::string, 4>;
using Dataset = std::map<std::string, DatasetEntry>;

Dataset parse_dataset(const std::string& csv) {
  Dataset dataset;
  const std::vector<Row> rows = parse_csv(csv);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].size() != 5) refuse("dataset.csv", i, fmt::format("{} fields, expected 5", rows[i].size()));
    if (i > 0) dataset[rows[i][0]] = {rows[i][1], rows[i][2], rows[i][3], rows[i][4]};
  }
  return dataset;
}

std::string describe_change(const std::string& path, const DatasetEntry& then, const DatasetEntry& now) {
  constexpr std::array<std::string_view, 4> kNames = {"split", "class", "size", "modification time"};
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    // A time in nanoseconds says nothing to a person.
    if (then[i] != now[i] && i == 3) return fmt::format("changed: {} ({})", path, kNames[i]);
    if (then[i] != now[i]) return fmt::format("changed: {} ({} {} → {})", path, kNames[i], then[i], now[i]);
  }
  return fmt::format("changed: {}", path);
}

// The first few, and how many more there are.
void append_some(std::vector<std::string>& out, std::vector<std::string> changes, std::string_view kind) {
  const std::size_t more = changes.size() > kMostNamed ? changes.size() - kMostNamed : 0;
  changes.resize(changes.size() - more);
  for (std::string& change : changes) out.push_back(std::move(change));
  if (more > 0) out.push_back(fmt::format("{} more {}", more, kind));
}

}  // namespace

std::string log_to_csv(std::span<const EpochRecord> history, std::span<const TrainingPoint> curve) {
  std::string out =
      "epoch,train_loss,train_top1,validation_loss,validation_top1,lr,seconds,validation_seconds,photos_per_second,loader_wait_share,"
      "best\n";
  auto point = curve.begin();
  const auto points_before = [&](double epoch) {
    for (; point != curve.end() && point->epoch < epoch; ++point)
      out += fmt::format("{},{},{},,,,,,,,\n", point->epoch, point->loss, point->top1);
    if (point != curve.end() && point->epoch == epoch) ++point;  // the epoch's own row says the same
  };
  for (const EpochRecord& e : history) {
    points_before(e.epoch);
    out += fmt::format("{},{},{},{},{},{},{},{},{},{},{}\n", e.epoch, e.train_loss, e.train_top1, e.validation_loss, e.validation_top1,
                       e.lr, e.seconds, e.validation_seconds, e.photos_per_second, e.loader_wait_share, e.best ? 1 : 0);
  }
  points_before(std::numeric_limits<double>::infinity());
  return out;
}

std::vector<ScoredPhoto> predictions_from_csv(const std::string& csv, std::size_t classes) {
  const std::vector<Row> rows = parse_csv(csv);
  if (rows.empty() || rows[0].size() != kPredictionColumns + classes) {
    refuse("predictions.csv", 0,
           fmt::format("expected a header of {} columns for {} classes, found {}", kPredictionColumns + classes, classes,
                       rows.empty() ? 0 : rows[0].size()));
  }
  std::vector<ScoredPhoto> photos;
  for (std::size_t i = 1; i < rows.size(); ++i) {
    const Row& row = rows[i];
    if (row.size() != rows[0].size()) refuse("predictions.csv", i, fmt::format("{} fields, the header has {}", row.size(), rows[0].size()));
    ScoredPhoto photo{.path = row[0], .label = label_of(rows[0], row[1], i), .probabilities = {}};
    for (std::size_t c = kPredictionColumns; c < row.size(); ++c) {
      photo.probabilities.push_back(parse_field<float>(row[c], "predictions.csv", i, valid_utf8(rows[0][c])));
    }
    photos.push_back(std::move(photo));
  }
  return photos;
}

std::string dataset_to_csv(const Catalog& catalog) {
  std::string out(kDatasetHeader);
  out += '\n';
  for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest}) {
    for (const Sample& sample : catalog.samples(split)) {
      out += fmt::format("{},{},{},{},{}\n", csv_field(sample.path), to_string(split),
                         csv_field(catalog.classes.at(static_cast<std::size_t>(sample.label))), sample.bytes, sample.mtime_ns);
    }
  }
  return out;
}

std::vector<std::string> dataset_changes(const std::string& stored_csv, const Catalog& now) {
  const Dataset then = parse_dataset(stored_csv);
  const Dataset found = parse_dataset(dataset_to_csv(now));
  std::vector<std::string> added, removed, changed;
  for (const auto& [path, entry] : found) {
    const auto before = then.find(path);
    if (before == then.end()) {
      added.push_back("added: " + path);
    } else if (before->second != entry) {
      changed.push_back(describe_change(path, before->second, entry));
    }
  }
  for (const auto& [path, entry] : then) {
    if (found.count(path) == 0) removed.push_back("removed: " + path);
  }
  std::vector<std::string> changes;
  append_some(changes, std::move(added), "added");
  append_some(changes, std::move(removed), "removed");
  append_some(changes, std::move(changed), "changed");
  return changes;
}

}  // namespace headstart
