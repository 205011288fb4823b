#include "weights/zip_directory.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "headstart/error.h"
#include "weights/byte_reader.h"

namespace headstart {
namespace {

constexpr std::uint32_t kLocalHeader = 0x04034B50;
constexpr std::uint32_t kCentralHeader = 0x02014B50;
constexpr std::uint32_t kEnd = 0x06054B50;
constexpr std::uint32_t kEnd64 = 0x06064B50;
constexpr std::uint32_t kEnd64Locator = 0x07064B50;
constexpr std::size_t kEndBytes = 22;
constexpr std::size_t kLocatorBytes = 20;
constexpr std::size_t kMaxComment = 0xFFFF;

[[noreturn]] void damaged(std::string_view reason) {
  throw Error(ErrorCategory::kModel, fmt::format("the zip archive is damaged: {} (incomplete download?)", reason));
}

// The end record lies before a comment that reaches to the end of the file.
std::size_t find_end(std::span<const std::byte> archive) {
  if (archive.size() >= kEndBytes) {
    const std::size_t last = archive.size() - kEndBytes;
    const std::size_t first = last > kMaxComment ? last - kMaxComment : 0;
    for (std::size_t position = last + 1; position-- > first;) {
      const std::byte* record = archive.data() + position;
      if (load_little_endian<std::uint32_t>(record) == kEnd && load_little_endian<std::uint16_t>(record + 20) == last - position)
        return position;
    }
  }
  damaged("its table of contents, which closes the file, is missing");
}

struct Directory {
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
  std::uint64_t position = 0;
};

Directory read_end(std::span<const std::byte> archive) {
  const std::size_t end = find_end(archive);
  const std::byte* record = archive.data() + end;
  Directory directory{load_little_endian<std::uint16_t>(record + 10), load_little_endian<std::uint32_t>(record + 12),
                      load_little_endian<std::uint32_t>(record + 16)};
  if (end < kLocatorBytes || load_little_endian<std::uint32_t>(record - kLocatorBytes) != kEnd64Locator) return directory;
  const auto position = load_little_endian<std::uint64_t>(record - kLocatorBytes + 8);
  if (position > archive.size()) damaged("its 64-bit table of contents lies past the end of the file");
  ByteReader reader(archive, static_cast<std::size_t>(position));
  if (reader.number<std::uint32_t>("the zip archive's table of contents") != kEnd64) damaged("its 64-bit table of contents is missing");
  const std::byte* rest = reader.take(52, "the zip archive's table of contents").data();
  return {load_little_endian<std::uint64_t>(rest + 28), load_little_endian<std::uint64_t>(rest + 36),
          load_little_endian<std::uint64_t>(rest + 44)};
}

// Values that do not fit 32 bits stand in an extra field (id 1), in the order size, stored size, header; only those that do not fit.
void read_zip64_extra(ZipEntry& entry, std::span<const std::byte> extra) {
  ByteReader fields(extra);
  while (fields.left() >= 4) {
    const auto id = fields.number<std::uint16_t>("an extra field");
    const auto length = fields.number<std::uint16_t>("an extra field");
    ByteReader field(fields.take(length, "an extra field of the zip archive"));
    if (id != 1) continue;
    for (std::uint64_t* value : {&entry.bytes, &entry.stored_bytes, &entry.header}) {
      if (*value == 0xFFFFFFFF) *value = field.number<std::uint64_t>("a 64-bit size of the zip archive");
    }
    return;
  }
}

ZipEntry read_central_header(ByteReader& reader) {
  const std::byte* header = reader.take(46, "the zip archive's table of contents").data();
  if (load_little_endian<std::uint32_t>(header) != kCentralHeader) damaged("its table of contents holds something else than entries");
  ZipEntry entry;
  entry.flags = load_little_endian<std::uint16_t>(header + 8);
  entry.method = load_little_endian<std::uint16_t>(header + 10);
  entry.crc = load_little_endian<std::uint32_t>(header + 16);
  entry.stored_bytes = load_little_endian<std::uint32_t>(header + 20);
  entry.bytes = load_little_endian<std::uint32_t>(header + 24);
  entry.header = load_little_endian<std::uint32_t>(header + 42);
  entry.name = as_text(reader.take(load_little_endian<std::uint16_t>(header + 28), "a name of the zip archive"));
  read_zip64_extra(entry, reader.take(load_little_endian<std::uint16_t>(header + 30), "an extra field of the zip archive"));
  reader.take(load_little_endian<std::uint16_t>(header + 32), "a comment of the zip archive");
  return entry;
}

// Slicing by eight: table[k][b] is the CRC of byte b followed by k zero bytes.
constexpr auto kCrcTables = [] {
  std::array<std::array<std::uint32_t, 256>, 8> tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0xEDB88320U : 0U);
    tables[0][byte] = value;
  }
  for (std::size_t k = 1; k < 8; ++k) {
    for (std::size_t byte = 0; byte < 256; ++byte) tables[k][byte] = (tables[k - 1][byte] >> 8) ^ tables[0][tables[k - 1][byte] & 0xFF];
  }
  return tables;
}();

}  // namespace

