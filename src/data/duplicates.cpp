#include "data/duplicates.h"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace headstart {
namespace {

// Splits photos of equal hash and length into groups of really equal ones.
void confirm(const std::vector<std::uint32_t>& candidates, const std::function<bool(std::uint32_t, std::uint32_t)>& same_content,
             Groups& groups) {
  Groups confirmed;
  for (const std::uint32_t photo : candidates) {
    const auto home =
        std::find_if(confirmed.begin(), confirmed.end(), [&](const auto& group) { return same_content(group.front(), photo); });
    if (home == confirmed.end()) {
      confirmed.push_back({photo});
    } else {
      home->push_back(photo);
    }
  }
  for (auto& group : confirmed) {
    if (group.size() > 1) groups.push_back(std::move(group));
  }
}

void sort_by_first(Groups& groups) {
  std::sort(groups.begin(), groups.end(), [](const auto& a, const auto& b) { return a.front() < b.front(); });
}

}  // namespace

Groups exact_groups(const std::vector<PhotoPrint>& prints, const std::function<bool(std::uint32_t, std::uint32_t)>& same_content) {
  std::vector<std::uint32_t> order(prints.size());
  std::iota(order.begin(), order.end(), 0U);
  const auto key = [&](std::uint32_t i) { return std::tie(prints[i].content, prints[i].bytes); };
  std::sort(order.begin(), order.end(),
            [&](std::uint32_t a, std::uint32_t b) { return std::tuple_cat(key(a), std::tie(a)) < std::tuple_cat(key(b), std::tie(b)); });
  Groups groups;
  for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    for (end = begin + 1; end < order.size() && key(order[end]) == key(order[begin]); ++end) {
    }
    // Empty files are all alike: they are unreadable, not copies of a photo.
    if (end - begin > 1 && prints[order[begin]].bytes > 0) {
      confirm({order.begin() + static_cast<std::ptrdiff_t>(begin), order.begin() + static_cast<std::ptrdiff_t>(end)}, same_content, groups);
    }
  }
  sort_by_first(groups);
  return groups;
}

Groups near_groups(const std::vector<PhotoPrint>& prints, const Groups& exact) {
  std::vector<std::uint32_t> copy_of(prints.size());  // the first of a photo's exact copies
  std::iota(copy_of.begin(), copy_of.end(), 0U);
  for (const auto& group : exact) {
    for (const std::uint32_t photo : group) copy_of[photo] = group.front();
  }
  std::vector<Look> looks;
  looks.reserve(prints.size());
  for (const PhotoPrint& print : prints) {
    looks.push_back(print.look);
    if (!print.readable) looks.back().flat = true;  // nothing to compare
  }
  Groups groups = similar_groups(looks);
  std::erase_if(groups, [&](const auto& group) {
    return std::all_of(group.begin(), group.end(), [&](std::uint32_t photo) { return copy_of[photo] == copy_of[group.front()]; });
  });
  return groups;
}

}  // namespace headstart
