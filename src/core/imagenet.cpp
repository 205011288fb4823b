#include <algorithm>
#include <array>
#include <cctype>

#include "headstart/models.h"

namespace headstart {
namespace {

constexpr std::array<std::string_view, 1000> kClasses = {
#include "core/imagenet_classes.inc"
};
static_assert(!kClasses.back().empty(), "the table has a row for each of ImageNet's classes");

std::vector<std::string> split_names(std::string_view row) {
  constexpr std::string_view kSeparator = ", ";
  std::vector<std::string> names;
  while (true) {
    const std::size_t end = row.find(kSeparator);
    names.emplace_back(row.substr(0, end));
    if (end == std::string_view::npos) return names;
    row.remove_prefix(end + kSeparator.size());
  }
}

// What counts when names are compared.
std::string plain(std::string_view name) {
  std::string text;
  for (const char c : name) {
    if (c != ' ' && c != '-' && c != '_') text += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return text;
}

}  // namespace

const std::vector<std::vector<std::string>>& imagenet_classes() {
  static const std::vector<std::vector<std::string>> classes = [] {
    std::vector<std::vector<std::string>> all;
    for (const std::string_view row : kClasses) all.push_back(split_names(row));
    return all;
  }();
  return classes;
}

std::vector<int> find_classes(std::span<const std::vector<std::string>> classes, std::string_view name) {
  const std::string wanted = plain(name);
  std::vector<int> by_first_name, by_any_name;
  for (std::size_t i = 0; i < classes.size(); ++i) {
    const auto found = std::find_if(classes[i].begin(), classes[i].end(), [&](const std::string& known) { return plain(known) == wanted; });
    if (found == classes[i].end()) continue;
    by_any_name.push_back(static_cast<int>(i));
    if (found == classes[i].begin()) by_first_name.push_back(static_cast<int>(i));
  }
  return by_first_name.empty() ? by_any_name : by_first_name;
}

}  // namespace headstart
