// Memory for the engine's large tensors on the CPU, kept between steps and in huge pages.
//
// A training step takes and frees gigabytes of activations. The C library returns large blocks to the system, which hands them out again a
// zeroed page of 4 KiB at a time; here freed blocks stay, in pages of 2 MiB where the system has them (Linux, transparent huge pages set to
// "madvise" or "always"), which spares the page faults and most of the processor's address translation. What it costs: memory stays at a
// little above its peak until release_unused_memory(). docs/performance.md has the figures.
// Thread-safety: any thread.
#pragma once

#include <cstddef>

namespace headstart {

// From here on tensors of 1 MiB and more come from such blocks, in the whole process; smaller ones as before. More calls do nothing. Does
// nothing where the system is not Linux.
void keep_large_tensors();

// Gives blocks that no tensor uses back to the system.
void release_unused_memory();

struct KeptMemory {
  std::size_t in_use = 0;  // bytes of blocks that tensors use
  std::size_t unused = 0;  // bytes that wait for one
};
KeptMemory kept_memory();

}  // namespace headstart
