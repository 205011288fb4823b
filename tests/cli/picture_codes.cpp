#include "cli/picture_codes.h"

#include <array>
#include <map>
#include <stdexcept>
#include <string_view>

namespace headstart::test {
namespace {

void check(bool ok, const std::string& what) {
  if (!ok) throw std::runtime_error("picture codes: " + what);
}

// What is between `start` and ESC \ at the front of `text`, which moves on past it.
std::string_view take_sequence(std::string_view& text, std::string_view start) {
  check(text.substr(0, start.size()) == start, "a sequence starts otherwise");
  text.remove_prefix(start.size());
  const std::size_t end = text.find('\x1b');
  check(end != std::string_view::npos && text.substr(end, 2) == "\x1b\\", "a sequence does not end with ESC \\");
  const std::string_view body = text.substr(0, end);
  text.remove_prefix(end + 2);
  return body;
}

class SixelReader {
 public:
  SixelPicture read(std::string_view text) {
    text_ = take_sequence(text, "\x1bP");
    check(text.empty(), "something follows the Sixel sequence");
    numbers();
    check(take() == 'q', "no q after the parameters");
    while (at_ < text_.size()) command();
    picture_.complete = true;
    for (const bool is_set : set_) picture_.complete = picture_.complete && is_set;
    picture_.colours = colours_.size();
    return picture_;
  }

 private:
  char take() {
    check(at_ < text_.size(), "ends in the middle of a command");
    return text_[at_++];
  }
  std::vector<int> numbers() {
    std::vector<int> found = {0};
    while (at_ < text_.size() && ((text_[at_] >= '0' && text_[at_] <= '9') || text_[at_] == ';')) {
      if (const char c = take(); c == ';') {
        found.push_back(0);
      } else {
        found.back() = found.back() * 10 + (c - '0');
      }
    }
    return found;
  }
  void command() {
    const char c = take();
    if (c == '"') return raster(numbers());
    if (c == '#') return colour(numbers());
    if (c == '$') {
      x_ = 0;
    } else if (c == '-') {
      x_ = 0;
      y_ += 6;
    } else if (c == '!') {
      const std::vector<int> count = numbers();
      check(count.size() == 1 && count[0] > 0, "a repeat without a count");
      draw(take(), count[0]);
    } else {
      draw(c, 1);
    }
  }
  void raster(const std::vector<int>& n) {
    check(n.size() == 4 && n[0] == n[1], "pixels are not square");
    check(n[2] > 0 && n[3] > 0, "no size");
    picture_.image.size = {.height = n[3], .width = n[2]};
    picture_.image.rgb.resize(static_cast<std::size_t>(n[2]) * static_cast<std::size_t>(n[3]) * 3);
    set_.resize(static_cast<std::size_t>(n[2]) * static_cast<std::size_t>(n[3]));
  }
  void colour(const std::vector<int>& n) {
    check(n[0] >= 0 && n[0] < 256, "no such register");
    if (n.size() > 1) {
      check(n.size() == 5 && n[1] == 2, "a colour that is not RGB");
      for (std::size_t i = 2; i < 5; ++i) check(n[i] <= 100, "more than 100 percent");
      colours_[n[0]] = {n[2], n[3], n[4]};
    }
    check(colours_.count(n[0]) == 1, "a register without a colour");
    register_ = n[0];
  }
  void draw(char c, int count) {
    check(c >= '?' && c <= '~', "no sixel");
    const int pattern = c - '?';
    for (; count > 0; --count, ++x_) {
      for (int bit = 0; bit < 6; ++bit) {
        if ((pattern >> bit & 1) != 0) put(y_ + bit, x_);
      }
    }
  }
  void put(int y, int x) {
    check(y < picture_.image.size.height && x < picture_.image.size.width, "a pixel outside the picture");
    const std::size_t at = static_cast<std::size_t>(y) * static_cast<std::size_t>(picture_.image.size.width) + static_cast<std::size_t>(x);
    check(!set_[at], "a pixel is drawn twice");
    set_[at] = true;
    const auto& colour = colours_.at(register_);
    for (std::size_t c = 0; c < 3; ++c) picture_.image.rgb[at * 3 + c] = static_cast<std::uint8_t>((colour[c] * 255 + 50) / 100);
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int x_ = 0, y_ = 0;
  int register_ = 0;
  std::map<int, std::array<int, 3>> colours_;
  std::vector<bool> set_;
  SixelPicture picture_;
};

int base64_digit(char c) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const std::size_t at = kDigits.find(c);
  check(at != std::string_view::npos, "no base64");
  return static_cast<int>(at);
}

std::vector<std::byte> from_base64(std::string text) {
  check(text.size() % 4 == 0, "base64 is not a multiple of four");
  while (!text.empty() && text.back() == '=') text.pop_back();
  std::vector<std::byte> bytes;
  unsigned bits = 0, held = 0;
  for (const char c : text) {
    held = (held << 6U | static_cast<unsigned>(base64_digit(c))) & 0xFFFFFFU;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push_back(static_cast<std::byte>(held >> bits & 0xFFU));
  }
  return bytes;
}

}  // namespace

SixelPicture decode_sixel(const std::string& text) { return SixelReader().read(text); }

KittyPicture decode_kitty(const std::string& text) {
  KittyPicture picture;
  std::string base64;
  std::string_view rest = text;
  bool more = true;
  while (more) {
    const std::string_view body = take_sequence(rest, "\x1b_G");
    const std::size_t semicolon = body.find(';');
    check(semicolon != std::string_view::npos, "a chunk without a payload");
    std::string keys(body.substr(0, semicolon));
    check(keys.ends_with("m=0") || keys.ends_with("m=1"), "a chunk that does not say whether more follow");
    more = keys.back() == '1';
    const std::size_t size = body.size() - semicolon - 1;
    check(size % 4 == 0, "a chunk that is not a multiple of four");
    if (picture.chunk_sizes.empty()) picture.keys = keys;
    picture.chunk_sizes.push_back(size);
    base64 += body.substr(semicolon + 1);
  }
  check(rest.empty(), "something follows the last chunk");
  picture.payload = from_base64(base64);
  return picture;
}

}  // namespace headstart::test
