// Python packages through the person's own pip, so that their index, proxy and certificates apply.
//
// Thread-safety: may be called from any number of threads. Errors: Error(kNetwork) with what pip said last, Error(kFile),
// Error(kInterrupted).
#pragma once

#include <filesystem>
#include <functional>
#include <string>

namespace headstart {

// Runs `python3 -m pip download` for "name==version" in a child process, without a shell; pip verifies the hash, too. Returns the wheel,
// which lies in `folder` (must exist).
std::filesystem::path download_package(const std::string& package, const std::string& sha256, const std::filesystem::path& folder,
                                       const std::function<bool()>& should_stop);

}  // namespace headstart
