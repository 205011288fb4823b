#include "fetch/attempt.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <exception>
#include <memory>
#include <string_view>

#include "headstart/error.h"

namespace headstart {
namespace {

constexpr const char* kProtocols = "http,https,file";
constexpr const char* kRedirectProtocols = "http,https";  // a server must not be able to point at local files

[[noreturn]] void fail(const std::string& url, std::string_view reason) {
  throw Error(ErrorCategory::kNetwork, fmt::format("cannot download {}: {}", url, reason));
}

// What the headers of the current response say.
struct Response {
  std::string etag;
  std::string last_modified;
  std::uint64_t range_start = 0;
  bool has_range = false;
  std::uint64_t whole_size = 0;  // of "bytes */SIZE", which comes with status 416
};

std::string_view trim(std::string_view text) {
  const auto space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  return text;
}

class Attempt {
 public:
  Attempt(const std::string& url, PartFile& part, bool may_resume, const FetchOptions& options, const TransferLimits& limits)
      : url_(url), part_(part), options_(options), limits_(limits), offset_(may_resume ? part.size() : 0) {
    static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
    if (initialised == CURLE_OK) curl_.reset(curl_easy_init());
    if (curl_ == nullptr) throw Error(ErrorCategory::kInternal, "cannot start libcurl");
  }

  AttemptResult run() {
    configure();
    const CURLcode code = curl_easy_perform(curl_.get());
    if (thrown_) std::rethrow_exception(thrown_);
    if (stopped_)
      throw Error(ErrorCategory::kInterrupted,
                  fmt::format("stopped the download of {}; run it again and it goes on where it stopped", url_));
    if (code != CURLE_OK) return judge_code(code);
    return judge_status();
  }

 private:
  template <typename Value>
  void set(CURLoption option, Value value) {
    const CURLcode code = curl_easy_setopt(curl_.get(), option, value);
    if (code != CURLE_OK)
      throw Error(ErrorCategory::kInternal,
                  fmt::format("libcurl refuses option {}: {}", static_cast<int>(option), curl_easy_strerror(code)));
  }

