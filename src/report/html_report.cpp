#include "report/html_report.h"

#include <fmt/format.h>

#include "headstart/text.h"
#include "report/html_text.h"
#include "report/report_parts.h"

namespace headstart {
namespace {

// What the model file says; where it cannot be read, what the result knows.
std::map<std::string, std::string> provenance_of(const TrainResult& result) {
  std::map<std::string, std::string> provenance = {{"data_fingerprint", result.data_fingerprint},
                                                   {"source_model", result.options.model},
                                                   {"source_sha256", result.options.model_sha256},
                                                   {"headstart_version", HEADSTART_VERSION},
                                                   {"libtorch_version", HEADSTART_LIBTORCH_VERSION}};
  if (result.model_file.empty()) return provenance;
  try {
    for (const auto& [name, value] : read_model_info(result.model_file).provenance) provenance[name] = value;
  } catch (const std::exception&) {  // the page is about the run, with or without the file beside it
  }
  return provenance;
}

std::string run_name(const TrainResult& result) {
  std::filesystem::path out = result.options.out.lexically_normal();
  if (out.filename().empty()) out = out.parent_path();
  return out.filename().empty() ? "Training run" : out.filename().string();
}

std::string page_header(const ReportContext& context) {
  const TrainResult& result = context.result;
  const std::string line =
      fmt::format("{} {} on {} from <span class=\"path\">{}</span>", html_name(result.options.architecture),
                  result.history.empty() && result.head_trials.empty()                 ? "without training"
                  : result.history.empty() || (result.best_epoch == 0 && result.start) ? "with a new output layer, fitted"
                  : result.options.scratch                                             ? "from scratch, trained"
                  : result.options.recipe == Recipe::kHead                             ? "with a new head, trained"
                                                                                       : "fine-tuned",
                  counted(static_cast<std::int64_t>(result.classes.size()), "class", "classes"), html_name(result.options.photos.string()));
  return fmt::format(
      "<header><div class=\"label\">headstart report</div><h1>{}</h1><p class=\"soft\">{}</p><nav aria-label=\"Sections\">"
      "{}{}<a href=\"#classes\">Classes</a><a href=\"#confusion\">Confusions</a><a href=\"#mistakes\">Mistakes</a>"
      "<a href=\"#photos\">Photos</a>{}<a href=\"#use\">Use it</a><a href=\"#options\">Options</a></nav></header>",
      html_name(run_name(result)), line, result.head_trials.empty() ? "" : "<a href=\"#head\">Output layer</a>",
      result.history.empty() ? "" : "<a href=\"#curves\">Training</a>", result.history.empty() ? "" : "<a href=\"#speed\">Speed</a>");
}

}  // namespace

// The policy lets a browser load nothing at all, whatever a name may have smuggled in.
std::string page_start(std::string_view title) {
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width,"
      "initial-scale=1\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none';img-src data:;style-src "
      "'unsafe-inline'\">\n<title>{} – headstart</title>\n<style>{}</style>\n</head>\n<body>\n",
      html_text(title), report_style());
}

std::string page_end() {
  return fmt::format("<footer>Written by headstart {} on {}.</footer>\n</body>\n</html>\n", HEADSTART_VERSION, utc_timestamp());
}

std::string section(std::string_view id, std::string_view title, std::string_view body) {
  return fmt::format("<section id=\"{}\"><h2>{}</h2>{}</section>\n", id, title, body);
}

std::string counted(std::int64_t count, std::string_view singular, std::string_view plural) {
  return fmt::format("{} {}", human_count(count), count == 1 ? singular : plural);
}

std::string class_name(const ReportContext& context, int label) {
  const auto index = static_cast<std::size_t>(label);
  return label >= 0 && index < context.result.classes.size() ? html_name(context.result.classes[index]) : std::to_string(label);
}

std::string html_report(const TrainResult& result, const std::filesystem::path& photos_root, const Catalog* catalog) {
  const bool tested = result.test && result.test->metrics.photos > 0;
  const ReportContext context{.result = result,
                              .photos_root = photos_root,
                              .catalog = catalog,
                              .held_out = tested ? *result.test : result.validation,
                              .held_out_name = tested ? "test" : to_string(result.options.score),
                              .provenance = provenance_of(result)};
  std::string page = page_start(run_name(result));
  page += page_header(context) + "<main>\n" + headline_section(context) + head_section(context) + curves_section(context) +
          classes_section(context);
  page += confusion_section(context) + mistakes_section(context) + photos_section(context) + speed_section(context);
  page += usage_section(context) + options_section(context);
  return page + "</main>\n" + page_end();
}

}  // namespace headstart
