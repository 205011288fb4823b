#!/usr/bin/env bash
# clang-tidy over the sources of a build folder (default build/dev), two files at a time. The options are GCC's, of which
# clang does not know all. The checks and why some are off: .clang-tidy.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${1:-build/dev}
find src apps examples -name '*.cpp' -print0 | xargs -0 -P 2 -n 4 clang-tidy -p "$build" --quiet --warnings-as-errors='*' --extra-arg=-Wno-unknown-warning-option 2> /dev/null
