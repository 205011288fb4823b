// What the suites of the command line share: a small weights file, a small model file and small photos, made once a test program.
//
// Thread-safety: the tests of one program run one after the other.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "cli/process.h"
#include "headstart/error.h"
#include "support/temp_dir.h"
#include "support/tiny_dataset.h"

namespace headstart::test {

// EfficientNet-Lite0 with random weights in the published layout: a source model, as safetensors.
const std::filesystem::path& weights_file();
// A model file with random weights for the classes class_0, class_1 and class_2, which looks at 32x32 pixels.
const std::filesystem::path& model_file();
// Three classes of eight photos each: class_0 .. class_2.
const std::filesystem::path& photos_folder();

// The options that make a training small: pixels, threads, weights.
std::vector<std::string> tiny_training(const std::filesystem::path& photos, const std::filesystem::path& out);
// The same with the recipe finetune: too few photos for the recipe auto to fine-tune.
std::vector<std::string> tiny_finetuning(const std::filesystem::path& photos, const std::filesystem::path& out);
std::vector<std::string> joined(std::vector<std::string> first, const std::vector<std::string>& second);

// Whether `part` is somewhere in `text`; both are in the message.
::testing::AssertionResult says(const std::string& text, const std::string& part);
std::vector<std::string> lines_of(const std::string& text);
std::string text_of(const std::filesystem::path& file);
void write_text(const std::filesystem::path& file, const std::string& text);

}  // namespace headstart::test

// The exit code, with both streams in the message when it is another.
#define EXPECT_EXIT_CODE(outcome, expected)                                                                             \
  EXPECT_EQ((outcome).exit_code, static_cast<int>(expected)) << "signal " << (outcome).signal << "\nstandard output:\n" \
                                                             << (outcome).out << "\nstandard error:\n"                  \
                                                             << (outcome).err
