// Text for people and for machines: counts, sizes and durations, CSV fields, names that are nearly known, valid UTF-8.
//
// Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace headstart {

// "a, b and 3 more": at most `most` items are named.
std::string join_some(std::span<const std::string> items, std::size_t most = 5);

// The nearest of `known` by edit distance (adjacent swaps count once) when it is near enough to be a typing error, else the first that
// starts with `name`, else "".
std::string nearest_name(std::string_view name, std::span<const std::string> known);

// "1,234,567".
std::string human_count(std::int64_t count);
// "1.2 MB": powers of 1000.
std::string human_bytes(std::int64_t bytes);
// "3.2 s", "42 s", "3m 05s", "2h 04m"; "?" of what is no duration.
std::string human_seconds(double seconds);
// Seconds of "90", "90s", "2m", "1.5h", "1h30m"; nullopt for anything else.
std::optional<double> parse_duration(std::string_view text);
// "93.1%".
std::string human_percent(double share, int decimals = 1);

// RFC 4180 field: quoted when it needs to be. Bytes are kept as they are.
std::string csv_field(std::string_view text);

// The text with every invalid UTF-8 sequence replaced by U+FFFD: file names may hold any bytes, JSON and HTML may not.
std::string valid_utf8(std::string_view text);

// "2026-01-31T12:00:00Z" of now.
std::string utc_timestamp();

}  // namespace headstart
