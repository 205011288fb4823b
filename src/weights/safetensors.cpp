// safetensors: an 8-byte little-endian header length, a JSON object (names → dtype, shape, data_offsets; "__metadata__" → texts), the
// bytes.
//
// Source: the format's specification (github.com/huggingface/safetensors): header at most 100 MB, no duplicate keys, the tensors' byte
// ranges cover the data without holes or overlaps.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <unordered_set>

#include "core/file.h"
#include "headstart/error.h"
#include "headstart/text.h"
#include "weights/byte_reader.h"
#include "weights/dtypes.h"
#include "weights/state_dict.h"

namespace headstart {
namespace {

using nlohmann::json;

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
constexpr std::size_t kAlignment = 8;
constexpr std::string_view kMetadataKey = "__metadata__";

[[noreturn]] void damaged(std::string_view reason) { throw Error(ErrorCategory::kModel, fmt::format("safetensors header: {}", reason)); }

struct Entry {
  std::string name;
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::vector<std::uint64_t> offsets;
  bool has_dtype = false, has_shape = false, has_offsets = false;
};

// Builds the header from nlohmann's event interface, because its tree would accept duplicate keys and a 100 MB header would cost gigabytes.
// Levels: 1 the header's object, 2 a tensor's object or the metadata, 3 a tensor's array.
class HeaderReader final : public json::json_sax_t {
 public:
  std::vector<Entry> entries;
  std::map<std::string, std::string> metadata;

