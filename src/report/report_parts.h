// The sections of report.html, in the order of the page. Each gives its HTML, or "" when it has nothing to say.
//
// Thread-safety: pure but for mistakes_section(), which reads photos. Nothing here throws for what a photo or a name holds.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "headstart/text.h"
#include "headstart/train.h"

namespace headstart {

// What every section looks at.
struct ReportContext {
  const TrainResult& result;
  const std::filesystem::path& photos_root;
  const Catalog* catalog = nullptr;  // for the table of photos by class and split; may be absent
  const Evaluation& held_out;        // the test split when there is one, else validation
  std::string_view held_out_name;    // "test" or "validation"
  std::map<std::string, std::string> provenance;
};

std::string report_style();  // the style sheet, without <style>

std::string headline_section(const ReportContext& context);
std::string head_section(const ReportContext& context);
std::string curves_section(const ReportContext& context);
std::string classes_section(const ReportContext& context);
std::string confusion_section(const ReportContext& context);
std::string mistakes_section(const ReportContext& context);
std::string photos_section(const ReportContext& context);
std::string speed_section(const ReportContext& context);
std::string usage_section(const ReportContext& context);
std::string options_section(const ReportContext& context);

// Of any page: what stands before its <header>, and after its </main>.
std::string page_start(std::string_view title);
std::string page_end();

// Shared by the sections.
struct MeanSpeed {
  double photos_per_second = 0;
  double wait_share = 0;  // of the time, for the loader
};
MeanSpeed mean_speed(const std::vector<EpochRecord>& history);  // every epoch by its length
// The last epoch's, or of a run without epochs its fitted network's; zeros where there is neither.
EpochRecord last_record(const TrainResult& result);
std::string section(std::string_view id, std::string_view title, std::string_view body);
// "1 photo", "2 photos".
std::string counted(std::int64_t count, std::string_view singular, std::string_view plural);
// The name of a class, escaped; the number when there is none of that label.
std::string class_name(const ReportContext& context, int label);

}  // namespace headstart
