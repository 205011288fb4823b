// Which folder below a root plays which part: class folders in the root, or split folders that hold them.
//
// Thread-safety: pure functions over a FolderWalker. Errors: Error(kData) for layouts that cannot be told apart or lack class folders,
// naming what was found and what was expected; Error(kFile) for folders that cannot be read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "data/walk.h"
#include "headstart/dataset.h"

namespace headstart {

// train, training; val, valid, validation; test, testing: in any case. nullopt for other names.
std::optional<Split> split_of_folder(std::string_view name);

struct Layout {
  bool split_folders = false;  // false: `train` is "" and the root holds the class folders
  std::string train;           // relative to the root
  std::optional<std::string> validation, test;
};

// `top` is the root's listing.
Layout find_layout(const std::filesystem::path& root, const FolderWalker& walker, const Listing& top);

// The folder whose class folders are to be scored: ROOT/test, else ROOT/val, when it holds folders of these classes; else "" (the root).
std::string find_evaluation_folder(const std::filesystem::path& root, const FolderWalker& walker, const Listing& top,
                                   std::span<const std::string> classes);

// Labels by the names of class folders. A label that came through JSON holds U+FFFD where the folder's name is no UTF-8: both forms match.
class LabelLookup {
 public:
  explicit LabelLookup(std::span<const std::string> classes);
  std::optional<std::int32_t> find(const std::string& folder) const;

 private:
  std::map<std::string, std::int32_t> labels_;
};

// Error(kData) for a folder that has fewer than two classes with photos: "" or the split folder, and the classes that do have photos.
[[noreturn]] void throw_too_few_classes(const std::filesystem::path& root, const FolderWalker& walker, const std::string& folder,
                                        std::span<const std::string> classes_with_photos);

// For messages: 'name', with bytes that a terminal should not get replaced; "3 photos".
std::string in_quotes(std::string_view name);
std::string count_of(std::int64_t count, std::string_view noun, std::string_view plural_ending = "s");

}  // namespace headstart
