// A process's place in its group, from the variables of launchers.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>

#include "headstart/distributed.h"
#include "tiny_run.h"

namespace headstart {
namespace {

using test::message_of;

// The variables of a launcher, and no others, for the time of a test.
class Variables {
 public:
  explicit Variables(const std::map<std::string, std::string>& values) {
    clear();
    for (const auto& [name, value] : values) setenv(name.c_str(), value.c_str(), 1);
  }
  ~Variables() { clear(); }
  Variables(const Variables&) = delete;
  Variables& operator=(const Variables&) = delete;

 private:
  static void clear() {
    for (const char* const name :
         {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "SLURM_PROCID", "SLURM_NTASKS",
          "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_NTASKS_PER_NODE", "SLURM_CPUS_PER_TASK", "SLURM_STEP_NODELIST", "SLURM_NODELIST",
          "SLURM_JOB_NODELIST", "SLURM_LAUNCH_NODE_IPADDR", "SLURM_JOB_ID"}) {
      unsetenv(name);
    }
  }
};

TEST(RankEnvironment, ReadsTheVariablesOfPyTorchsLaunchers) {
  EXPECT_FALSE((Variables({}), distributed_from_environment()));
  const Variables variables({{"RANK", "5"},
                             {"WORLD_SIZE", "8"},
                             {"LOCAL_RANK", "1"},
                             {"LOCAL_WORLD_SIZE", "4"},
                             {"MASTER_ADDR", "node1"},
                             {"MASTER_PORT", "1234"}});
  const Distributed place = distributed_from_environment().value();
  EXPECT_EQ(place.rank, 5);
  EXPECT_EQ(place.world_size, 8);
  EXPECT_EQ(place.local_rank, 1);
  EXPECT_EQ(place.local_world_size, 4);
  EXPECT_EQ(place.master_address, "node1");
  EXPECT_EQ(place.master_port, 1234);
}

TEST(RankEnvironment, AGroupOfOneIsNone) {
  const Variables variables({{"RANK", "0"}, {"WORLD_SIZE", "1"}, {"MASTER_ADDR", "localhost"}, {"MASTER_PORT", "1234"}});
  EXPECT_FALSE(distributed_from_environment());
}

TEST(RankEnvironment, NamesWhatIsMissingOrCannotBeMeant) {
  const std::map<std::string, std::string> good = {
      {"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "localhost"}, {"MASTER_PORT", "1234"}};
  for (const auto& [name, value] : good) {
    std::map<std::string, std::string> values = good;
    values.erase(name);
    const Variables variables(values);
    const std::string message = message_of(ErrorCategory::kUsage, [] { distributed_from_environment(); });
    EXPECT_NE(message.find(name + " is not"), std::string::npos) << message;
  }
  for (const auto& [name, value] : {std::pair("WORLD_SIZE", "two"),
                                    {"WORLD_SIZE", "0"},
                                    {"WORLD_SIZE", "-2"},
                                    {"RANK", "2"},
                                    {"RANK", "1x"},
                                    {"LOCAL_RANK", "-1"},
                                    {"LOCAL_WORLD_SIZE", "3"},
                                    {"MASTER_PORT", "65536"},
                                    {"MASTER_PORT", "0"}}) {
    std::map<std::string, std::string> values = good;
    values[name] = value;
    const Variables variables(values);
    const std::string message = message_of(ErrorCategory::kUsage, [] { distributed_from_environment(); });
    EXPECT_NE(message.find(name), std::string::npos) << message;
    EXPECT_NE(message.find(std::string("'") + value + "'"), std::string::npos) << message;
  }
}

TEST(RankEnvironment, ReadsSlurms) {
  const std::map<std::string, std::string> step = {
      {"SLURM_PROCID", "3"}, {"SLURM_NTASKS", "4"}, {"SLURM_LOCALID", "1"}, {"SLURM_NTASKS_PER_NODE", "2"}, {"SLURM_JOB_ID", "4001"}};
  const auto with = [&step](std::map<std::string, std::string> more) {
    more.insert(step.begin(), step.end());
    const Variables variables(more);
    return distributed_from_environment().value();
  };
  const Distributed place = with({{"SLURM_NODELIST", "node[07-09,12],other"}});
  EXPECT_EQ(place.rank, 3);
  EXPECT_EQ(place.world_size, 4);
  EXPECT_EQ(place.local_rank, 1);
  EXPECT_EQ(place.local_world_size, 2);
  EXPECT_EQ(place.master_address, "node07");
  EXPECT_EQ(place.master_port, 29501);
  EXPECT_EQ(with({{"SLURM_NODELIST", "a1,b[2-3]"}}).master_address, "a1");
  EXPECT_EQ(with({{"SLURM_LAUNCH_NODE_IPADDR", "10.0.0.1"}}).master_address, "10.0.0.1");
  EXPECT_EQ(with({{"SLURM_NODELIST", "a1"}, {"MASTER_ADDR", "b"}, {"MASTER_PORT", "7"}}).master_address, "b");
  EXPECT_EQ(with({{"SLURM_NODELIST", "a1"}, {"SLURM_CPUS_PER_TASK", "6"}}).local_world_size, 1);
  const Variables variables(step);
  EXPECT_NE(message_of(ErrorCategory::kUsage, [] { distributed_from_environment(); }).find("SLURM_NODELIST"), std::string::npos);
}

TEST(RankEnvironment, DeviceLists) {
  EXPECT_EQ(resolve_devices("cpu"), std::vector<std::string>{"cpu"});
  EXPECT_FALSE(resolve_devices("all").empty());
  for (const char* const bad : {"", "0,", "gpu", "0,cpu", "-1", "0 1"}) {
    EXPECT_NE(message_of(ErrorCategory::kUsage, [&] { resolve_devices(bad); }).find("0,1"), std::string::npos) << bad;
  }
  message_of(ErrorCategory::kDevice, [] { resolve_devices("4000"); });
}

}  // namespace
}  // namespace headstart
