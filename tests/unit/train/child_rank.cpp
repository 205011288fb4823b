#include "child_rank.h"

#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "group_ranks.h"
#include "headstart/error.h"
#include "tiny_run.h"

namespace headstart::test {
namespace {

std::filesystem::path error_file(const std::filesystem::path& folder, const std::string& run, int rank) {
  return folder / fmt::format("{}-rank{}.txt", run, rank);
}

void act(RankEvent event, bool& stop) {
  if (event == RankEvent::kStopLast) stop = true;
  if (event == RankEvent::kDieLast) raise(SIGKILL);
  if (event == RankEvent::kFreezeLast) raise(SIGSTOP);
}

void train_as_rank(const std::filesystem::path& folder, const std::string& set, const std::string& run, RankEvent event) {
  std::optional<Distributed> group = distributed_from_environment();
  group->silence_seconds = 3;
  const bool last = group->rank == group->world_size - 1;
  bool stop = false;
  TrainCallbacks callbacks;
  callbacks.on_step = [&](const StepProgress&) {
    if (last) act(event, stop);
  };
  callbacks.should_stop = [&] { return stop; };
  TrainOptions options = group_options(folder, set, run);
  options.distributed = group;
  if (last && event == RankEvent::kOtherOptions) options.epochs = 7;
  if (last && event == RankEvent::kOtherPhotos) options.photos = folder / "other-photos";
  if (std::filesystem::exists(options.out / "run.json")) {
    ResumeOptions resume;
    resume.run = options.out;
    resume.distributed = group;
    resume_training(resume, callbacks);
  } else {
    train(options, callbacks);
  }
}

}  // namespace

TrainOptions group_options(const std::filesystem::path& folder, const std::string& set, const std::string& run) {
  // 16 to train and 2 to validate; for auto 12, and 48 of which it takes 40 to judge by.
  TrainOptions options = tiny_options(folder, {.photos_per_class = set == "auto" ? 30 : 9, .name = run});
  options.batch_size = 7;  // 7, 7 and 2: of three ranks, one has none of the last
  options.lr = 0.002;
  options.epochs = 1;
  if (set == "synchronised") {
    options.batch_norm = BatchNormPolicy::kTrain;
    options.sync_batch_norm = true;
    // A well conditioned case: with random weights in EfficientNet and maps of one pixel, rounding grows from layer to layer and step to
    // step.
    options.model = "resnet18";
    options.scratch = true;
    options.preprocessing = Preprocessing{.resize_size = 72, .crop_size = 64};
  } else if (set == "frozen" || set == "stages") {
    if (set == "stages") {
      options.freeze_until = "stage4";
      options.views = 2;
      options.epochs = 3;
    }
    options.batch_norm = BatchNormPolicy::kFrozenStatistics;
    options.accumulate = 2;
    options.clip_norm = 1;
    options.label_smoothing = 0.1;
    options.imbalance = Imbalance::kClassWeights;
    options.max_unreadable_share = 0.2;
  } else if (set == "head") {
    options.recipe = Recipe::kHead;
  } else if (set == "auto") {
    options.recipe = Recipe::kAuto;
    options.validation_fraction = 0.8;
    options.head_class = {{"class_0", "2"}};
    options.patience = 0;
  } else {
    throw std::runtime_error("no such set of options: " + set);
  }
  return options;
}

std::vector<pid_t> start_ranks(int ranks, const std::filesystem::path& folder, const std::string& set, const std::string& run,
                               RankEvent event) {
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").string(), port = std::to_string(free_loopback_port());
  std::vector<pid_t> processes;
  for (int rank = 0; rank < ranks; ++rank) {
    std::vector<std::string> arguments = {program, "--child-rank", folder.string(), set, run, std::to_string(static_cast<int>(event))};
    std::vector<std::string> environment = {fmt::format("RANK={}", rank),
                                            fmt::format("WORLD_SIZE={}", ranks),
                                            fmt::format("LOCAL_RANK={}", rank),
                                            fmt::format("LOCAL_WORLD_SIZE={}", ranks),
                                            "MASTER_ADDR=127.0.0.1",
                                            "MASTER_PORT=" + port};
    for (char** entry = environ; *entry != nullptr; ++entry) environment.emplace_back(*entry);
    std::vector<char*> argv, envp;
    for (std::string& text : arguments) argv.push_back(text.data());
    for (std::string& text : environment) envp.push_back(text.data());
    argv.push_back(nullptr);
    envp.push_back(nullptr);
    pid_t child = 0;
    if (posix_spawn(&child, program.c_str(), nullptr, nullptr, argv.data(), envp.data()) != 0)
      throw std::runtime_error("posix_spawn failed");
    processes.push_back(child);
  }
  return processes;
}

std::vector<int> wait_for(const std::vector<pid_t>& ranks) {
  std::vector<int> ends;
  for (const pid_t process : ranks) {
    int status = 0;
    if (waitpid(process, &status, 0) != process) throw std::runtime_error("waitpid failed");
    ends.push_back(WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
  }
  return ends;
}

std::string rank_error(const std::filesystem::path& folder, const std::string& run, int rank) {
  std::ifstream file(error_file(folder, run, rank));
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

int child_rank(const std::vector<std::string>& arguments) {
  const std::filesystem::path folder = arguments.at(0);
  const std::string& run = arguments.at(2);
  const int rank = std::stoi(getenv("RANK"));
  std::filesystem::remove(error_file(folder, run, rank));
  try {
    train_as_rank(folder, arguments.at(1), run, static_cast<RankEvent>(std::stoi(arguments.at(3))));
    return 0;
  } catch (const ReportedError& error) {
    std::ofstream(error_file(folder, run, rank)) << "reported";
    return exit_code(error.category());
  } catch (const Error& error) {
    std::ofstream(error_file(folder, run, rank)) << error.what();
    return exit_code(error.category());
  }
}

}  // namespace headstart::test
