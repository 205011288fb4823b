// Folders to photos: reads a tree's names in a fixed order, without opening a single file.
//
// Thread-safety: a FolderWalker belongs to one thread. Ownership: copies its root. Errors: Error(kFile) for the folder asked for; what is
// wrong below it goes to the sink.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "headstart/image.h"

namespace headstart {

// The format that a file's extension promises (in upper or lower case); kUnknown: the file is no photo.
ImageFormat format_of_extension(std::string_view name);

// A to Z lowered, every other byte kept.
std::string ascii_lower(std::string_view text);

// Hidden names and what operating systems leave behind (__MACOSX, Thumbs.db, …): neither a class nor a photo.
bool is_ignored_name(std::string_view name);

// Which folder it is, whatever the path that leads there: device and inode.
using FolderId = std::pair<std::uint64_t, std::uint64_t>;

struct FileFacts {
  std::uint64_t bytes = 0;
  std::int64_t mtime_ns = 0;  // since the Unix epoch
};

enum class EntryKind : std::uint8_t {
  kPhoto,
  kFolder,
  kLinkedFolder,
  kBrokenLink,
  kNotAFile,  // a pipe, socket or device with a photo's extension
};

// One folder's photos and folders in path order (a folder compares as its name and '/'). Names lie in one block: a folder of a million
// photos costs 32 bytes a photo beyond its name.
class Listing {
 public:
  struct Entry {
    std::uint64_t offset = 0;
    std::uint16_t length = 0;
    EntryKind kind = EntryKind::kPhoto;
    FileFacts facts;
  };
  std::string_view name(const Entry& entry) const { return std::string_view(names_).substr(entry.offset, entry.length); }
  const std::vector<Entry>& entries() const { return entries_; }
  FolderId id() const { return id_; }
  // Files whose extension names a picture format that headstart cannot read (heic, avif, raw formats, …), by lower-case extension.
  const std::map<std::string, std::int64_t>& unsupported() const { return unsupported_; }

  std::vector<std::string> folders() const;  // sorted by name
  std::int64_t photos() const;
  std::string first_photo() const;  // "" when there is none

 private:
  friend class FolderWalker;
  void add(std::string_view entry_name, EntryKind kind, FileFacts facts);
  void sort();
  std::string names_;
  std::vector<Entry> entries_;
  FolderId id_;
  std::map<std::string, std::int64_t> unsupported_;
};

enum class WalkIssue { kUnreadableFolder, kLoop, kBrokenLink, kNotAFile, kUnsupported };

// Receives a walk's findings in path order. Paths are relative to the walker's root.
struct WalkSink {
  std::function<void(std::string path, const FileFacts& facts)> photo;
  std::function<void(WalkIssue issue, const std::string& path, std::string reason)> issue;
};

class FolderWalker {
 public:
  // want_facts: size and modification time of each photo (one system call a photo).
  FolderWalker(std::filesystem::path root, bool want_facts) : root_(std::move(root)), want_facts_(want_facts) {}

  // One folder; `relative` is "" for the root.
  Listing list(const std::string& relative) const;

  // Everything below `relative`. A link to a folder is followed unless it leads to a folder on its own path or to one that another link of
  // this walk has led to: walks end, however the links are knotted. Throws Error(kFile) where `relative` itself cannot be read.
  void walk(const std::string& relative, const WalkSink& sink);

 private:
  void walk_folder(const std::string& relative, const WalkSink& sink);
  void walk_listing(const Listing& listing, const std::string& relative, const WalkSink& sink);
  void visit(const Listing& listing, const Listing::Entry& entry, const std::string& relative, const WalkSink& sink);
  void note_ancestors(const std::string& relative);
  std::filesystem::path absolute(const std::string& relative) const { return relative.empty() ? root_ : root_ / relative; }

  std::filesystem::path root_;
  bool want_facts_;
  std::vector<FolderId> chain_;  // the folders that lead to the one being read
  std::set<FolderId> linked_;    // the folders that links of this walk have led to
};

// "a/b", or "b" when the folder is "".
std::string join_path(const std::string& folder, std::string_view name);

}  // namespace headstart
