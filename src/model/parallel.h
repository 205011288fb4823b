// Work on LibTorch's threads. A file that includes this is listed in src/CMakeLists.txt, which gives it OpenMP.
#pragma once

#include <ATen/Parallel.h>

#include <cstddef>
#include <cstdint>

namespace headstart {

// work(i) for each i < count, in any order. What one of them throws ends the others and is thrown here.
template <typename Work>
void in_parallel(std::size_t count, const Work& work) {
  at::parallel_for(0, static_cast<std::int64_t>(count), /*grain_size=*/1, [&work](std::int64_t begin, std::int64_t end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) work(i);
  });
}

}  // namespace headstart
