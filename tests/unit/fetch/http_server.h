// A web server for one test: answers each request on 127.0.0.1 with whatever the test's handler writes, well-formed or not.
//
// Thread-safety: the handler runs on the server's thread, one request at a time; each connection serves one request.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace headstart::test {

struct Request {
  std::string path;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string header(const std::string& name) const;
  // First byte of "Range: bytes=N-"; 0 without one.
  std::size_t range_start() const;
};

class Reply {
 public:
  explicit Reply(int socket) : socket_(socket) {}
  void send(std::string_view bytes) const;
  // A whole answer: status line ("200 OK"), more headers ("Name: value\r\n"), Content-Length and the body.
  void answer(const std::string& status, const std::string& headers, const std::string& body) const;
  // Waits until the client hangs up.
  void stall() const;

 private:
  int socket_;
};

class HttpServer {
 public:
  using Handler = std::function<void(const Request&, const Reply&)>;
  explicit HttpServer(Handler handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::string url(const std::string& path) const;
  // All requests so far, from any thread.
  std::vector<Request> requests() const;

 private:
  void serve();
  void serve_one(int socket);

  Handler handler_;
  int listener_ = -1;
  int stop_pipe_[2] = {-1, -1};
  int port_ = 0;
  mutable std::mutex mutex_;
  std::vector<Request> requests_;  // guarded by mutex_
  std::thread thread_;
};

// A handler for one file that understands ranges, with a strong ETag.
HttpServer::Handler serve_file(const std::string& contents, const std::string& etag = "\"v1\"");

}  // namespace headstart::test
