#include "cli/fixture.h"

#include "model/network.h"
#include "weights/model_file.h"
#include "weights/state_dict.h"

namespace headstart::test {
namespace {

const TempDir& shared_folder() {
  static const TempDir folder;
  return folder;
}

}  // namespace

const std::filesystem::path& weights_file() {
  static const std::filesystem::path file = [] {
    const std::filesystem::path path = shared_folder() / "source.safetensors";
    write_safetensors(path, make_network("efficientnet_lite0", 10, 1)->state());
    return path;
  }();
  return file;
}

const std::filesystem::path& model_file() {
  static const std::filesystem::path file = [] {
    const std::filesystem::path path = shared_folder() / "model.safetensors";
    ModelInfo info{.architecture = "efficientnet_lite0", .classes = tiny_class_names(3)};
    info.preprocessing.resize_size = 36;
    info.preprocessing.crop_size = 32;
    info.metrics = {{"validation_top1", 0.875}, {"validation_loss", 0.5}};
    info.provenance = {{"source_model", "efficientnet_lite0"}, {"seed", "7"}};
    write_model_file(path, info, make_network("efficientnet_lite0", 3, 2)->state());
    return path;
  }();
  return file;
}

const std::filesystem::path& photos_folder() {
  static const std::filesystem::path folder = [] {
    const std::filesystem::path path = shared_folder() / "photos";
    make_tiny_dataset(path, 3, 8);
    return path;
  }();
  return folder;
}

std::vector<std::string> tiny_training(const std::filesystem::path& photos, const std::filesystem::path& out) {
  return {"train", photos.string(), "--model", weights_file().string(), "--out", out.string(), "--crop-size", "32", "--resize-size",
          "36",    "--threads",     "1",       "--batch-size",          "8"};
}

std::vector<std::string> tiny_finetuning(const std::filesystem::path& photos, const std::filesystem::path& out) {
  return joined(tiny_training(photos, out), {"--recipe", "finetune"});
}

std::vector<std::string> joined(std::vector<std::string> first, const std::vector<std::string>& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

::testing::AssertionResult says(const std::string& text, const std::string& part) {
  const bool found = text.find(part) != std::string::npos;
  return (found ? ::testing::AssertionSuccess() : ::testing::AssertionFailure())
         << "'" << part << "' is " << (found ? "" : "not ") << "in:\n"
         << text;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::string text_of(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

void write_text(const std::filesystem::path& file, const std::string& text) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << text;
}

}  // namespace headstart::test
