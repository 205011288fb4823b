#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "data/layout.h"
#include "data/split.h"
#include "data/walk.h"
#include "headstart/dataset.h"
#include "headstart/error.h"
#include "headstart/text.h"

namespace headstart {
namespace {

struct ClassFolder {
  std::string name;
  std::string path;  // relative to the root
  std::int64_t photos = 0;
  bool readable = true;
};

// Reads the class folders of one split into a catalogue.
class SplitReader {
 public:
  SplitReader(FolderWalker& walker, Catalog& catalog) : walker_(walker), catalog_(catalog) {}

  // Appends the photos of every class folder below `folder` for which `label` gives a label; counts the others.
  std::vector<ClassFolder> read(const std::string& folder, std::vector<Sample>& samples,
                                const std::function<std::optional<std::int32_t>(const std::string& name, std::size_t index)>& label) {
    const Listing listing = walker_.list(folder);
    note_stray_photos(folder, listing);
    std::vector<ClassFolder> found;
    // In path order, so that the samples come sorted by path.
    for (const Listing::Entry& entry : listing.entries()) {
      if (entry.kind == EntryKind::kBrokenLink) note(join_path(folder, listing.name(entry)), "a link that leads nowhere");
      if (entry.kind != EntryKind::kFolder && entry.kind != EntryKind::kLinkedFolder) continue;
      const std::string name(listing.name(entry));
      found.push_back({name, join_path(folder, name)});
      read_class(found.back(), label(name, found.size() - 1), samples);
    }
    return found;
  }

  void note(std::string path, std::string reason) { catalog_.problems.push_back({std::move(path), std::move(reason)}); }

  void note_stray_photos(const std::string& folder, const Listing& listing) {
    const std::int64_t photos = listing.photos();
    if (photos == 0) return;
    note(photos == 1      ? join_path(folder, listing.first_photo())
         : folder.empty() ? "."
                          : folder,
         photos == 1 ? "lies outside of any class folder: not used"
                     : fmt::format("{} photos lie outside of any class folder (the first is {}): not used", photos,
                                   in_quotes(listing.first_photo())));
  }

 private:
  void read_class(ClassFolder& folder, std::optional<std::int32_t> label, std::vector<Sample>& samples) {
    WalkSink sink;
    sink.photo = [&](std::string path, const FileFacts& facts) {
      ++folder.photos;
      if (label) samples.push_back({std::move(path), *label, facts.bytes, facts.mtime_ns});
    };
    sink.issue = [&](WalkIssue, const std::string& path, std::string reason) { note(path, std::move(reason)); };
    try {
      walker_.walk(folder.path, sink);
    } catch (const Error& error) {
      folder.readable = false;
      note(folder.path, error.what());
    }
  }

