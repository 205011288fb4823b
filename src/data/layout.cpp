#include "data/layout.h"

#include <fmt/format.h>

#include <algorithm>

#include "headstart/error.h"
#include "headstart/text.h"

namespace headstart {
namespace {

constexpr std::string_view kExpected =
    "expected ROOT/CLASS/photo.jpg with two or more class folders, or ROOT/train/CLASS/photo.jpg (and, if you have them, ROOT/val/CLASS "
    "and "
    "ROOT/test/CLASS)";

using SplitNames = std::map<Split, std::vector<std::string>>;

[[noreturn]] void throw_layout(const std::filesystem::path& root, const std::string& found) {
  throw Error(ErrorCategory::kData, fmt::format("cannot use {} as a folder of photos: {}; {}", root.string(), found, kExpected));
}

std::string names_of(const std::vector<std::string>& names) {
  std::vector<std::string> shown;
  for (const std::string& name : names) shown.push_back(in_quotes(name));
  return join_some(shown);
}

// Throws where one split has two folders (val and valid, Train and train): which one is meant cannot be told.
std::optional<std::string> only_one(const std::filesystem::path& root, const SplitNames& names, Split split) {
  const auto found = names.find(split);
  if (found == names.end()) return std::nullopt;
  if (found->second.size() > 1) {
    throw_layout(
        root, fmt::format("its folders {} are names of the same split ({}), keep one of them", names_of(found->second), to_string(split)));
  }
  return found->second.front();
}

// ROOT/cat, ROOT/dog and ROOT/test/cat: taken as a class, test would be trained on.
void refuse_split_beside_classes(const std::filesystem::path& root, const FolderWalker& walker, const SplitNames& names,
                                 const std::vector<std::string>& others) {
  for (const auto& [split, folders] : names) {
    for (const std::string& folder : folders) {
      for (const std::string& inner : walker.list(folder).folders()) {
        if (std::find(others.begin(), others.end(), inner) == others.end()) continue;
        throw_layout(root,
                     fmt::format("it holds the class folder {0} beside {1}, which holds a folder {0} too; move the class folders into "
                                 "ROOT/train, or {1} out of ROOT",
                                 in_quotes(inner), in_quotes(folder)));
      }
    }
  }
}

}  // namespace

std::string in_quotes(std::string_view name) {
  std::string text = "'";
  for (const char c : valid_utf8(name)) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      text += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      text += c;
    }
  }
  return text + "'";
}

std::string count_of(std::int64_t count, std::string_view noun, std::string_view plural_ending) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? std::string_view() : plural_ending);
}

std::optional<Split> split_of_folder(std::string_view name) {
  const std::string lower = ascii_lower(name);
  if (lower == "train" || lower == "training") return Split::kTrain;
  if (lower == "val" || lower == "valid" || lower == "validation") return Split::kValidation;
  if (lower == "test" || lower == "testing") return Split::kTest;
  return std::nullopt;
}

Layout find_layout(const std::filesystem::path& root, const FolderWalker& walker, const Listing& top) {
  SplitNames names;
  std::vector<std::string> others;
  for (std::string& name : top.folders()) {
    const auto split = split_of_folder(name);
    (split ? names[*split] : others).push_back(std::move(name));
  }
  if (const auto trains = names.find(Split::kTrain); trains != names.end()) {
    const Listing train = walker.list(trains->second.front());
    const bool holds_folders = !train.folders().empty();
    // A class may be called "train": then it holds photos itself and stands beside other classes.
    if (holds_folders && (others.empty() || train.photos() == 0)) {
      return {true, *only_one(root, names, Split::kTrain), only_one(root, names, Split::kValidation), only_one(root, names, Split::kTest)};
    }
    if (others.empty()) {
      throw_layout(root, fmt::format("its folder {} holds {} and no class folders", in_quotes(trains->second.front()),
                                     train.photos() > 0 ? count_of(train.photos(), "photo") : "no photos"));
    }
  } else if (!names.empty() && others.empty()) {
    throw_layout(root, fmt::format("it holds {} and no train folder", names_of(top.folders())));
  }
  refuse_split_beside_classes(root, walker, names, others);
  return {};
}

LabelLookup::LabelLookup(std::span<const std::string> classes) {
  for (std::size_t i = 0; i < classes.size(); ++i) labels_.emplace(classes[i], static_cast<std::int32_t>(i));
}

std::optional<std::int32_t> LabelLookup::find(const std::string& folder) const {
  auto found = labels_.find(folder);
  if (found == labels_.end()) found = labels_.find(valid_utf8(folder));
  if (found == labels_.end()) return std::nullopt;
  return found->second;
}

std::string find_evaluation_folder(const std::filesystem::path& root, const FolderWalker& walker, const Listing& top,
                                   std::span<const std::string> classes) {
  const LabelLookup labels(classes);
  SplitNames names;
  for (const std::string& name : top.folders()) {
    const auto split = split_of_folder(name);
    if (!split || *split == Split::kTrain) continue;
    const std::vector<std::string> inner = walker.list(name).folders();
    if (std::any_of(inner.begin(), inner.end(), [&](const std::string& folder) { return labels.find(folder).has_value(); })) {
      names[*split].push_back(name);
    }
  }
  if (const auto test = only_one(root, names, Split::kTest)) return *test;
  return only_one(root, names, Split::kValidation).value_or("");
}

void throw_too_few_classes(const std::filesystem::path& root, const FolderWalker& walker, const std::string& folder,
                           std::span<const std::string> classes_with_photos) {
  const Listing listing = walker.list(folder);
  const std::string place = folder.empty() ? "it" : "its folder " + in_quotes(folder);
  const std::vector<std::string> folders = listing.folders();
  if (!classes_with_photos.empty()) {
    const std::string& name = classes_with_photos.front();
    const std::vector<std::string> inner = walker.list(join_path(folder, name)).folders();
    const std::string hint = inner.size() < 2 ? std::string()
                                              : fmt::format(" (if the classes are its sub-folders {}, name {} instead)", names_of(inner),
                                                            (root / join_path(folder, name)).string());
    throw_layout(root, fmt::format("{} holds photos of one class only, {}{}", place, in_quotes(name), hint));
  }
  if (folders.empty() && listing.photos() > 0) {
    throw_layout(root, fmt::format("{} holds {} and no class folders", place, count_of(listing.photos(), "photo")));
  }
  if (folders.empty()) throw_layout(root, fmt::format("{} holds neither photos nor folders", place));
  throw_layout(
      root, fmt::format("no photo lies in {} ({}); files with the extensions of JPEG, PNG, WebP, TIFF, BMP, PNM and GIF count",
                        folders.size() == 1 ? "its one folder" : fmt::format("any of its {} folders", folders.size()), names_of(folders)));
}

}  // namespace headstart
