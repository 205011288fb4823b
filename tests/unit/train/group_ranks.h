// A group within the test program: each rank is a thread, the meeting point a free port on loopback.
#pragma once

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <exception>
#include <functional>
#include <stdexcept>
#include <thread>
#include <vector>

#include "headstart/distributed.h"
#include "train/distributed.h"

namespace headstart::test {

inline int free_loopback_port() {
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  const bool found = bind(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
                     getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &length) == 0;
  close(descriptor);
  if (!found) throw std::runtime_error("no free port");
  return ntohs(address.sin_port);
}

inline Distributed place(int rank, int ranks, int port) {
  Distributed place;
  place.rank = place.local_rank = rank;
  place.world_size = place.local_world_size = ranks;
  place.master_port = port;
  place.join_seconds = 20;
  place.silence_seconds = 5;  // of a busy machine under AddressSanitizer
  return place;
}

// Carries out `work` as every rank of a group; what they threw, by rank.
inline std::vector<std::exception_ptr> in_ranks(int ranks, const std::function<void(const Group&)>& work) {
  const int port = free_loopback_port();
  std::vector<std::exception_ptr> thrown(static_cast<std::size_t>(ranks));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        const Group group(place(rank, ranks, port), {});
        work(group);
        group.finish({});
      } catch (...) {
        thrown[static_cast<std::size_t>(rank)] = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return thrown;
}

}  // namespace headstart::test
