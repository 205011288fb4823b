#include "cli/screen.h"

#include <algorithm>
#include <stdexcept>

namespace headstart::test {
namespace {

class Screen {
 public:
  explicit Screen(std::size_t columns) : columns_(columns) {}

  void write(const std::string& text) {
    for (std::size_t at = 0; at < text.size();) {
      if (text[at] == '\x1b') {
        at = escape(text, at + 2);
      } else if (text[at] == '\n') {
        if (++row_ == lines_.size()) lines_.emplace_back();
        ++at;
      } else if (text[at] == '\r') {
        column_ = 0;
        ++at;
      } else {
        std::size_t end = at + 1;
        while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) ++end;
        put(text.substr(at, end - at));
        at = end;
      }
    }
  }

  std::vector<std::string> lines() const {
    std::vector<std::string> all;
    for (const auto& line : lines_) {
      std::string text;
      for (const std::string& character : line) text += character;
      text.erase(text.find_last_not_of(' ') + 1);
      all.push_back(std::move(text));
    }
    return all;
  }

 private:
  using Line = std::vector<std::string>;

  void put(const std::string& character) {
    if (column_ >= columns_) throw std::runtime_error("a line is longer than the terminal is wide");
    Line& line = lines_[row_];
    if (line.size() <= column_) line.resize(column_ + 1, " ");
    line[column_++] = character;
  }

  // From behind the "[": its number and letter.
  std::size_t escape(const std::string& text, std::size_t at) {
    std::string number;
    while (at < text.size() && (std::isdigit(static_cast<unsigned char>(text[at])) != 0 || text[at] == ';')) number += text[at++];
    const char code = at < text.size() ? text[at] : '?';
    if (code == 'A') {
      row_ -= std::min(row_, static_cast<std::size_t>(std::stoul(number)));
    } else if (code == 'K' || code == 'J') {
      lines_[row_].resize(number == "2" ? 0 : std::min(column_, lines_[row_].size()));
      if (code == 'J') lines_.resize(row_ + 1);
    } else if (code != 'm') {
      throw std::runtime_error("a terminal code that the test does not know: " + number + code);
    }
    return at + 1;
  }

  std::size_t columns_;
  std::vector<Line> lines_ = {{}};
  std::size_t row_ = 0, column_ = 0;
};

}  // namespace

std::vector<std::string> screen_of(const std::string& written, std::size_t columns) {
  Screen screen(columns);
  screen.write(written);
  return screen.lines();
}

}  // namespace headstart::test
