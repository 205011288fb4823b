// Against the Pillow of this machine, where there is one: $HEADSTART_PYTHON, else python3.
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "core/random.h"
#include "image/resample.h"
#include "resample_testing.h"
#include "support/temp_dir.h"

namespace headstart::test {
namespace {

using nlohmann::json;

std::string shell_quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string python_command() {
  const char* chosen = std::getenv("HEADSTART_PYTHON");
  return "PYTHONDONTWRITEBYTECODE=1 " + shell_quoted(chosen != nullptr ? chosen : "python3");
}

json random_case(RandomStream& random) {
  const auto side = [&](std::uint64_t most) { return static_cast<int>(1 + random.below(most)); };
  const int height = side(random.below(4) == 0 ? 20 : 400), width = side(random.below(4) == 0 ? 20 : 400);
  double edges[4] = {0, 0, static_cast<double>(width), static_cast<double>(height)};
  if (const auto style = random.below(3); style > 0) {
    for (double& edge : edges) edge = random.uniform(0, &edge - edges < 4 && (&edge - edges) % 2 == 0 ? width : height);
    if (style == 1) {
      for (double& edge : edges) edge = static_cast<double>(static_cast<int>(edge));
    }
    if (edges[0] > edges[2]) std::swap(edges[0], edges[2]);
    if (edges[1] > edges[3]) std::swap(edges[1], edges[3]);
  }
  return {{"source", {height, width}},
          {"box", edges},
          {"size", {side(300), side(300)}},
          {"kind", random.below(2) == 0 ? "noise" : "waves"},
          {"filter", random.below(2) == 0 ? "bilinear" : "bicubic"}};
}

TEST(ResamplePillow, RandomCasesAreEqual) {
  if (std::system((python_command() + " -c 'import PIL' >/dev/null 2>&1").c_str()) != 0) {
    GTEST_SKIP() << "skipped: no python3 with Pillow (set HEADSTART_PYTHON)";
  }
  const TempDir folder;
  RandomStream random(1, Purpose::kTest);
  json cases = json::array();
  std::ofstream sources(folder / "sources.bin", std::ios::binary);
  for (int i = 0; i < 60; ++i) {
    cases.push_back(random_case(random));
    const Image source = golden_source(cases.back());
    sources.write(reinterpret_cast<const char*>(source.rgb.data()), static_cast<std::streamsize>(source.rgb.size()));
  }
  sources.close();
  std::ofstream(folder / "cases.json") << cases;
  const std::string script = (source_dir() / "tools/golden/resample_live.py").string();
  const std::string command = python_command() + " " + shell_quoted(script) + " " + shell_quoted(folder.path().string());
  ASSERT_EQ(std::system(command.c_str()), 0) << command;

  std::string version;
  std::ifstream(folder / "version") >> version;
  const PassOrder order = std::stoi(version) >= 13 ? PassOrder::kPillow13 : PassOrder::kHorizontalFirst;
  std::ifstream results(folder / "results.bin", std::ios::binary);
  ResampleScratch scratch;
  for (const json& live : cases) {
    const ImageSize size = size_of(live.at("size"));
    const auto stride = static_cast<std::size_t>(size.width) * 3;
    Image expected{.size = size, .rgb = std::vector<std::uint8_t>(static_cast<std::size_t>(size.height) * stride)}, result = expected;
    ASSERT_TRUE(results.read(reinterpret_cast<char*>(expected.rgb.data()), static_cast<std::streamsize>(expected.rgb.size())));
    const Image source = golden_source(live);
    resize_into(view_of(source),
                {.box = box_of(live.at("box")), .size = size, .interpolation = interpolation_of(live), .pass_order = order}, scratch,
                {result.rgb.data(), size, stride});
    EXPECT_TRUE(result.rgb == expected.rgb) << "differs from Pillow " << version << ": " << live;
  }
}

}  // namespace
}  // namespace headstart::test
