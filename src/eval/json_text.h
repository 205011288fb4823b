// JSON for people and programs: indented objects, arrays of plain values on one line (a confusion matrix has one line a row).
//
// Thread-safety: pure. Invalid UTF-8 becomes U+FFFD; NaN and infinities, which JSON has not, become null.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace headstart {

std::string pretty_json(const nlohmann::ordered_json& value);

}  // namespace headstart
