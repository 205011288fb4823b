// What a test expects of an error: its category and parts of its message.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "headstart/error.h"

namespace headstart::test {

// The message of what `action` throws; fails the test when that is no headstart::Error of this category.
inline std::string error_of(const std::function<void()>& action, ErrorCategory category) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), category) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

inline void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' is not in: " << text;
}

}  // namespace headstart::test
