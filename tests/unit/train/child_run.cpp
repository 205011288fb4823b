#include "child_run.h"

#include <gtest/gtest.h>
#include <spawn.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <stdexcept>
#include <string>

#include "tiny_run.h"

namespace headstart::test {
namespace {

constexpr const char* kChildFlag = "--child-run";

int child_run(const std::filesystem::path& folder, const std::string& name) {
  try {
    if (std::filesystem::exists(folder / name / "run.json")) {
      resume_training({.run = folder / name});
    } else {
      train(tiny_options(folder, {.name = name}));
    }
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "child run: %s\n", error.what());
    return 1;
  }
}

}  // namespace

pid_t start_child_run(const TrainOptions& options) {
  std::string program = std::filesystem::read_symlink("/proc/self/exe").string(), flag = kChildFlag;
  std::string folder = options.out.parent_path().string(), name = options.out.filename().string();
  const std::array<char*, 5> arguments = {program.data(), flag.data(), folder.data(), name.data(), nullptr};
  pid_t child = 0;
  if (posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments.data(), environ) != 0)
    throw std::runtime_error("posix_spawn failed");
  return child;
}

}  // namespace headstart::test

int main(int argc, char** argv) {
  if (argc == 4 && std::string(argv[1]) == headstart::test::kChildFlag) return headstart::test::child_run(argv[2], argv[3]);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
