// Which format a weights file has, and what a file that is none looks like.
#include <fmt/format.h>

#include <array>

#include "core/file.h"
#include "headstart/error.h"
#include "weights/byte_reader.h"
#include "weights/gluon_params.h"
#include "weights/state_dict.h"

namespace headstart {
namespace {

struct Lookalike {
  std::string_view start;
  std::size_t position;
  std::string_view what;
};

// What people hand over instead of weights, by the bytes at a position.
constexpr std::array<Lookalike, 12> kLookalikes = {{
    {"version https://git-lfs", 0, "a Git LFS pointer, not the file it stands for; run `git lfs pull`"},
    {"\x89HDF\r\n", 0, "an HDF5 file (Keras or another program), not PyTorch weights"},
    {"\x1F\x8B", 0, "a gzip archive; unpack it first"},
    {"BZh", 0, "a bzip2 archive; unpack it first"},
    {"\xFD"
     "7zXZ",
     0, "an xz archive; unpack it first"},
    {"\x28\xB5\x2F\xFD", 0, "a zstd archive; unpack it first"},
    {"Rar!", 0, "a RAR archive; unpack it first"},
    {"ustar", 257, "a tar archive: unpack it first, or, when PyTorch 0.1 wrote it, load it in Python and save it again"},
    {"GGUF", 0, "a GGUF file, not PyTorch weights"},
    {"\x93NUMPY", 0, "a NumPy array, not a state dict"},
    {"\xFF\xD8\xFF", 0, "a JPEG picture"},
    {"\x89PNG", 0, "a PNG picture"},
}};

constexpr std::string_view kExpected = "expected weights that torch.save wrote (.pth, .pt), a safetensors file, or Gluon's .params";

// MXNet's magic number 0x112, little-endian.
constexpr std::string_view kGluonStart("\x12\x01\0\0\0\0\0\0", 8);

bool looks_like_markup(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n\xEF\xBB\xBF");
  return first != std::string_view::npos && text[first] == '<';
}

bool looks_like_safetensors(std::span<const std::byte> bytes) {
  constexpr std::uint64_t kPlausible = 1ULL << 40;  // a claimed header that is too long gets its own message
  return bytes.size() > 8 && as_text(bytes)[8] == '{' && load_little_endian<std::uint64_t>(bytes.data()) < kPlausible;
}

StateDict read_any(std::span<const std::byte> bytes) {
  switch (sniff_weights(bytes)) {
    case WeightsFormat::kTorchZip:
      return read_torch_zip(bytes);
    case WeightsFormat::kTorchLegacy:
      return read_torch_legacy(bytes);
    case WeightsFormat::kSafetensors:
      return read_safetensors(bytes);
    case WeightsFormat::kGluonParams:
      return read_gluon_params(bytes);
    case WeightsFormat::kUnknown:
      break;
  }
  throw Error(ErrorCategory::kModel, describe_unknown(bytes));
}

// Data-parallel training puts "module." before every name, feature extractors "backbone."; both may be there.
void strip_common_prefixes(StateDict& state) {
  constexpr std::array<std::string_view, 2> kPrefixes = {"module.", "backbone."};
  bool again = !state.tensors.empty();
  while (again) {
    again = false;
    for (const std::string_view prefix : kPrefixes) {
      bool common = true;
      for (const auto& [name, tensor] : state.tensors)
        common = common && name.size() > prefix.size() && name.compare(0, prefix.size(), prefix) == 0;
      if (!common) continue;
      for (auto& [name, tensor] : state.tensors) name.erase(0, prefix.size());
      again = true;
    }
  }
}

}  // namespace

WeightsFormat sniff_weights(std::span<const std::byte> bytes) {
  const std::string_view text = as_text(bytes);
  // First, because a header's length may begin with any byte.
  if (looks_like_safetensors(bytes)) return WeightsFormat::kSafetensors;
  if (text.substr(0, 4) == "PK\x03\x04" || text.substr(0, 4) == "PK\x05\x06") return WeightsFormat::kTorchZip;
  if (text.substr(0, kGluonStart.size()) == kGluonStart) return WeightsFormat::kGluonParams;
  if (text.substr(0, 1) == "\x80") return WeightsFormat::kTorchLegacy;
  return WeightsFormat::kUnknown;
}

std::string describe_unknown(std::span<const std::byte> bytes) {
  const std::string_view text = as_text(bytes);
  std::string_view what = "of a format that is not known";
  if (looks_like_markup(text.substr(0, 512))) {
    what = "a web page, probably an error or a login page that was saved under the file's name: fetch the file again";
  }
  for (const Lookalike& lookalike : kLookalikes) {
    if (text.size() > lookalike.position && text.substr(lookalike.position, lookalike.start.size()) == lookalike.start)
      what = lookalike.what;
  }
  if (text.find_first_not_of('\0') == std::string_view::npos) what = "nothing but zero bytes: fetch the file again";
  if (text.empty()) what = "empty: fetch the file again";
  return fmt::format("it is {}; {}", what, kExpected);
}

StateDict read_weights(const std::filesystem::path& path) {
  const MappedFile file(path);
  try {
    StateDict state = read_any(file.bytes());
    strip_common_prefixes(state);
    return state;
  } catch (const Error& error) {
    throw Error(error.category(), fmt::format("cannot read the weights file {}: {}", path.string(), error.what()));
  }
}

}  // namespace headstart
