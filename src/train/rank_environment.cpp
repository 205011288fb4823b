// A process's place in its group, from the variables that launchers set.
#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <string_view>

#include "headstart/distributed.h"
#include "model/network.h"

namespace headstart {
namespace {

constexpr int kMostRanks = 65'536;

std::optional<std::string> variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr || *value == '\0' ? std::nullopt : std::optional<std::string>(value);
}

std::optional<int> whole(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional<int>(value) : std::nullopt;
}

int number(const char* name, const std::string& text, int low, int high) {
  const std::optional<int> value = whole(text);
  if (value && *value >= low && *value <= high) return *value;
  throw Error(ErrorCategory::kUsage, fmt::format("{}: expected a whole number from {} to {}, found '{}'", name, low, high, text));
}

int number_or(const char* name, int fallback, int low, int high) {
  const std::optional<std::string> text = variable(name);
  return text ? number(name, *text, low, high) : fallback;
}

std::string needed(const char* name, const char* because) {
  if (std::optional<std::string> value = variable(name)) return *std::move(value);
  throw Error(ErrorCategory::kUsage, fmt::format("{} is set but {} is not: a process of a group needs RANK, WORLD_SIZE, MASTER_ADDR and "
                                                 "MASTER_PORT. Start it with headstart launch, or unset {} to train alone",
                                                 because, name, because));
}

Distributed from_standard_variables() {
  Distributed group;
  group.world_size = number("WORLD_SIZE", needed("WORLD_SIZE", "RANK"), 1, kMostRanks);
  group.rank = number("RANK", needed("RANK", "WORLD_SIZE"), 0, group.world_size - 1);
  group.local_world_size = number_or("LOCAL_WORLD_SIZE", 1, 1, group.world_size);
  group.local_rank = number_or("LOCAL_RANK", 0, 0, kMostRanks);
  group.master_address = needed("MASTER_ADDR", "RANK");
  group.master_port = number("MASTER_PORT", needed("MASTER_PORT", "RANK"), 1, 65'535);
  return group;
}

// The first of "node[03-07,9],other": "node03".
std::string first_node(const std::string& list) {
  const std::size_t bracket = list.find('['), comma = list.find(',');
  if (bracket == std::string::npos || comma < bracket) return list.substr(0, comma);
  const std::size_t end = list.find_first_of("-,]", bracket);
  if (end == std::string::npos) throw Error(ErrorCategory::kUsage, fmt::format("SLURM_NODELIST: '{}' is no list of nodes", list));
  return list.substr(0, bracket) + list.substr(bracket + 1, end - bracket - 1);
}

std::string slurm_address() {
  if (const auto address = variable("MASTER_ADDR")) return *address;
  for (const char* const name : {"SLURM_STEP_NODELIST", "SLURM_NODELIST", "SLURM_JOB_NODELIST"}) {
    if (const auto nodes = variable(name)) return first_node(*nodes);
  }
  if (const auto address = variable("SLURM_LAUNCH_NODE_IPADDR")) return *address;
  throw Error(ErrorCategory::kUsage,
              "SLURM_PROCID is set, but none of SLURM_NODELIST, SLURM_LAUNCH_NODE_IPADDR and MASTER_ADDR says where "
              "rank 0 is: set MASTER_ADDR, or unset SLURM_PROCID to train alone");
}

Distributed from_slurm() {
  // Two jobs that share a machine get different ports.
  constexpr int kFirstPort = 29500, kPorts = 1000;
  Distributed group;
  const std::optional<std::string> tasks = variable("SLURM_STEP_NUM_TASKS");
  group.world_size = tasks ? number("SLURM_STEP_NUM_TASKS", *tasks, 1, kMostRanks) : number_or("SLURM_NTASKS", 1, 1, kMostRanks);
  group.rank = number_or("SLURM_PROCID", 0, 0, group.world_size - 1);
  group.local_rank = number_or("SLURM_LOCALID", 0, 0, kMostRanks);
  // With --cpus-per-task Slurm has divided the cores itself.
  if (!variable("SLURM_CPUS_PER_TASK")) group.local_world_size = number_or("SLURM_NTASKS_PER_NODE", 1, 1, kMostRanks);
  if (group.world_size == 1) return group;
  group.master_address = slurm_address();
  group.master_port = number_or("MASTER_PORT", kFirstPort + number_or("SLURM_JOB_ID", 0, 0, 1 << 30) % kPorts, 1, 65'535);
  return group;
}

}  // namespace

std::optional<Distributed> distributed_from_environment() {
  Distributed group;
  if (variable("RANK") || variable("WORLD_SIZE")) {
    group = from_standard_variables();
  } else if (variable("SLURM_PROCID")) {
    group = from_slurm();
  }
  return group.world_size > 1 ? std::optional<Distributed>(group) : std::nullopt;
}

std::vector<std::string> resolve_devices(const std::string& list) {
  if (list == "cpu") return {"cpu"};
  std::vector<std::string> devices;
  if (list == "all") {
    const int cuda = at::globalContext().hasCUDA() ? static_cast<int>(at::getNumGPUs()) : 0;
    for (int index = 0; index < cuda; ++index) devices.push_back(fmt::format("cuda:{}", index));
    return devices.empty() ? std::vector<std::string>{"cpu"} : devices;
  }
  std::vector<int> indices;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t comma = std::min(list.find(',', begin), list.size());
    const std::optional<int> index = whole(std::string_view(list).substr(begin, comma - begin));
    if (!index || *index < 0) {
      throw Error(ErrorCategory::kUsage, fmt::format("devices: expected all, cpu or numbers such as 0,1, found '{}'", list));
    }
    indices.push_back(*index);
    begin = comma + 1;
  }
  for (const int index : indices) devices.push_back(resolve_device(fmt::format("cuda:{}", index)).str());
  return devices;
}

}  // namespace headstart
