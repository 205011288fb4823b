#include "data/walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <system_error>

#include "headstart/dataset.h"
#include "headstart/error.h"

namespace headstart {
namespace {

struct Extension {
  std::string_view name;
  ImageFormat format;
};
constexpr std::array<Extension, 14> kPhotoExtensions = {{{"jpg", ImageFormat::kJpeg},
                                                         {"jpeg", ImageFormat::kJpeg},
                                                         {"jpe", ImageFormat::kJpeg},
                                                         {"jfif", ImageFormat::kJpeg},
                                                         {"png", ImageFormat::kPng},
                                                         {"webp", ImageFormat::kWebp},
                                                         {"tif", ImageFormat::kTiff},
                                                         {"tiff", ImageFormat::kTiff},
                                                         {"bmp", ImageFormat::kBmp},
                                                         {"ppm", ImageFormat::kPnm},
                                                         {"pgm", ImageFormat::kPnm},
                                                         {"pbm", ImageFormat::kPnm},
                                                         {"pnm", ImageFormat::kPnm},
                                                         {"gif", ImageFormat::kGif}}};
// Pictures that people do have and headstart does not read: silence about them would look like lost photos.
constexpr std::array<std::string_view, 14> kUnsupportedExtensions = {"heic", "heif", "avif", "jxl", "jp2", "psd", "svg",
                                                                     "dng",  "cr2",  "cr3",  "nef", "arw", "orf", "rw2"};
constexpr std::array<std::string_view, 7> kIgnoredNames = {
    "__macosx", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "system volume information", "lost+found"};

// Lower-case, without the dot; "" when there is none.
std::string extension_of(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? std::string() : ascii_lower(name.substr(dot + 1));
}

ImageFormat format_of(std::string_view extension) {
  for (const Extension& known : kPhotoExtensions) {
    if (known.name == extension) return known.format;
  }
  return ImageFormat::kUnknown;
}

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};
using OpenFolder = std::unique_ptr<DIR, CloseFolder>;

[[noreturn]] void throw_unreadable(const std::filesystem::path& path, int error) {
  std::string_view advice;
  if (error == ENOENT) advice = "; check the path";
  if (error == ENOTDIR) advice = "; expected a folder of photos";
  if (error == EACCES || error == EPERM) advice = "; check its permissions";
  throw Error(ErrorCategory::kFile,
              fmt::format("cannot read the folder {}: {}{}", path.string(), std::generic_category().message(error), advice));
}

OpenFolder open_folder(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) throw_unreadable(path, errno);
  OpenFolder folder(::fdopendir(descriptor));
  if (!folder) {
    const int error = errno;
    ::close(descriptor);
    throw_unreadable(path, error);
  }
  return folder;
}

