// The findings of `inspect` as JSON and as text.
//
// Thread-safety: pure functions.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "headstart/classifier.h"
#include "headstart/dataset.h"
#include "terminal.h"

namespace headstart::cli {

struct TextStyle {
  bool all = false;  // no list is cut
  Paint paint{false};
};

nlohmann::ordered_json audit_json(const Catalog& catalog, const AuditReport& report);
std::string audit_text(const Catalog& catalog, const AuditReport& report, const TextStyle& style);

nlohmann::ordered_json model_json(const ModelInfo& info);
std::string model_text(const std::filesystem::path& file, const ModelInfo& info, const TextStyle& style);

}  // namespace headstart::cli
