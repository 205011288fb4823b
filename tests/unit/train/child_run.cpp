#include "child_run.h"

#include <gtest/gtest.h>
#include <spawn.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <stdexcept>
#include <string>

#include "child_rank.h"
#include "tiny_run.h"

namespace headstart::test {

// What the child does.
int child_run(const std::filesystem::path& run, int epochs, ChildRun kind) {
  try {
    const auto shared = std::make_shared<SharedInputs>(MemoryBounds{.pixel_bytes = 0, .prefix_bytes = 0});
    if (std::filesystem::exists(run / "run.json")) {
      resume_training({.run = run, .shared = shared});
    } else {
      TrainOptions options = tiny_options(run.parent_path(), {.name = run.filename().string()});
      options.epochs = epochs;
      options.shared = shared;
      if (kind == ChildRun::kFrozenStages) {
        options.freeze_until = "stage4";
        options.views = 2;
      }
      train(options);
    }
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "child run: %s\n", error.what());
    return 1;
  }
}

pid_t start_child_run(const std::filesystem::path& run, int epochs, ChildRun kind) {
  std::string program = std::filesystem::read_symlink("/proc/self/exe").string(), flag = "--child-run";
  std::string folder = run.string(), count = std::to_string(epochs), number = std::to_string(static_cast<int>(kind));
  const std::array<char*, 6> arguments = {program.data(), flag.data(), folder.data(), count.data(), number.data(), nullptr};
  pid_t child = 0;
  if (posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments.data(), environ) != 0)
    throw std::runtime_error("posix_spawn failed");
  return child;
}

}  // namespace headstart::test

int main(int argc, char** argv) {
  if (argc == 5 && std::string(argv[1]) == "--child-run") {
    return headstart::test::child_run(argv[2], std::stoi(argv[3]), static_cast<headstart::test::ChildRun>(std::stoi(argv[4])));
  }
  if (argc > 2 && std::string(argv[1]) == "--child-rank") return headstart::test::child_rank({argv + 2, argv + argc});
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
