#!/usr/bin/env bash
# Sets everything up, then runs every test: formatting, lint, the threaded layers under ThreadSanitizer, everything under AddressSanitizer and
# UndefinedBehaviorSanitizer, and last the suite itself, whose summary ends the output.
#
#   ./test.sh            everything
#   ./test.sh --quick    the suite alone (preset dev)
#
# Tests that need ../shared, Pillow or a source model say that they were skipped where it is absent.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source tools/say.sh

quick=0
case ${1:-} in
  '') ;;
  --quick) quick=1 ;;
  *) fail "test.sh: unknown option $1 (known: --quick)" ;;
esac

if [[ -n ${HEADSTART_CACHE:-} ]]; then export CCACHE_DIR=$HEADSTART_CACHE/ccache; fi
export CCACHE_SLOPPINESS=pch_defines,time_macros  # what ccache asks for to cache the users of a precompiled header

stage() {
  local name=$1 start=$SECONDS
  shift
  say "$name"
  "$@"
  say "$name: done in $((SECONDS - start)) s"
}

# build PRESET: configures and builds; compilers' output is shown, progress lines are not.
build() { cmake --preset "$1" > /dev/null && cmake --build --preset "$1" -- --quiet; }

run_tests() { ctest --test-dir "build/$1" --output-on-failure --parallel 2 --timeout 900 "${@:2}"; }

thread_sanitizer() { build tsan && run_tests tsan; }

address_sanitizer() {
  build asan
  # LibTorch and OpenMP keep memory to the end of the process that nobody frees; what we allocate through them is checked all the same.
  LSAN_OPTIONS=suppressions=$PWD/tools/lsan.supp:print_suppressions=0 run_tests asan
}

# The default source model, fetched as a person would; without a network the tests that read it are skipped.
source_model() { build/dev/apps/headstart/headstart fetch efficientnet_lite0 --quiet || say "no source model: the tests that read it are skipped"; }

tools/setup.sh --tests
if [[ -x .deps/python/bin/python && -z ${HEADSTART_PYTHON:-} ]]; then export HEADSTART_PYTHON=$PWD/.deps/python/bin/python; fi
if ((!quick)); then
  stage "formatting" tools/check_format.sh
  stage "tests under ThreadSanitizer" thread_sanitizer
  stage "tests under AddressSanitizer and UndefinedBehaviorSanitizer" address_sanitizer
fi
stage "build" build dev
source_model
if ((!quick)); then
  stage "lint" tools/check_lint.sh build/dev
fi
say "the suite"
run_tests dev
