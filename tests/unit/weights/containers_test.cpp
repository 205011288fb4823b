// Damage of the containers: zip archives, legacy files, and files that are something else.
#include <gtest/gtest.h>

#include "support/temp_dir.h"
#include "weights_testing.h"

namespace headstart::test {
namespace {

const std::string& good_pickle() {
  static const std::string pickle = state_dict_pickle({{"w", tensor()}});
  return pickle;
}

TEST(Zip, Crc32IsThatOfZip) {
  EXPECT_EQ(crc32(bytes_of("123456789")), 0xCBF43926U);  // the check value of CRC-32/ISO-HDLC
  EXPECT_EQ(crc32({}), 0U);
  EXPECT_EQ(crc32(bytes_of("The quick brown fox jumps over the lazy dog")), 0x414FA339U);
}

TEST(Zip, AnyFolderNameWillDo) {
  for (const std::string folder : {"archive/", "my model/", "", "\xff\xfe/"}) {
    const std::string file = make_zip({{folder + "data.pkl", good_pickle()}, {folder + "data/0", six_floats()}});
    EXPECT_EQ(read_torch_zip(bytes_of(file)).tensors.size(), 1U) << folder;
  }
}

TEST(Zip, ACommentAndForeignEntriesAreSkipped) {
  std::string file = make_zip({{"notes.txt", "x", 8}, {"archive/data.pkl", good_pickle()}, {"archive/data/0", six_floats()}});
  file[file.size() - 2] = 5;
  EXPECT_EQ(read_torch_zip(bytes_of(file + "PK\x05\x06!")).tensors.size(), 1U);
}

TEST(Zip, NamedCorruptionsAreRefused) {
  const ZipPart pickle{"archive/data.pkl", good_pickle()};
  const ZipPart data{"archive/data/0", six_floats()};
  const auto changed = [](std::string file, std::size_t from_end, std::string_view bytes) {
    return file.replace(file.size() - from_end, bytes.size(), bytes);
  };
  const std::string good = make_zip({pickle, data});
  const std::map<std::string, std::pair<std::string, std::string>> cases = {
      {"empty archive", {make_zip({}), "it holds nothing"}},
      {"no data.pkl", {make_zip({{"a/b.txt", "x"}, {"c.txt", "y"}}), "a/b.txt and c.txt"}},
      {"a wheel", {make_zip({{"pkg/w.pth", "x"}, {"pkg-1.dist-info/METADATA", "y"}}), "Python wheel"}},
      {"TorchScript", {make_zip({pickle, data, {"archive/constants.pkl", "x"}}), "TorchScript"}},
      {"big-endian", {make_zip({pickle, data, {"archive/byteorder", "big"}}), "'big' byte order"}},
      {"compressed pickle", {make_zip({{pickle.name, pickle.contents, 8}, data}), "compressed"}},
      {"encrypted storage", {make_zip({pickle, {data.name, data.contents, 0, 1}}), "encrypted"}},
      {"missing storage", {make_zip({pickle}), "storage '0' is missing"}},
      {"short storage", {make_zip({pickle, {data.name, data.contents.substr(4)}}), "holds 20 bytes"}},
      {"long storage", {make_zip({pickle, {data.name, data.contents + "xxxx"}}), "holds 28 bytes"}},
      {"an entry twice", {make_zip({pickle, data, data}), "twice"}},
      {"empty pickle", {make_zip({{pickle.name, ""}, data}), "the file ends"}},
      {"directory past the end", {changed(good, 6, "\xff\xff\xff\x7f"), "past the end"}},
      {"directory of another size", {changed(good, 10, "\xff\xff\xff\x7f"), "past the end"}},
      {"more entries than there are", {changed(good, 12, "\xff\x7f"), "the file ends"}},
      {"directory points elsewhere", {changed(good, 6, "\x01"s + "\0\0\0"s), ""}},
      {"not a zip archive", {"PK\x03\x04 something", "table of contents"}},
      {"nothing", {"", "table of contents"}},
  };
  for (const auto& [name, damage] : cases) {
    SCOPED_TRACE(name);
    expect_contains(error_of([&file = damage.first] { read_torch_zip(bytes_of(file)); }), damage.second);
  }
}

TEST(Zip, A64BitDirectoryThatLiesIsRefused) {
  const std::string good = make_zip({{"archive/data.pkl", good_pickle()}, {"archive/data/0", six_floats()}});
  const std::string end = good.substr(good.size() - 22);
  const auto with_locator = [&](std::uint64_t position, const std::string& record) {
    return good.substr(0, good.size() - 22) + record + "PK\x06\x07"s + little_endian<std::uint32_t>(0) + little_endian(position) +
           little_endian<std::uint32_t>(1) + end;
  };
  const auto refused = [&](const std::string& file) { return error_of([&] { read_torch_zip(bytes_of(file)); }); };
  expect_contains(refused(with_locator(~std::uint64_t{0}, "")), "past the end");
  expect_contains(refused(with_locator(0, "")), "missing");
  const std::uint64_t position = good.size() - 22;
  const std::string record = "PK\x06\x06"s + std::string(20, '\0') + little_endian<std::uint64_t>(2) + little_endian<std::uint64_t>(2) +
                             little_endian(~std::uint64_t{0}) + little_endian(~std::uint64_t{0});
  expect_contains(refused(with_locator(position, record)), "past the end");
}

// The parts of a legacy file, each a pickle, and the storages' bytes.
struct Legacy {
  std::string magic = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
  std::string version = "\x80\x02M\xe9\x03.";
  std::string machine = "\x80\x02}" + text("little_endian") + "\x88s.";
  std::string object = good_pickle();
  std::string keys = "\x80\x02]" + text("0") + "a.";
  std::string data = little_endian<std::uint64_t>(6) + six_floats();
  std::string file() const { return magic + version + machine + object + keys + data; }
};

TEST(Legacy, TheBuilderMakesReadableFiles) {
  EXPECT_EQ(text_of(read_torch_legacy(bytes_of(Legacy().file())).tensors.at(0).second.data()), six_floats());
}

TEST(Legacy, ViewsOfStoragesAreRead) {
  Legacy legacy;
  const std::string view = tuple({text("storage"), global("torch", "FloatStorage"), text("0"), text("cpu"), number(6),
                                  tuple({text("view"), number(2), number(3)})}) +
                           "Q";
  legacy.object = state_dict_pickle({{"w", tensor({{3}, {1}, 0, view})}});
  EXPECT_EQ(text_of(read_torch_legacy(bytes_of(legacy.file())).tensors.at(0).second.data()), six_floats().substr(8, 12));
  legacy.object = state_dict_pickle({{"w", tensor({{4}, {1}, 0, view})}});
  expect_contains(error_of([&] { read_torch_legacy(bytes_of(legacy.file())); }), "leaves its storage of 3 elements");
}

TEST(Legacy, NamedCorruptionsAreRefused) {
  const std::string view_past_the_end = tuple({text("storage"), global("torch", "FloatStorage"), text("0"), text("cpu"), number(6),
                                               tuple({text("view"), number(4), number(3)})}) +
                                        "Q";
  const std::string two_sizes = state_dict_pickle({{"a", tensor()}, {"b", tensor({{1}, {1}, 0, storage(7)})}});
  const std::map<std::string, std::pair<std::function<void(Legacy&)>, std::string>> cases = {
      {"another magic number", {[](Legacy& file) { file.magic[5] = 'x'; }, "magic number"}},
      {"another pickle", {[](Legacy& file) { file.magic = "\x80\x02}."; }, "magic number"}},
      {"another version", {[](Legacy& file) { file.version = "\x80\x02M\xea\x03."; }, "1001"}},
      {"version is a text", {[](Legacy& file) { file.version = "\x80\x02" + text("1001") + "."; }, "1001"}},
      {"big-endian", {[](Legacy& file) { file.machine = "\x80\x02}" + text("little_endian") + "\x89s."; }, "big-endian"}},
      {"machine is a list", {[](Legacy& file) { file.machine = "\x80\x02]."; }, "no dictionary"}},
      {"keys are a dictionary", {[](Legacy& file) { file.keys = "\x80\x02}."; }, "no list"}},
      {"unknown key", {[](Legacy& file) { file.keys = "\x80\x02]" + text("1") + "a."; }, "no tensor uses"}},
      {"key is a number", {[](Legacy& file) { file.keys = "\x80\x02]" + number(0) + "a."; }, "no tensor uses"}},
      {"key twice", {[](Legacy& file) { file.keys = "\x80\x02](" + text("0") + text("0") + "e."; }, "one twice"}},
      {"no keys", {[](Legacy& file) { file.keys = "\x80\x02]."; }, "storage '0' is missing"}},
      {"two sizes for a key", {[&](Legacy& file) { file.object = two_sizes; }, "two ways"}},
      {"view past the end",
       {[&](Legacy& file) {
          file.object = state_dict_pickle({{"w", tensor({{1}, {1}, 0, view_past_the_end})}});
        },
        "reaches past"}},
      {"other element count", {[](Legacy& file) { file.data[0] = 5; }, "5 elements, expected 6"}},
      {"element count 2^64-1", {[](Legacy& file) { file.data.replace(0, 8, 8, '\xff'); }, "expected 6"}},
      {"cut data", {[](Legacy& file) { file.data.resize(20); }, "the file ends inside storage '0'"}},
  };
  for (const auto& [name, damage] : cases) {
    SCOPED_TRACE(name);
    Legacy legacy;
    damage.first(legacy);
    const std::string file = legacy.file();
    expect_contains(error_of([&] { read_torch_legacy(bytes_of(file)); }), damage.second);
  }
}

TEST(ReadWeights, SaysWhatAFileLooksLikeThatIsNone) {
  const TempDir folder;
  const std::map<std::string, std::pair<std::string, std::string>> cases = {
      {"empty", {"", "empty"}},
      {"web page", {"\n <!DOCTYPE html><html>", "web page"}},
      {"byte order mark and markup", {"\xEF\xBB\xBF<html>", "web page"}},
      {"git lfs", {"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"}},
      {"zeros", {std::string(100, '\0'), "zero bytes"}},
      {"gzip", {"\x1f\x8b\x08", "gzip"}},
      {"hdf5", {"\x89HDF\r\n\x1a\n", "HDF5"}},
      {"tar", {std::string(257, 'x') + "ustar", "tar archive"}},
      {"text", {"hello", "not known"}},
      {"one byte", {"\x80", "magic number"}},
      {"other zip", {make_zip({{"word/document.xml", "x"}}), "word/document.xml"}},
      {"cut zip", {torch_zip_around(good_pickle()).substr(0, 300), "incomplete download"}},
      {"cut safetensors", {little_endian<std::uint64_t>(100) + "{\"a\"", "incomplete download"}},
  };
  for (const auto& [name, file] : cases) {
    SCOPED_TRACE(name);
    write_file_atomically(folder / "weights.pth", file.first);
    const std::string message = error_of([&] { read_weights(folder / "weights.pth"); });
    expect_contains(message, file.second);
    expect_contains(message, (folder / "weights.pth").string());
  }
  error_of([&] { read_weights(folder / "absent.pth"); }, ErrorCategory::kFile);
  error_of([&] { read_weights(folder.path()); }, ErrorCategory::kFile);
}

}  // namespace
}  // namespace headstart::test
