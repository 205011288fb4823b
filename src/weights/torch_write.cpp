// Writes PyTorch's zip format: what torch.load(…, weights_only=True) and the reader beside this file open.
//
// The pickle is an OrderedDict of torch._utils._rebuild_tensor_v2 calls under protocol 2, one storage a tensor. Records are stored
// uncompressed and begin at multiples of 64 bytes, as torch.save's, so that they can be mapped. Source: torch/serialization.py,
// caffe2/serialize/inline_container.cc; PKWARE APPNOTE 6.3.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "core/file.h"
#include "headstart/error.h"
#include "headstart/text.h"
#include "weights/byte_reader.h"
#include "weights/dtypes.h"
#include "weights/state_dict.h"
#include "weights/zip_directory.h"

namespace headstart {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::string_view kFolder = "archive/";

template <typename T>
std::string little_endian(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

// Pickle opcodes, protocol 2: each function gives the bytes that push one value.
std::string pickled_text(std::string_view text) { return "X" + little_endian(static_cast<std::uint32_t>(text.size())) + std::string(text); }

std::string pickled_number(std::int64_t value) {
  if (value >= 0 && value <= std::numeric_limits<std::int32_t>::max()) return "J" + little_endian(static_cast<std::int32_t>(value));
  return std::string("\x8A\x08") + little_endian(value);
}

std::string pickled_tuple(std::span<const std::int64_t> values) {
  std::string pickle = "(";
  for (const std::int64_t value : values) pickle += pickled_number(value);
  return pickle + "t";
}

constexpr std::string_view kEmptyOrderedDict = "ccollections\nOrderedDict\n)R";

// Of a contiguous tensor; dimensions of 0 count as 1, as in PyTorch.
std::vector<std::int64_t> strides_of(std::span<const std::int64_t> shape) {
  std::vector<std::int64_t> strides(shape.size());
  std::int64_t step = 1;
  for (std::size_t i = shape.size(); i-- > 0;) {
    strides[i] = step;
    if (__builtin_mul_overflow(step, std::max<std::int64_t>(shape[i], 1), &step)) step = 0;  // only of a tensor without elements
  }
  return strides;
}

std::string_view storage_name(Dtype dtype) {
  for (const DtypeRow& row : dtype_rows()) {
    if (row.dtype == dtype) return row.storage_name;
  }
  throw Error(ErrorCategory::kInternal, fmt::format("no storage for {}", to_string(dtype)));
}

std::string pickled_tensor(const HostTensor& tensor, std::size_t key) {
  const auto elements = static_cast<std::int64_t>(tensor.data().size() / byte_size(tensor.dtype));
  const std::string storage = "(" + pickled_text("storage") + "ctorch\n" + std::string(storage_name(tensor.dtype)) + "\n" +
                              pickled_text(std::to_string(key)) + pickled_text("cpu") + pickled_number(elements) + "tQ";
  const std::string no_gradient = "\x89";
  return "ctorch._utils\n_rebuild_tensor_v2\n(" + storage + pickled_number(0) + pickled_tuple(tensor.shape) +
         pickled_tuple(strides_of(tensor.shape)) + no_gradient + std::string(kEmptyOrderedDict) + "tR";
}

std::string pickled_state(const StateDict& state) {
  std::string pickle = "\x80\x02" + std::string(kEmptyOrderedDict) + "(";
  for (std::size_t i = 0; i < state.tensors.size(); ++i) {
    const auto& [name, tensor] = state.tensors[i];
    if (valid_utf8(name) != name) {
      throw Error(ErrorCategory::kModel, fmt::format("cannot store tensor '{}' for PyTorch: its name is no valid UTF-8", shown(name)));
    }
    pickle += pickled_text(name) + pickled_tensor(tensor, i);
  }
  return pickle + "u.";
}

// An archive without 64-bit extensions: up to 4 GiB and 65,534 records.
class ZipWriter {
 public:
  explicit ZipWriter(const std::filesystem::path& path) : file_(path) {}

  void add(std::string_view record, std::span<const std::byte> contents) {
    const std::string name = std::string(kFolder) + std::string(record);
    const std::size_t unpadded = position_ + kLocalHeader + name.size() + kExtraHeader;
    const std::size_t padding = (kAlignment - unpadded % kAlignment) % kAlignment;
    if (contents.size() > kLimit || unpadded + padding + contents.size() > kLimit || entries_ == kMaxEntries) {
      throw Error(ErrorCategory::kModel,
                  "cannot store the weights for PyTorch: more than 4 GiB or 65,534 tensors; write safetensors instead");
    }
    const std::string extra = "FB" + little_endian(static_cast<std::uint16_t>(padding)) + std::string(padding, 'Z');
    const std::string facts = facts_of(name, contents);
    const std::size_t header = position_;
    put("PK\x03\x04" + little_endian(kVersion) + facts + little_endian(static_cast<std::uint16_t>(extra.size())) + name + extra);
    file_.write(contents);
    position_ += contents.size();
    const std::string no_comment_disk_or_attributes(2 + 2 + 2 + 4, '\0');
    directory_ += "PK\x01\x02" + little_endian(kVersion) + little_endian(kVersion) + facts + little_endian<std::uint16_t>(0) +
                  no_comment_disk_or_attributes + little_endian(static_cast<std::uint32_t>(header)) + name;
    ++entries_;
  }

  void commit() {
    if (position_ + directory_.size() > kLimit) throw Error(ErrorCategory::kModel, "cannot store the weights for PyTorch: more than 4 GiB");
    const auto start = static_cast<std::uint32_t>(position_);
    const std::string entries = little_endian(static_cast<std::uint16_t>(entries_));
    const auto size = static_cast<std::uint32_t>(directory_.size());
    put(directory_);
    put("PK\x05\x06" + std::string(4, '\0') + entries + entries + little_endian(size) + little_endian(start) + std::string(2, '\0'));
    file_.commit();
  }

 private:
  static constexpr std::size_t kLocalHeader = 30;
  static constexpr std::size_t kExtraHeader = 4;
  static constexpr std::size_t kLimit = 0xFFFF'FFFE;
  static constexpr std::size_t kMaxEntries = 0xFFFE;
  static constexpr std::uint16_t kVersion = 20;

  // What the local header and the directory both say: flags, method 0 (stored), 1980-01-01, CRC-32, sizes, the name's length.
  static std::string facts_of(std::string_view name, std::span<const std::byte> contents) {
    constexpr std::uint16_t kFirstDay = 0x21;
    const std::string size = little_endian(static_cast<std::uint32_t>(contents.size()));
    return std::string(6, '\0') + little_endian(kFirstDay) + little_endian(crc32(contents)) + size + size +
           little_endian(static_cast<std::uint16_t>(name.size()));
  }

  void put(const std::string& bytes) {
    file_.write(bytes);
    position_ += bytes.size();
  }

  AtomicFile file_;
  std::string directory_;
  std::size_t position_ = 0;
  std::size_t entries_ = 0;
};

}  // namespace

void write_torch_zip(const std::filesystem::path& path, const StateDict& state) {
  check_storable(state);
  const std::string pickle = pickled_state(state);
  ZipWriter zip(path);
  zip.add("data.pkl", as_bytes(pickle));
  zip.add("byteorder", as_bytes("little"));
  for (std::size_t i = 0; i < state.tensors.size(); ++i) zip.add(fmt::format("data/{}", i), state.tensors[i].second.data());
  zip.add("version", as_bytes("3\n"));
  zip.commit();
}

}  // namespace headstart
