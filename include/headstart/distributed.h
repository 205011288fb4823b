// Several processes that train together, one a device: each takes its share of every batch, and all take the same step.
//
// Start the same training in every process, with the same options and its own Distributed; `headstart launch` does that on one machine. The
// processes meet at rank 0, which alone writes the run folder. docs/distributed.md says what is equal to a training in one process.
// Thread-safety: plain data and functions of the environment and the machine.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "headstart/error.h"

namespace headstart {

// One process's place in the group.
struct Distributed {
  int rank = 0;              // 0 to world_size - 1
  int world_size = 1;        // processes in all
  int local_rank = 0;        // among the processes of this machine: which of its devices is this process's
  int local_world_size = 1;  // processes that share this machine's cores
  std::string master_address = "127.0.0.1";
  int master_port = 29500;      // where rank 0 listens at master_address
  double join_seconds = 300;    // how long the ranks wait for each other at the start
  double silence_seconds = 30;  // a rank that has not been heard of for so long is taken for dead, and ends the others
};

// From RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT and, where they are, LOCAL_RANK and LOCAL_WORLD_SIZE (the variables of PyTorch's
// launchers); without RANK from Slurm's SLURM_PROCID, SLURM_NTASKS, SLURM_LOCALID and SLURM_NODELIST, else SLURM_LAUNCH_NODE_IPADDR.
// Nothing when neither names a group of more than one. Throws Error(kUsage) naming the variable that is missing or cannot be meant.
std::optional<Distributed> distributed_from_environment();

// What a --devices list names: "all" (every CUDA device, or the CPU where there is none), "cpu", or CUDA devices "0,2" → "cuda:0",
// "cuda:2". Throws Error(kUsage) for what is no list, Error(kDevice) naming a device that is not there.
std::vector<std::string> resolve_devices(const std::string& list);

// Thrown on a rank other than 0 for a failure of which rank 0 was told and which it reports too: a program with one voice says nothing
// more.
class ReportedError : public Error {
 public:
  using Error::Error;
};

}  // namespace headstart
