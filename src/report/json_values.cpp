#include "report/json_values.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "headstart/error.h"
#include "headstart/text.h"

namespace headstart {
namespace {

std::string to_hex(std::string_view bytes) {
  std::string hex;
  for (const char c : bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return hex;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

std::string from_hex(const std::string& hex, std::string_view field) {
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const int high = hex_digit(hex[i]);
    const int low = i + 1 < hex.size() ? hex_digit(hex[i + 1]) : -1;
    if (high < 0 || low < 0) refuse_field(field, "bytes_hex is no even number of hex digits");
    bytes += static_cast<char>(high * 16 + low);
  }
  return bytes;
}

}  // namespace

void refuse_field(std::string_view field, std::string_view reason) {
  throw Error(ErrorCategory::kModel, fmt::format("field '{}': {}", field, reason));
}

Json parse_json_object(const std::string& text, std::string_view what) {
  Json value = Json::parse(text, nullptr, false);
  if (value.is_discarded() || !value.is_object()) {
    throw Error(ErrorCategory::kModel, fmt::format("{}: expected a JSON object, found {}", what,
                                                   value.is_discarded() ? "damaged JSON" : fmt::format("a JSON {}", value.type_name())));
  }
  return value;
}

const Json& json_member(const Json& object, std::string_view where, const char* name) {
  const std::string field = where.empty() ? name : fmt::format("{}.{}", where, name);
  if (!object.is_object()) refuse_field(where, fmt::format("expected an object, found {}", object.type_name()));
  const auto found = object.find(name);
  if (found == object.end()) refuse_field(field, "missing");
  return *found;
}

Json number_to_json(double value) {
  if (std::isnan(value)) return nullptr;
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

double number_from_json(const Json& value, std::string_view field) {
  if (value.is_null()) return std::numeric_limits<double>::quiet_NaN();
  if (value == "inf") return std::numeric_limits<double>::infinity();
  if (value == "-inf") return -std::numeric_limits<double>::infinity();
  if (!value.is_number()) refuse_field(field, fmt::format("expected a number, found {}", value.type_name()));
  return value.get<double>();
}

std::int64_t whole_from_json(const Json& value, std::string_view field, std::int64_t low, std::int64_t high) {
  const bool fits = value.is_number_integer() &&
                    (!value.is_number_unsigned() || value.get<std::uint64_t>() <= static_cast<std::uint64_t>(high)) &&
                    value.get<std::int64_t>() >= low && value.get<std::int64_t>() <= high;
  if (!fits) {
    refuse_field(field, fmt::format("expected a whole number from {} to {}, found {}", low, high,
                                    value.is_number() ? value.dump() : std::string(value.type_name())));
  }
  return value.get<std::int64_t>();
}

bool truth_from_json(const Json& value, std::string_view field) {
  if (!value.is_boolean()) refuse_field(field, fmt::format("expected true or false, found {}", value.type_name()));
  return value.get<bool>();
}

Json text_to_json(std::string_view text) {
  std::string readable = valid_utf8(text);
  if (readable == text) return readable;
  return {{"text", std::move(readable)}, {"bytes_hex", to_hex(text)}};
}

std::string text_from_json(const Json& value, std::string_view field) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_object()) refuse_field(field, fmt::format("expected a text, found {}", value.type_name()));
  const Json& hex = json_member(value, field, "bytes_hex");
  if (!hex.is_string()) refuse_field(field, "bytes_hex is no text");
  return from_hex(hex.get<std::string>(), field);
}

}  // namespace headstart
