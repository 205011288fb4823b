// headstart launch and the processes that it starts; ranks that are started by hand; mistakes.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include "cli/fixture.h"

namespace headstart::test {
namespace {

std::vector<std::string> training(const std::filesystem::path& out, int epochs = 3) {
  return joined(tiny_finetuning(photos_folder(), out), {"--epochs", std::to_string(epochs), "--precision", "float32"});
}

std::vector<std::string> launched(int processes, const std::vector<std::string>& arguments) {
  return joined({"launch", "-v", "--processes", std::to_string(processes)}, arguments);
}

// A socket that listens on loopback, so that its port is taken.
class TakenPort {
 public:
  TakenPort() : descriptor_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (bind(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || listen(descriptor_, 1) != 0 ||
        getsockname(descriptor_, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
      throw std::runtime_error("no port on loopback");
    }
    port_ = ntohs(address.sin_port);
  }
  ~TakenPort() { close(descriptor_); }
  TakenPort(const TakenPort&) = delete;
  TakenPort& operator=(const TakenPort&) = delete;
  int port() const { return port_; }

 private:
  int descriptor_;
  int port_ = 0;
};

int free_port() { return TakenPort().port(); }

using Variables = std::vector<std::pair<std::string, std::string>>;

Variables rank_variables(int rank, int ranks, const std::string& address, int port) {
  return {{"RANK", std::to_string(rank)},
          {"WORLD_SIZE", std::to_string(ranks)},
          {"MASTER_ADDR", address},
          {"MASTER_PORT", std::to_string(port)}};
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

// "rank 1 is process 1234", as launch -v says.
pid_t process_of(int rank, const std::string& err) {
  const std::string said = fmt::format("rank {} is process ", rank);
  return static_cast<pid_t>(std::stol(err.substr(err.find(said) + said.size())));
}

TEST(Launch, TrainsOnceInSeveralProcessesAndSpeaksWithOneVoice) {
  const TempDir folder;
  const Outcome outcome = run(launched(2, training(folder / "run")));
  EXPECT_EXIT_CODE(outcome, 0);
  EXPECT_EQ(count_of(outcome.out, "validation accuracy"), 1U);
  EXPECT_EQ(count_of(outcome.err, "epoch 3/3"), 1U);
  EXPECT_TRUE(says(outcome.err, "in each of 2 processes"));
  const nlohmann::json run_json = nlohmann::json::parse(text_of(folder / "run/run.json"));
  EXPECT_EQ(run_json.at("options").at("processes"), 2);
  // A second group is refused by rank 0, once.
  const Outcome taken = run(launched(2, training(folder / "run")));
  EXPECT_EXIT_CODE(taken, ErrorCategory::kUsage);
  EXPECT_EQ(count_of(taken.err, "it holds a run already"), 1U);
}

TEST(Launch, CtrlCStopsAllRanksAndTheRunGoesOnInAnotherNumber) {
  const TempDir folder;
  const std::string out = (folder / "run").string();
  Process process(launched(2, training(out, 50)));
  ASSERT_TRUE(process.wait_for_error_text("epoch  1/50"));
  process.send_signal(SIGINT);
  const Outcome stopped = process.finish();
  ASSERT_EQ(stopped.exit_code, 130) << stopped.out << stopped.err;
  EXPECT_EQ(stopped.out, "");
  EXPECT_EQ(count_of(stopped.err, "Stopping after this step"), 1U);
  EXPECT_TRUE(says(stopped.err, "headstart train --resume " + out));
  Process resumed({"train", "--resume", out});
  ASSERT_TRUE(resumed.wait_for_error_text("goes on with 1"));
  resumed.send_signal(SIGTERM);
  EXPECT_EXIT_CODE(resumed.finish(), ErrorCategory::kInterrupted);
}

TEST(Launch, ASignalToAnyRankStopsAllOfThem) {
  const TempDir folder;
  Process process(launched(2, training(folder / "run", 50)));
  ASSERT_TRUE(process.wait_for_error_text("epoch  1/50"));
  kill(process_of(1, process.error_text()), SIGINT);
  EXPECT_EXIT_CODE(process.finish(), ErrorCategory::kInterrupted);
}

TEST(Launch, ARankThatIsKilledIsNamedAndEndsTheOthers) {
  const TempDir folder;
  Process process(launched(2, training(folder / "run", 500)));
  ASSERT_TRUE(process.wait_for_error_text("epoch   1/500"));
  kill(process_of(1, process.error_text()), SIGKILL);
  const Outcome outcome = process.finish();
  EXPECT_EXIT_CODE(outcome, ErrorCategory::kNetwork);
  EXPECT_TRUE(says(outcome.err, "rank 1 of 2 is gone"));    // rank 0
  EXPECT_TRUE(says(outcome.err, "was ended by signal 9"));  // the launcher
  EXPECT_TRUE(says(outcome.err, "--resume"));
}

TEST(Launch, RanksOfOtherOptionsAreRefusedByName) {
  const TempDir folder;
  const int port = free_port();
  Process first(training(folder / "run"), {.environment = rank_variables(0, 2, "127.0.0.1", port)});
  Process second(joined(training(folder / "run"), {"--lr", "0.5"}), {.environment = rank_variables(1, 2, "127.0.0.1", port)});
  const Outcome outcome = first.finish(), other = second.finish();
  EXPECT_EXIT_CODE(outcome, ErrorCategory::kUsage);
  EXPECT_TRUE(says(outcome.err, "rank 1 was started with other options than rank 0: lr (0.5, rank 0: "));
  EXPECT_EXIT_CODE(other, ErrorCategory::kUsage);
  EXPECT_EQ(other.err, "");
  EXPECT_FALSE(std::filesystem::exists(folder / "run"));
}

TEST(Launch, MistakesAreNamed) {
  const TempDir folder;
  const TakenPort taken;
  const std::string out = (folder / "run").string();
  const auto refused = [&](const Outcome& outcome, ErrorCategory category, const std::vector<std::string>& parts) {
    EXPECT_EXIT_CODE(outcome, category);
    for (const std::string& part : parts) EXPECT_TRUE(says(outcome.err, part));
  };
  refused(run({"launch", "train", "x"}), ErrorCategory::kUsage, {"--processes"});
  refused(run({"launch", "--processes", "0", "train", "x"}), ErrorCategory::kUsage, {"--processes", "0"});
  refused(run({"launch", "--processes", "2"}), ErrorCategory::kUsage, {"expected train", "nothing"});
  refused(run({"launch", "--processes", "2", "eval", "x"}), ErrorCategory::kUsage, {"expected train", "eval"});
  refused(run({"launch", "--processes", "2", "--port", "70000", "train"}), ErrorCategory::kUsage, {"--port", "70000"});
  const Outcome misspelt = run({"launch", "-v", "--processes", "2", "train", "x", "--epoch", "3"});
  refused(misspelt, ErrorCategory::kUsage, {"--epoch", "did you mean --epochs"});
  EXPECT_EQ(lines_of(misspelt.err).size(), 1U) << misspelt.err;  // before any process was started
  refused(run(joined({"launch", "--processes", "2", "--port", std::to_string(taken.port())}, training(out))), ErrorCategory::kNetwork,
          {"cannot listen", std::to_string(taken.port()), "--port"});
  refused(run(joined(training(out), {"--devices", "gpu"})), ErrorCategory::kUsage, {"devices", "gpu"});
  refused(run(joined(training(out), {"--devices", "cpu", "--device", "cpu"})), ErrorCategory::kUsage, {"--devices", "--device"});
  refused(run(joined(training(out), {"--devices", "0,4000"})), ErrorCategory::kDevice, {"cuda:"});
  refused(run(joined(training(out), {"--sync-batch-norm"})), ErrorCategory::kUsage, {"sync_batch_norm", "batch_norm train"});
  refused(run(training(out), {.environment = {{"RANK", "0"}, {"WORLD_SIZE", "2"}}}), ErrorCategory::kUsage, {"MASTER_ADDR"});
  refused(run(training(out), {.environment = {{"RANK", "0"}, {"WORLD_SIZE", "many"}}}), ErrorCategory::kUsage, {"WORLD_SIZE", "many"});
  refused(run(training(out), {.environment = {{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "2"}}}), ErrorCategory::kUsage, {"SLURM_NODELIST"});
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST(Launch, CommandsOfManyTrainingsAreNoRanks) {
  const TempDir folder;
  const std::filesystem::path out = folder / "out";
  const Variables variables = rank_variables(1, 2, "127.0.0.1", free_port());
  const std::string photos = training(out)[1];
  const std::vector<std::vector<std::string>> commands = {{"book", "--data", photos, "--out", out.string()},
                                                          {"sweep", photos, "--lr", "0.1,1", "--out", out.string()},
                                                          {"compare", photos, "--runs", "head,finetune", "--out", out.string()}};
  for (const std::vector<std::string>& command : commands) {
    SCOPED_TRACE(command.front());
    const Outcome outcome = run(command, {.environment = variables});
    EXPECT_EXIT_CODE(outcome, ErrorCategory::kUsage);
    EXPECT_TRUE(says(outcome.err, "rank 1 of 2"));
    EXPECT_TRUE(says(outcome.err, "start it alone"));
    EXPECT_FALSE(std::filesystem::exists(out));
  }
}

TEST(Launch, DevicesCpuIsOneProcess) {
  const TempDir folder;
  const Outcome outcome = run(joined(tiny_training(photos_folder(), folder / "run"),
                                     {"--epochs", "3", "--precision", "float32", "--devices", "cpu", "--recipe", "head"}));
  EXPECT_EXIT_CODE(outcome, 0);
  EXPECT_TRUE(says(outcome.err, "cpu, 1 thread"));
}

// Two network namespaces with a cable between them, as two machines.
class TwoMachines {
 public:
  TwoMachines() {
    made_ = shell(
        "ip netns add {0}a && ip netns add {0}b && ip link add {0}a type veth peer name {0}b && ip link set {0}a netns {0}a && "
        "ip link set {0}b netns {0}b && ip -n {0}a addr add 10.99.0.1/24 dev {0}a && ip -n {0}b addr add 10.99.0.2/24 dev {0}b && "
        "ip -n {0}a link set {0}a up && ip -n {0}b link set {0}b up && ip -n {0}a link set lo up && ip -n {0}b link set lo up");
  }
  ~TwoMachines() { shell("ip netns del {0}a; ip netns del {0}b"); }
  TwoMachines(const TwoMachines&) = delete;
  TwoMachines& operator=(const TwoMachines&) = delete;
  bool made() const { return made_; }
  std::vector<std::string> on(const char* which) const { return {"ip", "netns", "exec", name_ + which}; }

 private:
  bool shell(const char* commands) const {
    return std::system(("(" + fmt::format(fmt::runtime(commands), name_) + ") > /dev/null 2>&1").c_str()) == 0;
  }
  std::string name_ = fmt::format("hs{}", getpid() % 100'000);
  bool made_ = false;
};

TEST(Launch, RanksOnTwoMachinesFindEachOther) {
  const TwoMachines machines;
  if (!machines.made()) GTEST_SKIP() << "network namespaces cannot be made here (root and iproute2 are needed)";
  const TempDir folder;
  const auto on = [&](const char* machine, int rank) {
    return Streams{.environment = rank_variables(rank, 2, "10.99.0.1", 29500), .before = machines.on(machine)};
  };
  Process second(training(folder / "elsewhere"), on("b", 1));
  Process first(training(folder / "run"), on("a", 0));
  EXPECT_EXIT_CODE(first.finish(), 0);
  const Outcome other = second.finish();
  EXPECT_EXIT_CODE(other, 0);
  EXPECT_EQ(other.out + other.err, "");
  EXPECT_TRUE(std::filesystem::exists(folder / "run/model.safetensors"));
  EXPECT_FALSE(std::filesystem::exists(folder / "elsewhere"));
}

}  // namespace
}  // namespace headstart::test
