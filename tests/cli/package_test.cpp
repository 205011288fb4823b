// The installed tree serves a program that knows nothing of this checkout: installs, builds the example against it, and runs it.
#include <sys/wait.h>

#include <cstdio>
#include <memory>

#include "cli/fixture.h"

namespace headstart::test {
namespace {

// A shell command's exit code, and both of its streams in one.
Outcome shell(const std::string& command) {
  Outcome outcome;
  FILE* const pipe = ::popen(("{ " + command + "; } 2>&1").c_str(), "r");
  if (pipe == nullptr) return outcome;
  char buffer[4096];
  for (std::size_t got = 0; (got = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) outcome.out.append(buffer, got);
  const int status = ::pclose(pipe);
  if (WIFEXITED(status)) outcome.exit_code = WEXITSTATUS(status);
  return outcome;
}

std::string quoted(const std::filesystem::path& path) { return "'" + path.string() + "'"; }

// Ends the test that calls it when the command fails.
void succeed(const std::string& command) {
  const Outcome outcome = shell(command);
  ASSERT_EQ(outcome.exit_code, 0) << command << "\n" << outcome.out;
}

TEST(Package, TheExampleBuildsAgainstTheInstalledTreeAndNamesAPhotoAsTheProgramDoes) {
  const TempDir folder;
  const std::filesystem::path prefix = folder / "prefix", build = folder / "build";
  const std::string cmake = quoted(HEADSTART_CMAKE);
  ASSERT_NO_FATAL_FAILURE(succeed(cmake + " --install " + quoted(HEADSTART_BUILD_DIR) + " --prefix " + quoted(prefix)));
  ASSERT_NO_FATAL_FAILURE(succeed(quoted(prefix / "bin/headstart") + " --version"));
  ASSERT_NO_FATAL_FAILURE(succeed(cmake + " -S " + quoted(HEADSTART_SOURCE_DIR "/examples/name_photo") + " -B " + quoted(build) +
                                  " -DCMAKE_PREFIX_PATH=" + quoted(prefix)));
  ASSERT_NO_FATAL_FAILURE(succeed(cmake + " --build " + quoted(build)));

  const std::filesystem::path photo = std::filesystem::directory_iterator(photos_folder() / "class_1")->path();
  const std::string name_photo = quoted(build / "name_photo") + " ";
  const Outcome named = shell(name_photo + quoted(model_file()) + " " + quoted(photo));
  EXPECT_EXIT_CODE(named, 0);
  const Outcome predicted = run({"predict", model_file().string(), photo.string(), "--json", "--top", "1"});
  ASSERT_EQ(predicted.exit_code, 0) << predicted.err;
  EXPECT_TRUE(says(named.out, photo.string() + ": " + std::string(nlohmann::json::parse(predicted.out).at("label")) + " ("));

  const Outcome absent = shell(name_photo + quoted(folder / "none.safetensors") + " " + quoted(photo));
  EXPECT_EXIT_CODE(absent, exit_code(ErrorCategory::kFile));
  EXPECT_TRUE(says(absent.out, "none.safetensors"));
}

}  // namespace
}  // namespace headstart::test
