// Fetching an archive of photos as a person sees it: what is done, how far it is, and whether it was verified.
//
// Thread-safety: one thread. Errors: those of fetch_archive().
#pragma once

#include "cli.h"
#include "headstart/archive.h"

namespace headstart::cli {

FetchedArchive fetch_photos(const SourceArchive& archive, ArchiveOptions options, Context& context);

}  // namespace headstart::cli
