#include "terminal_picture.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <utility>

#include "headstart/error.h"
#include "sixel.h"
#include "terminal.h"

namespace headstart::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kChunk = 4096;                 // of base64; the protocol's limit, a multiple of four
constexpr std::chrono::milliseconds kPatience{500};  // practically every terminal answers DA1 at once
constexpr std::size_t kLongestAnswer = 4096;         // typed-ahead input may come before the answer
constexpr int kPixelsPerColumn = 8;                  // few fonts are narrower
constexpr std::string_view kDeviceAttributes = "\x1b[c";

std::string_view variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

std::string base64(std::span<const std::byte> bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) group = group << 8U | (k < count ? std::to_integer<std::uint32_t>(bytes[i + k]) : 0U);
    for (std::size_t k = 0; k < 4; ++k) out += k <= count ? kDigits[group >> (18 - 6 * k) & 63U] : '=';
  }
  return out;
}

// Standard input without echo and line by line reading, while it lives. Ctrl-C still interrupts.
class RawInput {
 public:
  RawInput() {
    // A background process that changes its terminal would be stopped; a terminal that is not ours stops nobody.
    const pid_t foreground = tcgetpgrp(STDIN_FILENO);
    if ((foreground != -1 && foreground != getpgrp()) || tcgetattr(STDIN_FILENO, &before_) != 0) return;
    termios raw = before_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    active_ = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
  }
  ~RawInput() {
    if (active_) tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
  }
  RawInput(const RawInput&) = delete;
  RawInput& operator=(const RawInput&) = delete;
  bool active() const { return active_; }

 private:
  termios before_{};
  bool active_ = false;
};

// The parameters of the first DA1 answer in `text`: between "ESC [ ?" and "c".
std::optional<std::string_view> attributes_in(std::string_view text) {
  constexpr std::string_view kStart = "\x1b[?";
  for (std::size_t at = 0; (at = text.find(kStart, at)) != std::string_view::npos;) {
    at += kStart.size();
    const std::size_t end = text.find_first_not_of("0123456789;", at);
    if (end != std::string_view::npos && text[end] == 'c') return text.substr(at, end - at);
  }
  return std::nullopt;
}

// What the terminal answers to DA1, "" when it does not in time.
std::string ask_terminal() {
  const RawInput raw;
  if (!raw.active()) return {};
  if (write(STDOUT_FILENO, kDeviceAttributes.data(), kDeviceAttributes.size()) != static_cast<ssize_t>(kDeviceAttributes.size())) return {};
  std::string answer;
  const auto deadline = Clock::now() + kPatience;
  while (answer.size() < kLongestAnswer && !attributes_in(answer)) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    pollfd source{STDIN_FILENO, POLLIN, 0};
    if (left.count() <= 0 || poll(&source, 1, static_cast<int>(left.count())) <= 0) break;
    std::array<char, 256> buffer{};
    const ssize_t count = read(STDIN_FILENO, buffer.data(), buffer.size());
    if (count <= 0) break;
    answer.append(buffer.data(), static_cast<std::size_t>(count));
  }
  return answer;
}

std::string_view word_for(Drawing drawing) { return drawing == Drawing::kKitty ? "kitty" : "sixel"; }

}  // namespace

Drawing drawing_by_environment() {
  const std::string_view term = variable("TERM"), program = variable("TERM_PROGRAM");
  if (!variable("TMUX").empty() || term.starts_with("tmux") || term.starts_with("screen")) return Drawing::kAuto;
  if (!variable("KITTY_WINDOW_ID").empty() || term.find("kitty") != std::string_view::npos ||
      term.find("ghostty") != std::string_view::npos || program == "WezTerm" || program == "ghostty") {
    return Drawing::kKitty;
  }
  return term == "linux" ? Drawing::kNone : Drawing::kAuto;
}

bool answer_names_sixel(std::string_view answer) {
  const std::optional<std::string_view> attributes = attributes_in(answer);
  if (!attributes) return false;
  // The first number is the terminal's class, which can be 4 too.
  std::size_t at = attributes->find(';');
  while (at != std::string_view::npos) {
    const std::size_t end = attributes->find(';', at + 1);
    if (attributes->substr(at + 1, end - at - 1) == "4") return true;
    at = end;
  }
  return false;
}

Drawing choose_drawing(Drawing asked) {
  if (asked == Drawing::kNone) return asked;
  if (!is_terminal(STDOUT_FILENO)) {
    if (asked == Drawing::kAuto) return Drawing::kNone;
    throw Error(ErrorCategory::kUsage,
                fmt::format("--draw {}: standard output is no terminal that could draw; leave --draw away", word_for(asked)));
  }
  if (asked != Drawing::kAuto) return asked;
  const Drawing known = drawing_by_environment();
  if (known != Drawing::kAuto) return known;
  return is_terminal(STDIN_FILENO) && answer_names_sixel(ask_terminal()) ? Drawing::kSixel : Drawing::kNone;
}

Image shrink_to_width(Image image, int width) {
  if (image.size.width <= width) return image;
  const auto height = static_cast<int>((static_cast<std::int64_t>(image.size.height) * width + image.size.width / 2) / image.size.width);
  return resize(image, {.height = std::max(height, 1), .width = width}, Interpolation::kBilinear);
}

int terminal_pixel_width() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_xpixel > 0) return size.ws_xpixel;
  return terminal_columns(STDOUT_FILENO) * kPixelsPerColumn;
}

std::string kitty_text(std::span<const std::byte> png) {
  const std::string payload = base64(png);
  std::string out;
  for (std::size_t at = 0; at < payload.size(); at += kChunk) {
    // a=T: transmit and show, f=100: PNG, q=2: no answer, m=1: more chunks follow.
    const bool more = at + kChunk < payload.size();
    out +=
        fmt::format("\x1b_G{}m={};{}\x1b\\", at == 0 ? "a=T,f=100,q=2," : "", more ? 1 : 0, std::string_view(payload).substr(at, kChunk));
  }
  return out;
}

std::string picture_text(const Image& image, Drawing drawing) {
  if (drawing == Drawing::kKitty) return kitty_text(encode_png(image)) + "\n";
  if (drawing == Drawing::kSixel) return sixel_text(image) + "\n";
  return {};
}

}  // namespace headstart::cli
