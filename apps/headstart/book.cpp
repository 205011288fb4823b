// headstart book: the fine-tuning chapter of Dive into Deep Learning from its photos to its figures.
#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "cli.h"
#include "fetch.h"
#include "headstart/compare.h"
#include "headstart/train.h"
#include "options.h"
#include "output.h"
#include "run_training.h"
#include "text.h"

namespace headstart::cli {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  headstart book\n"
    "  headstart book --track gluon --seeds 3\n"
    "  headstart book --data my-hotdogs --weights resnet18-f37072fd.pth\n"
    "\n"
    "Without --data, the chapter's photos are fetched into data/hotdog. Fine-tunes the pretrained network, trains the same network from\n"
    "scratch, and sets the two side by side. The runs land in OUT, one folder each; the same command goes on where it was interrupted.\n"
    "docs/book.md walks through the chapter.";

enum class Track { kPytorch, kGluon };
constexpr Choice<Track> kTracks[] = {{"pytorch", Track::kPytorch}, {"gluon", Track::kGluon}};

struct BookRequest {
  Track track = Track::kPytorch;
  std::filesystem::path data, out;
  std::string weights;
  int seeds = 1;
  TrainOptions options;  // what is the same for every run
};

std::filesystem::path out_folder(const BookRequest& request) {
  return request.out.empty() ? std::filesystem::path("runs") / fmt::format("book-{}", word_of(kTracks, request.track)) : request.out;
}

TrainOptions options_of(const BookRequest& request, bool scratch, int seed) {
  TrainOptions options = request.options;
  options.photos = request.data;
  options.recipe = request.track == Track::kPytorch ? Recipe::kBookPytorch : Recipe::kBookGluon;
  options.scratch = scratch;
  options.model = request.weights;  // read once: what fine-tuning starts from tells from-scratch its architecture
  options.seed = request.options.seed + static_cast<std::uint64_t>(seed);
  options.out = out_folder(request) / fmt::format("{}-seed{}", scratch ? "scratch" : "finetuned", options.seed);
  return options;
}

// The chapter's own photos, fetched unless they are there.
std::filesystem::path chapter_photos(Context& context) {
  const SourceArchive& hotdog = source_archives().front();
  const std::filesystem::path folder = std::filesystem::path("data") / hotdog.name;
  if (std::filesystem::exists(folder) && !std::filesystem::is_empty(folder)) return folder;
  try {
    return fetch_photos(hotdog, {.to = folder}, context).folder;
  } catch (const Error& error) {
    if (error.category() != ErrorCategory::kNetwork) throw;
    throw Error(ErrorCategory::kNetwork,
                fmt::format("{}\nOr name a folder with train/ and test/ of class folders:  headstart book --data PHOTOS", error.what()));
  }
}

void run_book(BookRequest request, Context& context) {
  if (request.data.empty()) request.data = chapter_photos(context);
  Comparison comparison{
      .title = fmt::format("Fine-tuning, the {} track", request.track == Track::kPytorch ? "PyTorch" : "Gluon"),
      .introduction = fmt::format("The same network from pretrained weights and from scratch, on {}.", request.data.string()),
      .runs = {{.name = "fine-tuned", .seeds = {}}, {.name = "from scratch", .seeds = {}}}};
  Output output;
  for (int seed = 0; seed < request.seeds; ++seed) {
    for (ComparedRuns& runs : comparison.runs) {
      const bool scratch = &runs == &comparison.runs.back();
      const TrainOptions options = options_of(request, scratch, seed);
      context.console.say(context.console.paint().bold(fmt::format("{}, seed {}", runs.name, options.seed)));
      runs.seeds.push_back(carry_out(options, context));
      output.write(book_lines(runs.seeds.back()));
    }
  }
  output.write("\n" + comparison_to_text(comparison));
  const std::filesystem::path report = out_folder(request) / "book.html";
  write_file(report, comparison_to_html(comparison));
  output.write(fmt::format("\nreport  {}\n", printable(report.string())));
  output.finish();
}

}  // namespace

void add_book(CLI::App& app, Context& context) {
  CLI::App* const command =
      add_command(app, context, "book", "The book's fine-tuning chapter, whole: fine-tuned beside from scratch", kExamples);
  const auto request = std::make_shared<BookRequest>();
  request->options.shared = std::make_shared<SharedInputs>();
  command
      ->add_option("--data", request->data,
                   "Folder with train/ and test/ of class folders (default: data/hotdog, fetched unless it is there)")
      ->type_name("PHOTOS");
  add_choice(*command, "--track", request->track, kTracks, "The chapter's PyTorch or Gluon form (default: pytorch)");
  command->add_option("--weights", request->weights, "Pretrained weights: a file or a source model (default: resnet18, or resnet18_v2)")
      ->type_name("FILE|NAME");
  add_count(*command, "--seeds", request->seeds, 1, "How often, with seeds one after the other (default: 1)");
  add_seed(*command, request->options.seed, "The first seed (default: 0)");
  command->add_option("--out", request->out, "Folder of the runs and the report (default: runs/book-<track>)")->type_name("FOLDER");
  add_count(*command, "--epochs", request->options.epochs, 1, "Passes over the training photos (default: 5)")->group("Training");
  add_count(*command, "--batch-size", request->options.batch_size, 1, "Photos a step (default: 128)")->group("Training");
  add_choice(*command, "--precision", request->options.precision, kPrecisions, "Number format (default: float32, as the chapter)")
      ->group("Machine");
  add_device_option(*command, request->options.device, "Where to compute (default: auto)");
  add_count(*command, "--threads", request->options.threads, 0, "Threads (default: 0, all cores)")->group("Machine");
  command->callback(
      [request, &context] { context.action = [request, &context] { with_going_on(context, [&] { run_book(*request, context); }); }; });
}

}  // namespace headstart::cli