  void configure() {
    set(CURLOPT_URL, url_.c_str());
    set(CURLOPT_ERRORBUFFER, message_.data());
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_NOPROGRESS, 0L);
    set(CURLOPT_USERAGENT, "headstart");
    set(CURLOPT_FOLLOWLOCATION, 1L);
    set(CURLOPT_MAXREDIRS, limits_.max_redirects);
#if LIBCURL_VERSION_NUM >= 0x075500
    set(CURLOPT_PROTOCOLS_STR, kProtocols);
    set(CURLOPT_REDIR_PROTOCOLS_STR, kRedirectProtocols);
#else
    set(CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS | CURLPROTO_FILE));
    set(CURLOPT_REDIR_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(limits_.connect_timeout.count()));
    set(CURLOPT_LOW_SPEED_LIMIT, limits_.stall_bytes_per_s);
    set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(limits_.stall_time.count()));
    set(CURLOPT_HEADERFUNCTION, &on_header);
    set(CURLOPT_HEADERDATA, static_cast<void*>(this));
    set(CURLOPT_WRITEFUNCTION, &on_body);
    set(CURLOPT_WRITEDATA, static_cast<void*>(this));
    set(CURLOPT_XFERINFOFUNCTION, &on_progress);
    set(CURLOPT_XFERINFODATA, static_cast<void*>(this));
    if (offset_ == 0) return;
    // A Range header of our own instead of CURLOPT_RESUME_FROM: that one fails where the server sends the whole file, here it is taken.
    add_header(fmt::format("Range: bytes={}-", offset_));
    if (!part_.source().validator.empty()) add_header(fmt::format("If-Range: {}", part_.source().validator));
    set(CURLOPT_HTTPHEADER, headers_.get());
  }

  void add_header(const std::string& header) {
    curl_slist* longer = curl_slist_append(headers_.get(), header.c_str());
    if (longer == nullptr) throw Error(ErrorCategory::kInternal, "libcurl is out of memory");
    static_cast<void>(headers_.release());
    headers_.reset(longer);
  }

  long status() const {
    long code = 0;  // stays 0 for file://
    curl_easy_getinfo(curl_.get(), CURLINFO_RESPONSE_CODE, &code);
    return code;
  }

  // Exceptions must not cross libcurl: they are kept and thrown by run().
  template <typename Action>
  bool guarded(const Action& action) {
    try {
      return action();
    } catch (...) {
      thrown_ = std::current_exception();
      return false;
    }
  }

  static std::size_t on_header(char* data, std::size_t size, std::size_t count, void* self) {
    auto& attempt = *static_cast<Attempt*>(self);
    const std::string_view line(data, size * count);
    return attempt.guarded([&] { return attempt.take_header(line); }) ? line.size() : 0;
  }

  static std::size_t on_body(char* data, std::size_t size, std::size_t count, void* self) {
    auto& attempt = *static_cast<Attempt*>(self);
    const std::span<const char> body(data, size * count);
    return attempt.guarded([&] { return attempt.take_body(std::as_bytes(body)); }) ? body.size() : 0;
  }

  static int on_progress(void* self, curl_off_t total, curl_off_t, curl_off_t, curl_off_t) {
    auto& attempt = *static_cast<Attempt*>(self);
    return attempt.guarded([&] { return attempt.report(total); }) ? 0 : 1;
  }

  bool take_header(std::string_view line) {
    if (line.substr(0, 5) == "HTTP/") response_ = {};  // each redirect brings headers of its own
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return true;
    std::string name(line.substr(0, colon));
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const std::string_view value = trim(line.substr(colon + 1));
    if (name == "etag") response_.etag = value;
    if (name == "last-modified") response_.last_modified = value;
    if (name == "content-range" && value.substr(0, 6) == "bytes ") {
      const std::string_view range = value.substr(6);
      const char* end = range.data() + range.size();
      response_.has_range = std::from_chars(range.data(), end, response_.range_start).ec == std::errc();
      if (range.substr(0, 2) == "*/") std::from_chars(range.data() + 2, end, response_.whole_size);
    }
    return true;
  }

  // At the first byte of the body: does it go on with the part file, or begin a new one?
  bool begin_body() {
    const long code = status();
    const bool continues = code == 206 && offset_ > 0 && response_.has_range && response_.range_start == offset_;
    if (code == 206 && !continues) {
      mismatched_range_ = true;
      return false;
    }
    check_size(continues ? offset_ : 0);
    if (!continues) {
      // A weak ETag ("W/…") may not stand in If-Range.
      const bool strong = !response_.etag.empty() && response_.etag.front() == '"';
      part_.restart({url_, strong ? response_.etag : response_.last_modified});
      offset_ = 0;
    }
    return true;
  }

  void check_size(std::uint64_t offset) const {
    curl_off_t announced = -1;
    curl_easy_getinfo(curl_.get(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced);
    if (announced < 0 || limits_.expected_bytes == 0) return;
    if (offset + static_cast<std::uint64_t>(announced) != limits_.expected_bytes) {
      fail(url_, fmt::format("the server offers {} bytes, expected {}: another file lies there",
                             offset + static_cast<std::uint64_t>(announced), limits_.expected_bytes));
    }
  }

  bool take_body(std::span<const std::byte> body) {
    const long code = status();
    if (code >= 300) return true;  // an error's page is not kept
    if (!begun_ && !begin_body()) return false;
    begun_ = true;
    if (limits_.expected_bytes > 0 && part_.size() + body.size() > limits_.expected_bytes) {
      fail(url_, fmt::format("the server sends more than the {} bytes expected: another file lies there", limits_.expected_bytes));
    }
    part_.append(body);
    return true;
  }

  bool report(curl_off_t total) {
    if (options_.should_stop && options_.should_stop()) {
      stopped_ = true;
      return false;
    }
    if (options_.on_progress && begun_) {
      options_.on_progress(static_cast<std::int64_t>(part_.size()), total > 0 ? static_cast<std::int64_t>(offset_) + total : 0);
    }
    return true;
  }

  AttemptResult judge_code(CURLcode code) {
    if (mismatched_range_) {
      part_.restart({});
      return {false, "the server sent another part of the file than was asked for"};
    }
    const std::string reason = message_[0] != '\0' ? message_.data() : curl_easy_strerror(code);
    switch (code) {
      case CURLE_COULDNT_CONNECT:
      case CURLE_OPERATION_TIMEDOUT:
      case CURLE_PARTIAL_FILE:
      case CURLE_GOT_NOTHING:
      case CURLE_RECV_ERROR:
      case CURLE_SEND_ERROR:
      case CURLE_HTTP2:
      case CURLE_HTTP2_STREAM:
        return {false, reason};
      default:
        fail(url_, reason);
    }
  }

  AttemptResult judge_status() {
    const long code = status();
    if (code == 416 && offset_ > 0) {  // nothing lies past the part file: it is whole already, or was never of this file
      if (response_.whole_size == part_.size()) return {true, {}};
      part_.restart({});
      return {false, "the server has no such part of the file"};
    }
    if (code == 408 || code == 429 || code >= 500) return {false, fmt::format("the server answers with status {}", code)};
    if (code >= 300) fail(url_, fmt::format("the server answers with status {}", code));
    if (!begun_) part_.restart({url_, {}});  // a successful answer without a body: an empty file
    if (part_.size() < limits_.expected_bytes) {
      return {false, fmt::format("the connection ended after {} of {} bytes", part_.size(), limits_.expected_bytes)};
    }
    return {true, {}};
  }

  struct CurlCleanup {
    void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
  };
  struct HeadersCleanup {
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  };

  const std::string& url_;
  PartFile& part_;
  const FetchOptions& options_;
  const TransferLimits& limits_;
  std::uint64_t offset_;  // bytes of the part file that the answer goes on after
  std::unique_ptr<curl_slist, HeadersCleanup> headers_;
  std::unique_ptr<CURL, CurlCleanup> curl_;
  std::array<char, CURL_ERROR_SIZE> message_{};
  Response response_;
  bool begun_ = false;
  bool stopped_ = false;
  bool mismatched_range_ = false;
  std::exception_ptr thrown_;
};

}  // namespace

AttemptResult attempt_transfer(const std::string& url, PartFile& part, bool may_resume, const FetchOptions& options,
                               const TransferLimits& limits) {
  return Attempt(url, part, may_resume, options, limits).run();
}

}  // namespace headstart
