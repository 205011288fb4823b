// Sockets and addresses of a group's meeting point.
//
// Thread-safety: free functions. Errors: kNetwork naming host, port and what to do.
#pragma once

#include <optional>
#include <string>

#include "headstart/distributed.h"
#include "train/transport.h"

namespace headstart {

// A listening socket at the port: on loopback alone where the address is loopback's, else on all interfaces. The caller owns it.
int listen_at(const std::string& address, int port);

// Returns when something listens at the group's meeting point; tries for join_seconds.
void wait_for_listener(const Distributed& group, const Poll& poll);

// This machine's numeric address on the way to the meeting point.
std::string own_address(const Distributed& group);

// GLOO_SOCKET_IFNAME: a person's own choice of the network interface.
std::optional<std::string> named_interface();

}  // namespace headstart
