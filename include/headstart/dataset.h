// Photos on disk: which files are samples of which class, how they are split, and what is wrong with them.
//
// Layouts: class folders (ROOT/class/**/photo), or ROOT/train/class/** with optional ROOT/val (or valid, validation) and ROOT/test;
// docs/data.md has the rules in full. Classes are the sorted (byte order, as torchvision) folder names. Hidden names, __MACOSX, Thumbs.db
// and files whose name has no image extension are neither classes nor samples. Without a validation folder a stratified, seeded share of
// the training photos is set aside.
// Thread-safety: free functions may run at the same time; a Catalog is plain data.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "headstart/image.h"
#include "headstart/log.h"

namespace headstart {

enum class Split { kTrain, kValidation, kTest };
std::string_view to_string(Split split);  // "train", "validation", "test"

struct Sample {
  std::string path;           // relative to Catalog::root, '/' separated
  std::int32_t label = 0;     // index into Catalog::classes
  std::uint64_t bytes = 0;    // file size when scanned
  std::int64_t mtime_ns = 0;  // modification time when scanned, since the Unix epoch
};

// Something that a person should know about a photo or a folder.
struct Problem {
  std::string path;    // relative to the root
  std::string reason;  // one line
};

struct Catalog {
  std::filesystem::path root;
  std::vector<std::string> classes;  // index = label
  std::vector<Sample> train, validation, test;
  bool validation_was_split_off = false;  // true: validation was taken from train by ScanOptions::seed
  std::vector<Problem> problems;          // empty classes, links that lead nowhere, classes missing from a split, …

  const std::vector<Sample>& samples(Split split) const;
};

struct ScanOptions {
  double validation_fraction = 0.2;  // of the training photos, per class, at least one photo on each side
  std::uint64_t seed = 0;
};

// Walks the folder; samples come sorted by path. Throws Error(kFile) where it cannot be read; Error(kData) when there are fewer than two
// classes with photos, naming what was found instead and the expected layout. `validation` can be empty: when every class has one photo.
Catalog scan_photos(const std::filesystem::path& root, const ScanOptions& options = {});

// For evaluation: the photos of a folder whose class folders must be among `classes` (a model's labels). A folder with test/ (or else
// val/) inside yields that split; anything else is taken as class folders. Samples land in Catalog::test, labels index `classes`.
Catalog scan_for_evaluation(const std::filesystem::path& root, const std::vector<std::string>& classes);

// All photos below a folder, sorted by path, each handed to `sink` as it is found: memory for one folder's names at a time. Linked folders
// are followed, loops are not. A folder below that cannot be read goes to `on_problem` (path relative to `folder`); without it the walk
// ends there with Error(kFile). Throws Error(kFile) where `folder` itself cannot be read.
void walk_photos(const std::filesystem::path& folder, const std::function<void(const std::filesystem::path&)>& sink,
                 const std::function<void(const Problem&)>& on_problem = nullptr);

// 16 hex digits over classes and every sample's path, label, split, size and modification time. A run is resumed only on equal data.
std::string fingerprint(const Catalog& catalog);

// What training would see, and everything that is wrong with it. Decodes every photo; keeps about 150 bytes of each.
struct ClassCount {
  std::string name;
  std::array<std::int64_t, 3> photos = {};  // by Split
};
struct DuplicateGroup {
  bool exact = false;              // equal bytes; else equal to the eye (perceptual hash within a small distance), exact copies included
  bool across_splits = false;      // the group has photos of more than one split: evaluation would be flattered
  bool across_classes = false;     // the same photo under two labels
  std::vector<std::string> paths;  // relative to the root
};
struct AuditReport {
  std::vector<ClassCount> classes;
  double imbalance = 1;                         // largest over smallest training class
  std::map<std::string, std::int64_t> formats;  // to_string(ImageFormat) → photos
  std::map<std::string, std::int64_t> modes;    // ImageInfo::mode → photos
  ImageSize smallest, median, largest;          // by area, as shown (after orientation)
  std::int64_t rotated_by_exif = 0;
  std::vector<DuplicateGroup> duplicates;
  std::vector<Problem> unreadable;  // photos that training would skip
  std::vector<Problem> problems;    // the catalogue's problems and advice (imbalance, tiny classes, wrong extensions, …)
};
struct AuditOptions {
  int threads = 0;  // 0: all cores
  DecodeOptions decode;
  std::function<void(std::int64_t done, std::int64_t total)> on_progress;  // called on the caller's thread
  std::function<bool()> should_stop;  // polled on the caller's thread; true ends with Error(kInterrupted)
};
AuditReport audit(const Catalog& catalog, const AuditOptions& options = {});

}  // namespace headstart