FileFacts facts_of(const struct stat& status) {
  return {static_cast<std::uint64_t>(status.st_size),
          static_cast<std::int64_t>(status.st_mtim.tv_sec) * 1'000'000'000 + status.st_mtim.tv_nsec};
}

FolderId id_of(const struct stat& status) { return {static_cast<std::uint64_t>(status.st_dev), static_cast<std::uint64_t>(status.st_ino)}; }

struct Classified {
  EntryKind kind;
  FileFacts facts;
};

// What a name is, with as few system calls as the folder's own type hints allow; nullopt: nothing that concerns photos.
// Throws Error(kFile) when the folder's files cannot be examined at all (a folder that may be listed, but not entered).
std::optional<Classified> classify(int folder, const std::filesystem::path& path, const struct dirent& entry, bool photo_name,
                                   bool want_facts) {
  const unsigned char hint = entry.d_type;
  if (hint == DT_DIR) return Classified{EntryKind::kFolder, {}};
  const bool could_be_folder = hint == DT_LNK || hint == DT_UNKNOWN;
  if (!photo_name && !could_be_folder) return std::nullopt;
  if (hint == DT_REG && !want_facts) return Classified{EntryKind::kPhoto, {}};
  if (!could_be_folder && hint != DT_REG) return Classified{EntryKind::kNotAFile, {}};
  struct stat status {};
  bool is_link = hint == DT_LNK;
  if (hint == DT_UNKNOWN) {
    if (::fstatat(folder, entry.d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) return std::nullopt;  // gone since it was listed
      throw_unreadable(path, errno);
    }
    is_link = S_ISLNK(status.st_mode);
  }
  if ((hint != DT_UNKNOWN || is_link) && ::fstatat(folder, entry.d_name, &status, 0) != 0) {
    if (is_link) return Classified{EntryKind::kBrokenLink, {}};
    if (errno == ENOENT) return std::nullopt;
    throw_unreadable(path, errno);
  }
  if (S_ISDIR(status.st_mode)) return Classified{is_link ? EntryKind::kLinkedFolder : EntryKind::kFolder, {}};
  if (!photo_name) return std::nullopt;
  if (!S_ISREG(status.st_mode)) return Classified{EntryKind::kNotAFile, {}};
  return Classified{EntryKind::kPhoto, facts_of(status)};
}

bool is_folder(EntryKind kind) { return kind == EntryKind::kFolder || kind == EntryKind::kLinkedFolder; }

// Byte order of the paths below: a folder's name counts with the '/' that follows it.
bool path_less(std::string_view a, bool a_folder, std::string_view b, bool b_folder) {
  const std::size_t common = std::min(a.size(), b.size());
  if (const int order = a.substr(0, common).compare(b.substr(0, common)); order != 0) return order < 0;
  const auto next = [common](std::string_view text, bool folder) {
    if (text.size() > common) return static_cast<int>(static_cast<unsigned char>(text[common]));
    return folder ? static_cast<int>('/') : -1;
  };
  return next(a, a_folder) < next(b, b_folder);
}

}  // namespace

std::string ascii_lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

ImageFormat format_of_extension(std::string_view name) { return format_of(extension_of(name)); }

bool is_ignored_name(std::string_view name) {
  if (name.empty() || name.front() == '.') return true;
  return std::find(kIgnoredNames.begin(), kIgnoredNames.end(), ascii_lower(name)) != kIgnoredNames.end();
}

std::string join_path(const std::string& folder, std::string_view name) {
  if (folder.empty()) return std::string(name);
  std::string path;
  path.reserve(folder.size() + 1 + name.size());
  return path.append(folder).append(1, '/').append(name);
}

void Listing::add(std::string_view entry_name, EntryKind kind, FileFacts facts) {
  entries_.push_back({names_.size(), static_cast<std::uint16_t>(entry_name.size()), kind, facts});
  names_.append(entry_name);
}

void Listing::sort() {
  std::sort(entries_.begin(), entries_.end(),
            [this](const Entry& a, const Entry& b) { return path_less(name(a), is_folder(a.kind), name(b), is_folder(b.kind)); });
}