ZipDirectory::ZipDirectory(std::span<const std::byte> archive) : archive_(archive) {
  const Directory directory = read_end(archive);
  if (directory.position > archive.size() || directory.bytes > archive.size() - directory.position) {
    damaged("its table of contents lies past the end of the file");
  }
  ByteReader reader(archive.subspan(static_cast<std::size_t>(directory.position), static_cast<std::size_t>(directory.bytes)));
  for (std::uint64_t i = 0; i < directory.entries; ++i) entries_.push_back(read_central_header(reader));
  std::sort(entries_.begin(), entries_.end(), [](const ZipEntry& a, const ZipEntry& b) { return a.name < b.name; });
  const auto twice =
      std::adjacent_find(entries_.begin(), entries_.end(), [](const ZipEntry& a, const ZipEntry& b) { return a.name == b.name; });
  if (twice != entries_.end()) damaged(fmt::format("it holds '{}' twice", shown(twice->name)));
}

const ZipEntry* ZipDirectory::find(std::string_view name) const {
  const auto entry =
      std::lower_bound(entries_.begin(), entries_.end(), name, [](const ZipEntry& a, std::string_view b) { return a.name < b; });
  return entry == entries_.end() || entry->name != name ? nullptr : &*entry;
}

std::span<const std::byte> ZipDirectory::read(const ZipEntry& entry) const {
  const std::string name = shown(entry.name);
  if (entry.method != 0 || (entry.flags & 1) != 0) {
    throw Error(ErrorCategory::kModel,
                fmt::format("'{}' in the zip archive is {}, which torch.save never does: save the weights with torch.save again", name,
                            (entry.flags & 1) != 0 ? "encrypted" : "compressed"));
  }
  if (entry.bytes != entry.stored_bytes) damaged(fmt::format("'{}' is stored, but has two sizes", name));
  if (entry.header > archive_.size()) damaged(fmt::format("'{}' lies past the end of the file", name));
  ByteReader reader(archive_, static_cast<std::size_t>(entry.header));
  const std::byte* header = reader.take(30, "an entry of the zip archive").data();
  if (load_little_endian<std::uint32_t>(header) != kLocalHeader) damaged(fmt::format("'{}' is not where the table of contents says", name));
  reader.take(std::uint64_t{load_little_endian<std::uint16_t>(header + 26)} + load_little_endian<std::uint16_t>(header + 28),
              "an entry of the zip archive");
  const auto contents = reader.take(entry.bytes, fmt::format("'{}'", name));
  if (entry.crc != 0 && crc32(contents) != entry.crc) {
    damaged(fmt::format("'{}' has CRC-32 {:08x}, expected {:08x}: some bytes changed", name, crc32(contents), entry.crc));
  }
  return contents;
}

std::uint32_t crc32(std::span<const std::byte> bytes) {
  std::uint32_t crc = 0xFFFFFFFF;
  while (bytes.size() >= 8) {
    const auto word = load_little_endian<std::uint64_t>(bytes.data()) ^ crc;
    crc = 0;
    for (std::size_t k = 0; k < 8; ++k) crc ^= kCrcTables[7 - k][(word >> (8 * k)) & 0xFF];
    bytes = bytes.subspan(8);
  }
  for (const std::byte byte : bytes) crc = (crc >> 8) ^ kCrcTables[0][(crc ^ std::to_integer<std::uint32_t>(byte)) & 0xFF];
  return ~crc;
}

}  // namespace headstart
