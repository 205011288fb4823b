// Against the Pillow of this machine, where there is one: $HEADSTART_PYTHON, else python3. Synthetic pictures, every tricky file and a
// sample of photos.
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "decode_testing.h"
#include "support/temp_dir.h"

namespace headstart::test {
namespace {

std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string python() {
  const char* chosen = std::getenv("HEADSTART_PYTHON");
  return quoted(chosen != nullptr ? chosen : "python3");
}

bool python_has(const std::string& modules) {
  return std::system((python() + " -c 'import " + modules + "' >/dev/null 2>&1").c_str()) == 0;
}

#define HEADSTART_SKIP_WITHOUT_PILLOW() \
  if (!python_has("numpy, PIL")) GTEST_SKIP() << "skipped: no python3 with Pillow and numpy (set HEADSTART_PYTHON)"

struct Verdict {
  int equal = 0, refused_by_both = 0;
  std::set<std::string> differing, only_pillow_opens, only_we_open;
};

// Runs the script over its pictures and those below `folder`, and compares.
Verdict compare_with_pillow(const std::string& folder, int every) {
  const TempDir temp;
  const std::string script = (source_dir() / "tools/golden/decode_live.py").string();
  std::string command = "PYTHONDONTWRITEBYTECODE=1 " + python() + " " + quoted(script) + " " + quoted(temp.path().string());
  if (!folder.empty()) command += " " + quoted(folder) + " " + std::to_string(every);
  EXPECT_EQ(std::system((command + " >/dev/null 2>&1").c_str()), 0) << command;
  std::ifstream index(temp / "index.tsv");
  Verdict verdict;
  for (std::string line; std::getline(index, line);) {
    std::istringstream fields(line);
    std::string number, name, height, width;
    std::getline(fields, number, '\t'), std::getline(fields, name, '\t'), std::getline(fields, height, '\t'),
        std::getline(fields, width, '\t');
    DecodeOptions options = as_pillow();
    options.apply_exif_orientation = true;
    const EncodedBytes encoded = read_bytes(temp / (number + ".in"));
    const bool opens = std::filesystem::exists(temp / (number + ".rgb"));
    if (!reason_of(encoded, options).empty()) {
      opens ? static_cast<void>(verdict.only_pillow_opens.insert(name)) : static_cast<void>(++verdict.refused_by_both);
      continue;
    }
    if (!opens) {
      verdict.only_we_open.insert(name);
      continue;
    }
    const Image image = decode_image(encoded, options);
    const EncodedBytes expected = read_bytes(temp / (number + ".rgb"));
    const auto got = std::as_bytes(std::span(image.rgb));
    const bool same = image.size == ImageSize{std::stoi(height), std::stoi(width)} &&
                      std::equal(got.begin(), got.end(), expected.begin(), expected.end());
    same ? static_cast<void>(++verdict.equal) : static_cast<void>(verdict.differing.insert(name));
  }
  return verdict;
}

std::string list_of(const std::set<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += "\n  " + name;
  return list;
}

TEST(DecodePillow, SyntheticPicturesAreEqual) {
  HEADSTART_SKIP_WITHOUT_PILLOW();
  const Verdict verdict = compare_with_pillow("", 1);
  EXPECT_GE(verdict.equal, 500);
  EXPECT_TRUE(verdict.differing.empty()) << list_of(verdict.differing);
  EXPECT_TRUE(verdict.only_pillow_opens.empty()) << list_of(verdict.only_pillow_opens);
  EXPECT_TRUE(verdict.only_we_open.empty()) << list_of(verdict.only_we_open);
}

// What is known to differ, and why: docs/pixels.md, "Decoding".
TEST(DecodePillow, TrickyFilesAreEqualOrKnownToDiffer) {
  HEADSTART_SKIP_WITHOUT_PILLOW();
  const auto folder = shared_dir() / "data/tricky";
  HEADSTART_SKIP_WITHOUT(folder);
  const std::string suite = "jpeg-decoder/crashtest/images/imagetestsuite/";
  const Verdict verdict = compare_with_pillow(folder.string(), 1);
  const auto expect_known = [](std::set<std::string> found, const std::set<std::string>& known, const char* what) {
    for (const std::string& name : known) found.erase(name);
    EXPECT_TRUE(found.empty()) << what << list_of(found);
  };
  // Damaged files that libjpeg-turbo 2 and the libjpeg-turbo 3 inside Pillow's wheels conceal or judge differently.
  expect_known(verdict.differing, {suite + "8e5e74dbf9b68a322fbb9512db837329.jpg", suite + "f6b4389c3cf0f5997b2e5a4b905aea8d.jpg"},
               "differ");
  expect_known(verdict.only_we_open, {suite + "8a9cc8eeed66aeb423a91c44111d9450.jpg", suite + "a7326ba8f3f4559991126474dd30083d.jpg"},
               "only we open");
  // Lossless JPEG, which libjpeg-turbo 2 does not have.
  expect_known(verdict.only_pillow_opens, {"jpeg-decoder/reftest/images/lossless/1/jpeg_lossless_sel1-8bit.jpg"}, "only Pillow opens");
  EXPECT_GE(verdict.equal, 700);
}

TEST(DecodePillow, PhotosAreEqual) {
  HEADSTART_SKIP_WITHOUT_PILLOW();
  const auto folder = shared_dir() / "data/hotdog/test";
  HEADSTART_SKIP_WITHOUT(folder);
  const Verdict verdict = compare_with_pillow(folder.string(), 20);
  EXPECT_TRUE(verdict.differing.empty()) << list_of(verdict.differing);
  EXPECT_TRUE(verdict.only_pillow_opens.empty()) << list_of(verdict.only_pillow_opens);
}

}  // namespace
}  // namespace headstart::test