std::vector<std::string> Listing::folders() const {
  std::vector<std::string> found;
  for (const Entry& entry : entries_) {
    if (is_folder(entry.kind)) found.emplace_back(name(entry));
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::int64_t Listing::photos() const {
  return std::count_if(entries_.begin(), entries_.end(), [](const Entry& entry) { return entry.kind == EntryKind::kPhoto; });
}

std::string Listing::first_photo() const {
  for (const Entry& entry : entries_) {
    if (entry.kind == EntryKind::kPhoto) return std::string(name(entry));
  }
  return {};
}

Listing FolderWalker::list(const std::string& relative) const {
  const std::filesystem::path path = absolute(relative);
  const OpenFolder folder = open_folder(path);
  const int descriptor = ::dirfd(folder.get());
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) throw_unreadable(path, errno);
  Listing listing;
  listing.id_ = id_of(status);
  errno = 0;
  while (const struct dirent* entry = ::readdir(folder.get())) {
    const std::string_view name = entry->d_name;
    if (!is_ignored_name(name)) {
      const std::string extension = extension_of(name);
      const auto found = classify(descriptor, path, *entry, format_of(extension) != ImageFormat::kUnknown, want_facts_);
      if (found) {
        listing.add(name, found->kind, found->facts);
      } else if (std::find(kUnsupportedExtensions.begin(), kUnsupportedExtensions.end(), extension) != kUnsupportedExtensions.end()) {
        ++listing.unsupported_[extension];
      }
    }
    errno = 0;
  }
  if (errno != 0) throw_unreadable(path, errno);
  listing.sort();
  return listing;
}

void FolderWalker::walk(const std::string& relative, const WalkSink& sink) {
  chain_.clear();
  linked_.clear();
  note_ancestors(relative);
  walk_listing(list(relative), relative, sink);
}

// A link below a class folder may lead to the class folder, its split or the root.
void FolderWalker::note_ancestors(const std::string& relative) {
  struct stat status {};
  if (relative.empty()) return;
  if (::stat(root_.c_str(), &status) == 0) chain_.push_back(id_of(status));
  for (std::size_t slash = relative.find('/'); slash != std::string::npos; slash = relative.find('/', slash + 1)) {
    if (::stat(absolute(relative.substr(0, slash)).c_str(), &status) == 0) chain_.push_back(id_of(status));
  }
}

void FolderWalker::walk_folder(const std::string& relative, const WalkSink& sink) {
  Listing listing;
  std::string unreadable;
  try {
    listing = list(relative);
  } catch (const Error& error) {
    unreadable = error.what();
  }
  if (unreadable.empty()) {
    walk_listing(listing, relative, sink);
  } else {
    sink.issue(WalkIssue::kUnreadableFolder, relative, std::move(unreadable));
  }
}

void FolderWalker::walk_listing(const Listing& listing, const std::string& relative, const WalkSink& sink) {
  if (std::find(chain_.begin(), chain_.end(), listing.id()) != chain_.end()) {
    sink.issue(WalkIssue::kLoop, relative, "a link to a folder that it lies in: not followed");
    return;
  }
  for (const auto& [extension, count] : listing.unsupported()) {
    sink.issue(WalkIssue::kUnsupported, relative,
               fmt::format("{} .{} file{} left out: headstart does not read this format; convert to JPEG or PNG", count, extension,
                           count == 1 ? " is" : "s are"));
  }
  chain_.push_back(listing.id());
  for (const Listing::Entry& entry : listing.entries()) visit(listing, entry, relative, sink);
  chain_.pop_back();
}

void FolderWalker::visit(const Listing& listing, const Listing::Entry& entry, const std::string& relative, const WalkSink& sink) {
  std::string path = join_path(relative, listing.name(entry));
  switch (entry.kind) {
    case EntryKind::kPhoto:
      sink.photo(std::move(path), entry.facts);
      break;
    case EntryKind::kFolder:
      walk_folder(path, sink);
      break;
    case EntryKind::kLinkedFolder: {
      struct stat status {};
      if (::stat(absolute(path).c_str(), &status) != 0) break;  // gone since it was listed
      if (linked_.insert(id_of(status)).second) {
        walk_folder(path, sink);
      } else {
        sink.issue(WalkIssue::kLoop, path, "a link to a folder that another link led to before: not followed");
      }
      break;
    }
    case EntryKind::kBrokenLink:
      sink.issue(WalkIssue::kBrokenLink, path, "a link that leads nowhere");
      break;
    case EntryKind::kNotAFile:
      sink.issue(WalkIssue::kNotAFile, path, "has a photo's extension, but is a pipe, socket or device");
      break;
  }
}

void walk_photos(const std::filesystem::path& folder, const std::function<void(const std::filesystem::path&)>& sink,
                 const std::function<void(const Problem&)>& on_problem) {
  FolderWalker walker(folder, false);
  WalkSink walk_sink;
  walk_sink.photo = [&](const std::string& path, const FileFacts&) { sink(folder / path); };
  walk_sink.issue = [&](WalkIssue issue, const std::string& path, std::string reason) {
    if (on_problem) {
      on_problem({path, std::move(reason)});
    } else if (issue == WalkIssue::kUnreadableFolder) {
      throw Error(ErrorCategory::kFile, reason);
    } else if (issue == WalkIssue::kBrokenLink && format_of_extension(path) != ImageFormat::kUnknown) {
      sink(folder / path);  // whoever opens it gets the reason
    }
  };
  walker.walk("", walk_sink);
}

}  // namespace headstart
