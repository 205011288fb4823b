#include "train/address.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>

#include "headstart/error.h"

namespace headstart {
namespace {

using AddressList = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

class Socket {
 public:
  Socket(const addrinfo& address, int type) : descriptor_(socket(address.ai_family, type | SOCK_CLOEXEC, 0)) {}
  ~Socket() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int get() const { return descriptor_; }
  int release() { return std::exchange(descriptor_, -1); }

 private:
  int descriptor_;
};

// `host` empty: the addresses that stand for all interfaces.
AddressList resolve(const std::string& host, int port) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | (host.empty() ? AI_PASSIVE : 0);
  addrinfo* found = nullptr;
  const int failed = getaddrinfo(host.empty() ? nullptr : host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (failed != 0) {
    throw Error(ErrorCategory::kNetwork,
                fmt::format("MASTER_ADDR {}: no address is known for this name: {}; name rank 0's machine by its IP address", host,
                            gai_strerror(failed)));
  }
  return {found, &freeaddrinfo};
}

bool is_loopback(const addrinfo& address) {
  if (address.ai_family == AF_INET) {
    return (ntohl(reinterpret_cast<const sockaddr_in*>(address.ai_addr)->sin_addr.s_addr) >> 24) == 127;
  }
  return address.ai_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6*>(address.ai_addr)->sin6_addr);
}

// "localhost" and numeric addresses; a machine's own name may lead to 127.0.1.1 and yet be meant for others.
bool means_loopback(const std::string& host) {
  return host == "localhost" || ((host.starts_with("127.") || host == "::1") && is_loopback(*resolve(host, 0)));
}

}  // namespace

int listen_at(const std::string& address, int port) {
  constexpr int kBacklog = 1024;
  const AddressList all = resolve(means_loopback(address) ? address : "", port);
  int problem = 0;
  for (const addrinfo* one = all.get(); one != nullptr; one = one->ai_next) {
    Socket socket(*one, SOCK_STREAM);
    const int yes = 1, no = 0;
    setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (one->ai_family == AF_INET6) setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
    if (bind(socket.get(), one->ai_addr, one->ai_addrlen) == 0 && listen(socket.get(), kBacklog) == 0) return socket.release();
    problem = errno;
  }
  throw Error(ErrorCategory::kNetwork, fmt::format("rank 0 cannot listen at {}:{}: {}; choose another port (MASTER_PORT, or launch --port)",
                                                   address, port, std::generic_category().message(problem)));
}

void wait_for_listener(const Distributed& group, const Poll& poll) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(group.join_seconds);
  int problem = 0;
  do {
    const AddressList all = resolve(group.master_address, group.master_port);
    for (const addrinfo* one = all.get(); one != nullptr; one = one->ai_next) {
      const Socket socket(*one, SOCK_STREAM);
      if (connect(socket.get(), one->ai_addr, one->ai_addrlen) == 0) return;
      problem = errno;
    }
    poll();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  } while (std::chrono::steady_clock::now() < deadline);
  throw Error(
      ErrorCategory::kNetwork,
      fmt::format("rank {} waited {:.0f} s for rank 0 at {}:{}: {}; start rank 0 there, or correct MASTER_ADDR "
                  "and MASTER_PORT",
                  group.rank, group.join_seconds, group.master_address, group.master_port, std::generic_category().message(problem)));
}

// A datagram socket that is connected sends nothing, yet knows its own end.
std::string own_address(const Distributed& group) {
  const AddressList all = resolve(group.master_address, group.master_port);
  for (const addrinfo* one = all.get(); one != nullptr; one = one->ai_next) {
    const Socket socket(*one, SOCK_DGRAM);
    sockaddr_storage own = {};
    socklen_t length = sizeof own;
    std::array<char, NI_MAXHOST> text = {};
    if (connect(socket.get(), one->ai_addr, one->ai_addrlen) == 0 &&
        getsockname(socket.get(), reinterpret_cast<sockaddr*>(&own), &length) == 0 &&
        getnameinfo(reinterpret_cast<sockaddr*>(&own), length, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) == 0) {
      return text.data();
    }
  }
  throw Error(ErrorCategory::kNetwork, fmt::format("rank {}: no way leads to {}; set GLOO_SOCKET_IFNAME to the network interface to use",
                                                   group.rank, group.master_address));
}

std::optional<std::string> named_interface() {
  const char* const name = std::getenv("GLOO_SOCKET_IFNAME");
  return name == nullptr ? std::nullopt : std::optional<std::string>(name);
}

}  // namespace headstart
