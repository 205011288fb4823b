#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "headstart/error.h"
#include "headstart/models.h"
#include "headstart/text.h"
#include "train/head_init.h"

namespace headstart {
namespace {

using Names = std::vector<std::vector<std::string>>;  // by row of the source

HeadSource source_row(const Names& rows, int row) {
  const std::vector<std::string>& names = rows[static_cast<std::size_t>(row)];
  return {.row = row, .name = names.empty() ? "" : names.front()};
}

// "; did you mean 'hotdog'?", or "".
std::string suggestion(const std::string& wanted, std::span<const std::string> known) {
  const std::string nearest = nearest_name(wanted, known);
  return nearest.empty() ? "" : fmt::format("; did you mean '{}'?", nearest);
}

// The source's names that have the wanted one as their last word, as "Egyptian cat" has cat, or the nearest by spelling.
std::string near_names(const Names& rows, const std::string& wanted) {
  std::vector<std::string> all, of_kind;
  for (const std::vector<std::string>& names : rows) {
    for (const std::string& name : names) {
      all.push_back(name);
      if (name.ends_with(" " + wanted)) of_kind.push_back(name);
    }
  }
  return of_kind.empty() ? suggestion(wanted, all) : fmt::format("; it has {}", join_some(of_kind));
}

bool have_names(const Names& rows) {
  return std::any_of(rows.begin(), rows.end(), [](const auto& names) { return !names.empty(); });
}

// The row that was found, where it is the only one; else none (row -1).
HeadSource only_row(const Names& rows, const std::vector<int>& found) {
  return found.size() == 1 ? source_row(rows, found.front()) : HeadSource{};
}

// The one row of that name, none (row -1), or Error(kUsage) where it means several.
HeadSource find_row(const Names& rows, const std::string& of_class, const std::string& name) {
  const std::vector<int> found = find_classes(rows, name);
  if (found.size() < 2) return only_row(rows, found);
  std::vector<std::string> choices;
  for (const int row : found) choices.push_back(fmt::format("{} ({})", row, fmt::join(rows[static_cast<std::size_t>(row)], ", ")));
  throw Error(
      ErrorCategory::kUsage,
      fmt::format("output layer: '{}' means {} classes of the source: {}; choose one by head_class {}={}, or none by head_class {}=", name,
                  found.size(), join_some(choices), of_class, found.front(), of_class));
}

HeadSource asked_row(const Names& rows, const std::string& of_class, const std::string& wanted) {
  if (wanted.empty()) return {};
  if (const HeadSource named = find_row(rows, of_class, wanted); named.row >= 0) return named;
  int row = -1;
  const auto [end, error] = std::from_chars(wanted.data(), wanted.data() + wanted.size(), row);
  const bool is_number = error == std::errc() && end == wanted.data() + wanted.size();
  if (is_number && row >= 0 && row < static_cast<int>(rows.size())) return source_row(rows, row);
  throw Error(ErrorCategory::kUsage,
              fmt::format("training: option head_class {}={}: the source has no such class; expected {}a row from 0 to {}{}", of_class,
                          wanted, have_names(rows) ? "one of its names or " : "", rows.size() - 1, near_names(rows, wanted)));
}

void expect_known(const std::vector<std::string>& classes, const std::map<std::string, std::string>& asked) {
  for (const auto& [name, source] : asked) {
    if (std::find(classes.begin(), classes.end(), name) != classes.end()) continue;
    throw Error(ErrorCategory::kUsage,
                fmt::format("training: option head_class {}={}: the photos have no class of that name{}; they have {}", name, source,
                            suggestion(name, classes), join_some(classes, 20)));
  }
}

[[noreturn]] void report_no_match(const std::vector<std::string>& classes, const Source& source) {
  if (!have_names(source.classes)) {
    throw Error(
        ErrorCategory::kModel,
        fmt::format("output layer: {} has {} output rows without names (headstart knows those of ImageNet's 1000 classes and of its own "
                    "model files); name rows by number, head_class CLASS=ROW, or choose head_init probe",
                    source.model, source.classes.size()));
  }
  throw Error(ErrorCategory::kUsage,
              fmt::format("output layer: none of the classes {} is a class of the source {}{}; name one by head_class CLASS=SOURCE, "
                          "or choose head_init probe",
                          join_some(classes, 20), source.model, near_names(source.classes, classes.front())));
}

}  // namespace

std::vector<HeadSource> match_classes(const std::vector<std::string>& classes, const Source& source,
                                      const std::map<std::string, std::string>& asked, HeadInit init) {
  const bool needs_one = init == HeadInit::kClass;
  if (source.classes.empty()) {
    if (!needs_one && asked.empty()) return {};
    throw Error(ErrorCategory::kModel,
                fmt::format("output layer: {} has none ({}.weight) whose rows could be taken; choose another source model, or head_init "
                            "probe without head_class",
                            source.model, source.architecture->head_prefix));
  }
  expect_known(classes, asked);
  std::vector<HeadSource> sources;
  for (const std::string& name : classes) {
    if (const auto wanted = asked.find(name); wanted != asked.end()) {
      sources.push_back(asked_row(source.classes, name, wanted->second));
    } else {
      sources.push_back(needs_one ? find_row(source.classes, name, name) : only_row(source.classes, find_classes(source.classes, name)));
    }
  }
  const bool any = std::any_of(sources.begin(), sources.end(), [](const HeadSource& one) { return one.row >= 0; });
  if (!any && needs_one) report_no_match(classes, source);
  return any ? sources : std::vector<HeadSource>();
}

std::string matches_text(const std::vector<std::string>& classes, const std::vector<HeadSource>& sources, std::size_t source_rows) {
  std::vector<std::string> matched, unmatched;
  std::set<int> rows;
  for (std::size_t i = 0; i < classes.size(); ++i) {
    const HeadSource& source = sources[i];
    if (source.row < 0) {
      unmatched.push_back(classes[i]);
    } else {
      rows.insert(source.row);
      matched.push_back(
          fmt::format("{} from row {}{}", classes[i], source.row, source.name.empty() ? "" : fmt::format(" ({})", source.name)));
    }
  }
  constexpr std::size_t kMostNamed = 20;
  std::string text = fmt::format("output layer: {}", join_some(matched, kMostNamed));
  if (unmatched.empty()) return text;
  const std::size_t others = source_rows - rows.size();
  const std::string rest = others == 0 ? "zero" : fmt::format("the mean of the {} other rows", others);
  return text +
         fmt::format("; no source class for {}: {}, with a bias fitted to the training photos", join_some(unmatched, kMostNamed), rest);
}

}  // namespace headstart
