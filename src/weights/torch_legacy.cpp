// PyTorch's format before 1.6: one after another the pickles of a magic number, the protocol version, the machine's properties, the object,
// and the list of storage keys; then for each key an 8-byte element count and the raw bytes.
// Source: torch/serialization.py (_legacy_save).
#include <fmt/format.h>

#include <unordered_map>

#include "headstart/error.h"
#include "weights/byte_reader.h"
#include "weights/state_dict.h"
#include "weights/torch_state.h"

namespace headstart {
namespace {

constexpr std::int64_t kProtocolVersion = 1001;

// The magic number 0x1950a86a20f9469cfc6c, as pickled: it does not fit 64 bits, so it is compared as bytes by its reader.
constexpr std::string_view kMagic = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

// Position after the magic number's pickle. Protocol 2 opens with PROTO, protocols 4 and 5 with PROTO and FRAME.
std::size_t read_magic(std::span<const std::byte> file) {
  const std::string_view text = as_text(file);
  std::size_t position = text.substr(0, 1) == "\x80" ? 2 : 0;
  if (position > 0 && text.size() > position && text[position] == '\x95') position += 9;
  if (position > text.size() || text.substr(position, kMagic.size()) != kMagic) {
    throw Error(ErrorCategory::kModel,
                "it does not start with PyTorch's magic number: another program's pickle, or damaged; expected what torch.save wrote");
  }
  return position + kMagic.size();
}

std::size_t read_preamble(std::span<const std::byte> file) {
  const pickle::Document version = pickle::parse(file, read_magic(file));
  const auto* number = version.get<std::int64_t>(version.root);
  if (number == nullptr || *number != kProtocolVersion) {
    throw Error(ErrorCategory::kModel,
                fmt::format("its legacy format version is not {}; load it in Python and save it again", kProtocolVersion));
  }
  const pickle::Document machine = pickle::parse(file, version.end);
  const auto* properties = machine.get<pickle::Dict>(machine.root);
  if (properties == nullptr) throw Error(ErrorCategory::kModel, "its description of the machine is no dictionary: damaged");
  for (const auto& [key, value] : properties->items) {
    const auto* name = machine.get<std::string_view>(key);
    const auto* little = machine.get<bool>(value);
    if (name != nullptr && *name == "little_endian" && little != nullptr && !*little) {
      throw Error(ErrorCategory::kModel, "its numbers are big-endian; load it in Python and save it on a little-endian machine");
    }
  }
  return machine.end;
}

struct Storage {
  std::size_t element_bytes = 1;
  std::uint64_t elements = 0;
  std::span<const std::byte> bytes;
  bool present = false;
};
using Storages = std::unordered_map<std::string_view, Storage>;

// What the object's pickle says of each storage; two sizes for one key cannot both be right.
Storages declared_storages(const pickle::Document& document) {
  Storages storages;
  for (const pickle::StorageRecord& record : document.storages) {
    const auto [known, is_new] = storages.try_emplace(record.key, Storage{record.element_bytes(), record.elements, {}, false});
    if (!is_new && (known->second.element_bytes != record.element_bytes() || known->second.elements != record.elements)) {
      throw Error(ErrorCategory::kModel, fmt::format("storage '{}' is described in two ways: damaged", shown(record.key)));
    }
  }
  return storages;
}

void read_storages(std::span<const std::byte> file, const pickle::Document& keys, Storages& storages) {
  const auto* list = keys.get<pickle::Sequence>(keys.root);
  if (list == nullptr) throw Error(ErrorCategory::kModel, "its list of storages is no list: damaged");
  ByteReader reader(file, keys.end);
  for (const pickle::Ref item : list->items) {
    const auto* key = keys.get<std::string_view>(item);
    const auto known = key == nullptr ? storages.end() : storages.find(*key);
    if (known == storages.end() || known->second.present) {
      throw Error(ErrorCategory::kModel, "its list of storages names one that no tensor uses, or one twice: damaged");
    }
    Storage& storage = known->second;
    const std::string name = fmt::format("storage '{}'", shown(*key));
    const auto elements = reader.number<std::uint64_t>(name);
    std::uint64_t bytes = 0;
    if (elements != storage.elements || !multiply(elements, storage.element_bytes, bytes)) {
      throw Error(ErrorCategory::kModel, fmt::format("{} has {} elements, expected {}", name, elements, storage.elements));
    }
    storage.bytes = reader.take(bytes, name);
    storage.present = true;
  }
}

}  // namespace

StateDict read_torch_legacy(std::span<const std::byte> bytes) {
  const pickle::Document document = pickle::parse(bytes, read_preamble(bytes));
  const pickle::Document keys = pickle::parse(bytes, document.end);
  Storages storages = declared_storages(document);
  read_storages(bytes, keys, storages);
  return build_state_dict(document, bytes.size(), [&](const pickle::StorageRecord& record) {
    const Storage& storage = storages.at(record.key);
    if (!storage.present) throw Error(ErrorCategory::kModel, fmt::format("storage '{}' is missing in the file", shown(record.key)));
    return storage.bytes;
  });
}

}  // namespace headstart