  bool key(string_t& name) override {
    if (level_ == 1) {
      if (!names_.insert(name).second) damaged(fmt::format("'{}' is there twice", shown(name)));
      in_metadata_ = name == kMetadataKey;
      if (!in_metadata_) entries.emplace_back().name = name;
    }
    key_ = name;
    return true;
  }
  bool start_object(std::size_t) override {
    if (level_ > 1) unexpected("an object");
    ++level_;
    return true;
  }
  bool end_object() override {
    if (level_ == 2 && !in_metadata_) {
      const Entry& entry = entries.back();
      if (!entry.has_dtype || !entry.has_shape || !entry.has_offsets) {
        damaged(fmt::format("tensor '{}' lacks its dtype, shape or data_offsets", shown(entry.name)));
      }
    }
    --level_;
    return true;
  }
  bool start_array(std::size_t) override {
    if (level_ != 2 || in_metadata_) unexpected("an array");
    Entry& entry = entries.back();
    bool& seen = key_ == "shape" ? entry.has_shape : entry.has_offsets;
    if ((key_ != "shape" && key_ != "data_offsets") || seen) unexpected("an array");
    seen = true;
    ++level_;
    return true;
  }
  bool end_array() override {
    --level_;
    return true;
  }
  bool string(string_t& value) override {
    if (level_ == 2 && in_metadata_) {
      if (!metadata.emplace(key_, value).second) damaged(fmt::format("metadata '{}' is there twice", shown(key_)));
      return true;
    }
    if (level_ != 2 || key_ != "dtype" || entries.back().has_dtype) unexpected("a text");
    entries.back().dtype = value;
    entries.back().has_dtype = true;
    return true;
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (level_ != 3) unexpected("a number");
    if (key_ == "data_offsets") {
      entries.back().offsets.push_back(value);
      return true;
    }
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) unexpected("a size above 2^63");
    entries.back().shape.push_back(static_cast<std::int64_t>(value));
    return true;
  }
  bool null() override { unexpected("null"); }
  bool boolean(bool) override { unexpected("a truth value"); }
  bool number_integer(number_integer_t) override { unexpected("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { unexpected("a fraction"); }
  bool binary(binary_t&) override { unexpected("binary data"); }
  bool parse_error(std::size_t position, const std::string&, const json::exception&) override {
    damaged(fmt::format("no valid JSON at byte {}", position + sizeof(std::uint64_t)));
  }

 private:
  [[noreturn]] void unexpected(std::string_view what) const {
    damaged(fmt::format("{} where none belongs, after key '{}'", what, shown(key_)));
  }

  int level_ = 0;
  bool in_metadata_ = false;
  std::string key_;
  std::unordered_set<std::string> names_;
};

struct Header {
  std::map<std::string, std::string> metadata;
  std::vector<Entry> entries;
  std::size_t data = 0;  // position of the first tensor byte
};

HostTensor describe(const Entry& entry) {
  const DtypeRow* row = find_safetensors_dtype(entry.dtype);
  if (row == nullptr || !row->dtype) {
    damaged(fmt::format("tensor '{}' has dtype '{}', which headstart does not read; convert it with .float() in Python", shown(entry.name),
                        shown(entry.dtype)));
  }
  if (entry.offsets.size() != 2 || entry.offsets[0] > entry.offsets[1]) {
    damaged(fmt::format("tensor '{}' has no two ascending data_offsets", shown(entry.name)));
  }
  const auto expected = tensor_bytes(entry.shape, row->element_bytes);
  if (!expected || *expected != entry.offsets[1] - entry.offsets[0]) {
    damaged(fmt::format("tensor '{}' of shape {} and dtype {} does not fit its {} bytes", shown(entry.name), shape_to_string(entry.shape),
                        entry.dtype, entry.offsets[1] - entry.offsets[0]));
  }
  return {*row->dtype, entry.shape, nullptr};
}

// The byte ranges must cover the data exactly: nothing is hidden between tensors, nothing is read twice.
void check_cover(const std::vector<Entry>& entries, std::uint64_t data_bytes) {
  std::vector<std::size_t> order(entries.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return entries[a].offsets < entries[b].offsets; });
  std::uint64_t position = 0;
  for (const std::size_t i : order) {
    if (entries[i].offsets[0] != position) {
      damaged(fmt::format("tensor '{}' begins at data byte {}, expected {}: the tensors overlap or leave a hole", shown(entries[i].name),
                          entries[i].offsets[0], position));
    }
    position = entries[i].offsets[1];
  }
  if (position != data_bytes) {
    damaged(fmt::format("the tensors need {} bytes of data, the file holds {} (incomplete download?)", position, data_bytes));
  }
}

Header read_header(std::span<const std::byte> file) {
  ByteReader reader(file);
  const auto length = reader.number<std::uint64_t>("the safetensors header's length");
  if (length > kMaxHeaderBytes)
    damaged(fmt::format("it claims {} bytes, expected at most {}: no safetensors file, or damaged", length, kMaxHeaderBytes));
  const std::string_view text = as_text(reader.take(length, "the safetensors header"));
  if (text.substr(0, 1) != "{") damaged("it does not begin with '{'");
  HeaderReader events;
  json::sax_parse(text.begin(), text.end(), &events);
  return {std::move(events.metadata), std::move(events.entries), reader.position()};
}

// Tensors without bytes, checked against the size of the file.
StateDict checked_state(Header& header, std::span<const std::byte> file) {
  StateDict state;
  state.tensors.reserve(header.entries.size());
  for (const Entry& entry : header.entries) state.tensors.emplace_back(entry.name, describe(entry));
  check_cover(header.entries, file.size() - header.data);
  state.metadata = std::move(header.metadata);
  return state;
}

std::string quoted(std::string_view text, std::string_view what) {
  if (valid_utf8(text) != text) {
    throw Error(ErrorCategory::kModel, fmt::format("cannot store {} '{}': it is no valid UTF-8", what, valid_utf8(text)));
  }
  return json(text).dump();
}

// Where each tensor's bytes go: larger elements first, so that every tensor is aligned to its element size (readers map them in place).
struct Layout {
  std::vector<std::size_t> order;    // of writing
  std::vector<std::uint64_t> begin;  // by index in StateDict::tensors
};

Layout lay_out(const StateDict& state) {
  Layout layout;
  layout.order.resize(state.tensors.size());
  layout.begin.resize(state.tensors.size());
  std::iota(layout.order.begin(), layout.order.end(), std::size_t{0});
  std::stable_sort(layout.order.begin(), layout.order.end(), [&](std::size_t a, std::size_t b) {
    return byte_size(state.tensors[a].second.dtype) > byte_size(state.tensors[b].second.dtype);
  });
  std::uint64_t position = 0;
  for (const std::size_t i : layout.order) {
    layout.begin[i] = position;
    position += state.tensors[i].second.data().size();
  }
  return layout;
}

std::string make_header(const StateDict& state, const Layout& layout) {
  std::string header = "{";
  if (!state.metadata.empty()) {
    header += fmt::format("\"{}\":{{", kMetadataKey);
    for (const auto& [key, value] : state.metadata) {
      header += fmt::format("{}{}:{}", header.back() == '{' ? "" : ",", quoted(key, "metadata key"), quoted(value, "metadata"));
    }
    header += "}";
  }
  std::unordered_set<std::string_view> names = {kMetadataKey};
  for (std::size_t i = 0; i < state.tensors.size(); ++i) {
    const auto& [name, tensor] = state.tensors[i];
    if (!names.insert(name).second) throw Error(ErrorCategory::kInternal, fmt::format("cannot store tensor '{}': its name is taken", name));
    header += fmt::format("{}{}:{{\"dtype\":\"{}\",\"shape\":{},\"data_offsets\":[{},{}]}}", header.size() == 1 ? "" : ",",
                          quoted(name, "tensor name"), to_string(tensor.dtype), shape_to_string(tensor.shape), layout.begin[i],
                          layout.begin[i] + tensor.data().size());
  }
  header += "}";
  header.append((kAlignment - header.size() % kAlignment) % kAlignment, ' ');
  if (header.size() > kMaxHeaderBytes) {
    throw Error(ErrorCategory::kInternal,
                fmt::format("cannot store a safetensors header of {} bytes, at most {} are allowed", header.size(), kMaxHeaderBytes));
  }
  return header;
}

// The file's bytes in order, one part after the other.
template <typename Sink>
void write_parts(const StateDict& state, const Sink& sink) {
  check_storable(state);
  const Layout layout = lay_out(state);
  const std::string header = make_header(state, layout);
  const std::uint64_t length = header.size();
  sink(std::as_bytes(std::span(&length, 1)));
  sink(std::as_bytes(std::span(header)));
  for (const std::size_t i : layout.order) sink(state.tensors[i].second.data());
}

}  // namespace

StateDict read_safetensors(std::span<const std::byte> bytes) {
  Header header = read_header(bytes);
  StateDict state = checked_state(header, bytes);
  for (std::size_t i = 0; i < state.tensors.size(); ++i) {
    const auto& offsets = header.entries[i].offsets;
    const auto data = bytes.subspan(header.data + static_cast<std::size_t>(offsets[0]), static_cast<std::size_t>(offsets[1] - offsets[0]));
    state.tensors[i].second.bytes = std::make_shared<const std::vector<std::byte>>(data.begin(), data.end());
  }
  return state;
}

StateDict read_safetensors_header(std::span<const std::byte> bytes) {
  Header header = read_header(bytes);
  return checked_state(header, bytes);
}

StateDict read_safetensors_header(const std::filesystem::path& path) {
  const MappedFile file(path);  // only the header's pages are ever touched
  try {
    return read_safetensors_header(file.bytes());
  } catch (const Error& error) {
    throw Error(error.category(), fmt::format("cannot read {}: {}", path.string(), error.what()));
  }
}

std::string safetensors_bytes(const StateDict& state) {
  std::string bytes;
  write_parts(state, [&bytes](std::span<const std::byte> part) {
    if (!part.empty()) bytes.append(reinterpret_cast<const char*>(part.data()), part.size());
  });
  return bytes;
}

void write_safetensors(const std::filesystem::path& path, const StateDict& state) {
  AtomicFile file(path);
  write_parts(state, [&file](std::span<const std::byte> part) { file.write(part); });
  file.commit();
}

}  // namespace headstart
