// One file over HTTP (or file://) with libcurl: resumed, redirected, retried and verified.
//
// Thread-safety: functions on different targets may run at the same time; on one target they wait for each other, across processes.
// Errors: Error(kNetwork), Error(kFile), Error(kInterrupted).
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>

#include "fetch/expected_digest.h"
#include "headstart/archive.h"
#include "headstart/models.h"

namespace headstart {

// The patience of a transfer; tests shorten it.
struct TransferLimits {
  std::chrono::seconds connect_timeout{30};
  std::chrono::seconds stall_time{60};  // slower than stall_bytes_per_s for so long ends the attempt
  long stall_bytes_per_s = 1;
  long max_redirects = 10;
  int attempts = 4;                             // the first and three more; an attempt that brought bytes is not counted
  std::chrono::milliseconds first_pause{1000};  // before the second attempt; doubled each time
  std::uint64_t expected_bytes = 0;             // refuse another announced size; 0: any
};

// Whether the text is an address rather than a path.
bool is_url(const std::string& text);

void transfer(const std::string& url, const std::filesystem::path& target, const ExpectedDigest& digest, const FetchOptions& options,
              const TransferLimits& limits = {});

// fetch_model and fetch_archive with the patience of a test.
std::filesystem::path fetch_model(const SourceModel& model, const FetchOptions& options, const TransferLimits& limits);
FetchedArchive fetch_archive(const SourceArchive& archive, const ArchiveOptions& options, const TransferLimits& limits);

}  // namespace headstart