  FolderWalker& walker_;
  Catalog& catalog_;
};

void note_look_alikes(Catalog& catalog) {
  std::map<std::string, std::string> seen;
  for (const std::string& name : catalog.classes) {
    const auto [other, is_new] = seen.emplace(ascii_lower(name), name);
    if (!is_new) {
      catalog.problems.push_back(
          {name, fmt::format("differs from the class {} only in upper and lower case: both are classes", in_quotes(other->second))});
    }
  }
}

// The folders of the training split become the classes; the samples' labels, which count folders, become class indices.
void settle_classes(Catalog& catalog, const std::vector<ClassFolder>& folders) {
  for (const ClassFolder& folder : folders) {
    if (folder.photos > 0) {
      catalog.classes.push_back(folder.name);
    } else if (folder.readable) {
      catalog.problems.push_back({folder.path, "a class folder without photos: not trained on"});
    }
  }
  std::sort(catalog.classes.begin(), catalog.classes.end());
  std::vector<std::int32_t> label_of_folder;
  for (const ClassFolder& folder : folders) {
    const auto found = std::lower_bound(catalog.classes.begin(), catalog.classes.end(), folder.name);
    label_of_folder.push_back(static_cast<std::int32_t>(found - catalog.classes.begin()));  // of an empty class: never looked up
  }
  for (Sample& sample : catalog.train) sample.label = label_of_folder[static_cast<std::size_t>(sample.label)];
}

// A class that only a held-out split has cannot be learnt; one that a split lacks is not measured there. `known` says whose classes they
// are.
void read_held_out(SplitReader& reader, Catalog& catalog, const std::string& folder, Split split, std::string_view known) {
  std::vector<Sample>& samples = split == Split::kTest ? catalog.test : catalog.validation;
  const LabelLookup labels(catalog.classes);
  std::vector<bool> present(catalog.classes.size(), false);
  const auto folders = reader.read(folder, samples, [&](const std::string& name, std::size_t) { return labels.find(name); });
  for (const ClassFolder& found : folders) {
    if (found.photos == 0) continue;
    if (const auto label = labels.find(found.name)) {
      present[static_cast<std::size_t>(*label)] = true;
      continue;
    }
    const std::string nearest = nearest_name(found.name, catalog.classes);
    reader.note(found.path, fmt::format("{} left out: {} no such class{}", count_of(found.photos, "photo"), known,
                                        nearest.empty() ? std::string() : fmt::format(" (nearest: {})", in_quotes(nearest))));
  }
  if (samples.empty()) return;
  for (std::size_t i = 0; i < present.size(); ++i) {
    if (!present[i]) {
      reader.note(join_path(folder, catalog.classes[i]), fmt::format("the class has no {} photos: it is not measured", to_string(split)));
    }
  }
}

void check_options(const ScanOptions& options) {
  if (options.validation_fraction > 0 && options.validation_fraction < 1) return;
  throw Error(ErrorCategory::kUsage,
              fmt::format("the share of validation photos must lie between 0 and 1 (both excluded), not {}; 0.2 is usual",
                          options.validation_fraction));
}

void check_size(const Catalog& catalog) {
  const std::size_t most = std::max({catalog.train.size(), catalog.validation.size(), catalog.test.size()});
  if (most < std::numeric_limits<std::uint32_t>::max()) return;
  throw Error(ErrorCategory::kData, fmt::format("cannot use {}: {} photos in one split are more than headstart can number (2^32 - 1)",
                                                catalog.root.string(), most));
}

}  // namespace

std::string_view to_string(Split split) {
  switch (split) {
    case Split::kTrain:
      return "train";
    case Split::kValidation:
      return "validation";
    case Split::kTest:
      return "test";
  }
  throw Error(ErrorCategory::kInternal, "a split that is none of train, validation and test");
}

const std::vector<Sample>& Catalog::samples(Split split) const {
  switch (split) {
    case Split::kTrain:
      return train;
    case Split::kValidation:
      return validation;
    case Split::kTest:
      return test;
  }
  throw Error(ErrorCategory::kInternal, "a split that is none of train, validation and test");
}

Catalog scan_photos(const std::filesystem::path& root, const ScanOptions& options) {
  check_options(options);
  Catalog catalog;
  catalog.root = root;
  FolderWalker walker(root, true);
  SplitReader reader(walker, catalog);
  const Listing top = walker.list("");
  const Layout layout = find_layout(root, walker, top);
  if (layout.split_folders) {
    reader.note_stray_photos("", top);
    for (const std::string& name : top.folders()) {
      if (!split_of_folder(name)) reader.note(name, "lies beside the split folders: not used");
    }
  }
  const auto number = [](const std::string&, std::size_t index) { return std::optional(static_cast<std::int32_t>(index)); };
  settle_classes(catalog, reader.read(layout.train, catalog.train, number));
  if (catalog.classes.size() < 2) throw_too_few_classes(root, walker, layout.train, catalog.classes);
  note_look_alikes(catalog);
  const std::string_view known = "the training photos have";
  if (layout.test) read_held_out(reader, catalog, *layout.test, Split::kTest, known);
  if (layout.test && catalog.test.empty()) reader.note(*layout.test, "no photos of the training classes: there is no test");
  if (layout.validation) read_held_out(reader, catalog, *layout.validation, Split::kValidation, known);
  check_size(catalog);
  if (catalog.validation.empty()) {
    if (layout.validation)
      reader.note(*layout.validation, "no photos of the training classes: validation photos are taken from the training photos");
    split_off_validation(catalog, layout.train, options);
  }
  return catalog;
}

Catalog scan_for_evaluation(const std::filesystem::path& root, const std::vector<std::string>& classes) {
  Catalog catalog;
  catalog.root = root;
  catalog.classes = classes;
  FolderWalker walker(root, true);
  const Listing top = walker.list("");
  const std::string folder = find_evaluation_folder(root, walker, top, classes);
  SplitReader reader(walker, catalog);
  read_held_out(reader, catalog, folder, Split::kTest, "the model has");
  check_size(catalog);
  if (!catalog.test.empty()) return catalog;
  std::vector<std::string> known, found;
  for (const std::string& name : classes) known.push_back(in_quotes(name));
  for (const std::string& name : walker.list(folder).folders()) found.push_back(in_quotes(name));
  throw Error(
      ErrorCategory::kData,
      fmt::format("cannot evaluate on {}: no class folder with photos has one of the model's class names ({}); found {}; expected "
                  "ROOT/CLASS/photo.jpg, ROOT/test/CLASS/photo.jpg or ROOT/val/CLASS/photo.jpg (for training photos name ROOT/train)",
                  root.string(), join_some(known), found.empty() ? "no folders" : join_some(found)));
}

}  // namespace headstart
