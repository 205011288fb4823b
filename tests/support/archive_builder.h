// Archives that a test makes: whole ones, and ones that no honest program writes.
#pragma once

#include <archive.h>
#include <archive_entry.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace headstart::test {

struct TestMember {
  std::string name;
  std::string contents = "";
  unsigned type = AE_IFREG;
  std::string link = "";  // where a symbolic link leads; of a regular member: it is a hard link to that
};

enum class TestArchive { kZip, kStoredZip, kEncryptedZip, kTar, kTarGz };

// Bytes of an archive with these members. Names are written as they are, whatever their bytes.
inline std::string make_archive(TestArchive kind, const std::vector<TestMember>& members) {
  const auto check = [](int status, archive* writer) {
    if (status != ARCHIVE_OK) throw std::runtime_error(archive_error_string(writer));
  };
  archive* const writer = archive_write_new();
  const bool tar = kind == TestArchive::kTar || kind == TestArchive::kTarGz;
  check(tar ? archive_write_set_format_gnutar(writer) : archive_write_set_format_zip(writer), writer);
  if (kind == TestArchive::kTarGz) check(archive_write_add_filter_gzip(writer), writer);
  if (kind == TestArchive::kStoredZip) check(archive_write_zip_set_compression_store(writer), writer);
  if (kind == TestArchive::kEncryptedZip) {
    check(archive_write_set_options(writer, "zip:encryption=traditional"), writer);
    check(archive_write_set_passphrase(writer, "open sesame"), writer);
  }
  check(archive_write_set_bytes_in_last_block(writer, 1), writer);
  std::string bytes;
  const auto append = [](archive*, void* to, const void* data, std::size_t size) -> la_ssize_t {
    static_cast<std::string*>(to)->append(static_cast<const char*>(data), size);
    return static_cast<la_ssize_t>(size);
  };
  check(archive_write_open(writer, &bytes, nullptr, append, nullptr), writer);
  for (const TestMember& member : members) {
    archive_entry* const entry = archive_entry_new();
    archive_entry_copy_pathname(entry, member.name.c_str());
    archive_entry_set_filetype(entry, member.type);
    archive_entry_set_perm(entry, member.type == AE_IFDIR ? 0755 : 0644);
    archive_entry_set_size(entry, static_cast<la_int64_t>(member.contents.size()));
    if (member.type == AE_IFLNK) archive_entry_copy_symlink(entry, member.link.c_str());
    if (member.type == AE_IFREG && !member.link.empty()) archive_entry_copy_hardlink(entry, member.link.c_str());
    check(archive_write_header(writer, entry), writer);
    archive_write_data(writer, member.contents.data(), member.contents.size());
    archive_entry_free(entry);
  }
  check(archive_write_close(writer), writer);
  archive_write_free(writer);
  return bytes;
}

inline void write_archive(const std::filesystem::path& path, TestArchive kind, const std::vector<TestMember>& members) {
  const std::string bytes = make_archive(kind, members);
  std::ofstream(path, std::ios::binary) << bytes;
}

}  // namespace headstart::test
