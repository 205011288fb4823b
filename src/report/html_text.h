// Pieces of HTML. File and class names are hostile input: everything that comes from outside goes through html_text() or html_name().
//
// Thread-safety: pure functions.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace headstart {

// Escaped for element content and for quoted attribute values; invalid UTF-8 and characters that HTML forbids become U+FFFD.
std::string html_text(std::string_view text);

// The same within <bdi>, so that a right-to-left name cannot turn its neighbours round.
std::string html_name(std::string_view text);

std::string base64(std::span<const std::byte> bytes);

// "93.1%"; "–" for NaN.
std::string html_percent(double share, int decimals = 1);
// "0.2134", "12.35"; "–" for NaN and infinities.
std::string html_number(double value);

}  // namespace headstart
