#include "http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <stdexcept>

namespace headstart::test {

std::string Request::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

std::size_t Request::range_start() const {
  const std::string range = header("range");
  return range.rfind("bytes=", 0) == 0 ? std::stoul(range.substr(6)) : 0;
}

void Reply::send(std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t put = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (put <= 0) return;  // the client hung up, which some tests want
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
}

void Reply::answer(const std::string& status, const std::string& headers, const std::string& body) const {
  send("HTTP/1.1 " + status + "\r\nConnection: close\r\n" + headers + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
}

void Reply::stall() const {
  char byte = 0;
  while (::recv(socket_, &byte, 1, 0) > 0) continue;
}

HttpServer::HttpServer(Handler handler) : handler_(std::move(handler)) {
  // No proxy may come between a test and its own server.
  ::setenv("NO_PROXY", "127.0.0.1", 1);
  ::setenv("no_proxy", "127.0.0.1", 1);
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (listener_ < 0 || ::bind(listener_, generic, length) != 0 || ::listen(listener_, 16) != 0 ||
      ::getsockname(listener_, generic, &length) != 0 || ::pipe(stop_pipe_) != 0) {
    throw std::runtime_error("cannot start a web server on 127.0.0.1");
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { serve(); });
}

HttpServer::~HttpServer() {
  ::close(stop_pipe_[1]);
  thread_.join();
  ::close(stop_pipe_[0]);
  ::close(listener_);
}

std::vector<Request> HttpServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

std::string HttpServer::url(const std::string& path) const { return "http://127.0.0.1:" + std::to_string(port_) + path; }

void HttpServer::serve() {
  while (true) {
    pollfd events[2] = {{listener_, POLLIN, 0}, {stop_pipe_[0], POLLIN, 0}};
    if (::poll(events, 2, -1) < 0) continue;
    if (events[1].revents != 0) return;
    const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) continue;
    serve_one(socket);
    ::close(socket);
  }
}

void HttpServer::serve_one(int socket) {
  std::string head;
  char block[4096];
  while (head.find("\r\n\r\n") == std::string::npos) {
    const ssize_t got = ::recv(socket, block, sizeof(block), 0);
    if (got <= 0) return;
    head.append(block, static_cast<std::size_t>(got));
  }
  Request request;
  const std::size_t first_space = head.find(' ');
  request.path = head.substr(first_space + 1, head.find(' ', first_space + 1) - first_space - 1);
  for (std::size_t line = head.find("\r\n") + 2; line < head.size();) {
    const std::size_t end = head.find("\r\n", line);
    const std::size_t colon = head.find(": ", line);
    if (end == line || end == std::string::npos || colon == std::string::npos || colon > end) break;
    std::string name = head.substr(line, colon - line);
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    request.headers[name] = head.substr(colon + 2, end - colon - 2);
    line = end + 2;
  }
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(request);
  }
  handler_(request, Reply(socket));
}

HttpServer::Handler serve_file(const std::string& contents, const std::string& etag) {
  return [contents, etag](const Request& request, const Reply& reply) {
    const std::size_t start = request.range_start();
    const std::string& condition = request.headers.count("if-range") != 0 ? request.headers.at("if-range") : etag;
    const std::string headers = "ETag: " + etag + "\r\n";
    const std::string size = std::to_string(contents.size());
    if (start == 0 || condition != etag) return reply.answer("200 OK", headers, contents);
    if (start >= contents.size()) return reply.answer("416 Range Not Satisfiable", headers + "Content-Range: bytes */" + size + "\r\n", "");
    reply.answer(
        "206 Partial Content",
        headers + "Content-Range: bytes " + std::to_string(start) + "-" + std::to_string(contents.size() - 1) + "/" + size + "\r\n",
        contents.substr(start));
  };
}

}  // namespace headstart::test
