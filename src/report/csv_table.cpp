#include "report/csv_table.h"

#include <fmt/format.h>

#include "headstart/error.h"

namespace headstart {
namespace {

[[noreturn]] void refuse(std::size_t row, std::string_view reason) {
  throw Error(ErrorCategory::kModel, fmt::format("CSV row {}: {}", row + 1, reason));
}

// A cursor over the text; each call takes one field and leaves `at` behind it.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}
  bool at_end() const { return at_ == text_.size(); }

  std::string field(std::size_t row) { return at_ < text_.size() && text_[at_] == '"' ? quoted(row) : plain(row); }

  // Behind a field: true when another one follows on the row.
  bool comma() {
    if (at_end() || text_[at_] != ',') return false;
    ++at_;
    return true;
  }

  void end_of_row(std::size_t row) {
    if (at_end()) return;
    if (text_[at_] == '\r') ++at_;
    if (at_end() || text_[at_] != '\n') refuse(row, "expected a comma or the end of the line behind a field");
    ++at_;
  }

 private:
  std::string plain(std::size_t row) {
    const std::size_t end = std::min(text_.find_first_of(",\r\n\"", at_), text_.size());
    if (end < text_.size() && text_[end] == '"') refuse(row, "a quote inside an unquoted field");
    const std::string_view field = text_.substr(at_, end - at_);
    at_ = end;
    return std::string(field);
  }

  std::string quoted(std::size_t row) {
    std::string field;
    for (++at_; true; ++at_) {
      const std::size_t quote = text_.find('"', at_);
      if (quote == std::string_view::npos) refuse(row, "a quoted field does not end");
      field += text_.substr(at_, quote - at_);
      at_ = quote + 1;
      if (at_end() || text_[at_] != '"') return field;
      field += '"';
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

std::vector<std::vector<std::string>> parse_csv(std::string_view text) {
  std::vector<std::vector<std::string>> rows;
  Reader reader(text);
  while (!reader.at_end()) {
    std::vector<std::string> row;
    do row.push_back(reader.field(rows.size()));
    while (reader.comma());
    reader.end_of_row(rows.size());
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace headstart
