#!/usr/bin/env bash
# clang-tidy over the sources of a build folder (default build/dev), two files at a time. The options are GCC's, of which
# clang does not know all. The checks and why some are off: .clang-tidy.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${1:-build/dev}
# OpenMP (model/parallel.h) is GCC's here, whose header clang may not have: clang reads the loops without it.
# The analyzer looks at 20,000 states of a function, not at 225,000: a third of the time.
options=(-Wno-unknown-warning-option -fno-openmp -Xclang -analyzer-config -Xclang max-nodes=20000)
find src apps examples -name '*.cpp' -print0 |
  xargs -0 -P 2 -n 4 clang-tidy -p "$build" --quiet --warnings-as-errors='*' "${options[@]/#/--extra-arg=}" 2> /dev/null
