#include "eval/json_text.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace headstart {
namespace {

using nlohmann::ordered_json;

bool is_flat(const ordered_json& array) {
  return std::none_of(array.begin(), array.end(), [](const ordered_json& item) { return item.is_structured(); });
}

std::string plain(const ordered_json& value) { return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace); }

void append_flat(const ordered_json& array, std::string& out) {
  out += '[';
  for (std::size_t i = 0; i < array.size(); ++i) {
    if (i > 0) out += ", ";
    out += plain(array[i]);
  }
  out += ']';
}

void append(const ordered_json& value, std::size_t depth, std::string& out) {
  if (!value.is_structured() || value.empty()) {
    out += plain(value);
    return;
  }
  if (value.is_array() && is_flat(value)) return append_flat(value, out);
  const std::string indent(2 * (depth + 1), ' ');
  out += value.is_object() ? "{\n" : "[\n";
  std::size_t left = value.size();
  for (const auto& item : value.items()) {
    out += indent;
    if (value.is_object()) out += plain(item.key()) + ": ";
    append(item.value(), depth + 1, out);
    out += --left > 0 ? ",\n" : "\n";
  }
  out += std::string(2 * depth, ' ') + (value.is_object() ? '}' : ']');
}

}  // namespace

std::string pretty_json(const ordered_json& value) {
  std::string out;
  append(value, 0, out);
  return out;
}

}  // namespace headstart
