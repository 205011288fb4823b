// Values of run.json that plain JSON cannot hold, and reads that name the field which is wrong.
//
// Numbers: NaN is null, infinities are "inf" and "-inf". Texts: a text that is no UTF-8 (a file name may be anything) is the object
// {"text": readable form, "bytes_hex": its bytes}.
// Thread-safety: pure functions. Errors: Error(kModel) naming the field, what was expected and what was found.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace headstart {

using Json = nlohmann::ordered_json;

// Throws Error(kModel): "field 'options.lr': reason".
[[noreturn]] void refuse_field(std::string_view field, std::string_view reason);

// The whole text as an object; `what` names it in the error.
Json parse_json_object(const std::string& text, std::string_view what);
// A member that must be there; `where` is the path of `object` ("" at the root).
const Json& json_member(const Json& object, std::string_view where, const char* name);

Json number_to_json(double value);
double number_from_json(const Json& value, std::string_view field);
std::int64_t whole_from_json(const Json& value, std::string_view field, std::int64_t low, std::int64_t high);
bool truth_from_json(const Json& value, std::string_view field);

Json text_to_json(std::string_view text);
std::string text_from_json(const Json& value, std::string_view field);

}  // namespace headstart
