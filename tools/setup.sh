#!/usr/bin/env bash
# Installs what headstart needs to be built, and nothing that is there already. Asks no question; safe to interrupt and run again.
#
#   tools/setup.sh            system packages, LibTorch for the CPU
#   tools/setup.sh --cuda     the same with LibTorch's CUDA libraries (for -DHEADSTART_CUDA=ON, preset "cuda")
#   tools/setup.sh --tests    also what the tests need (GoogleTest, clang tools, Pillow)
#   tools/setup.sh --demo     also the demo's photos
#
# LibTorch goes into .deps/ of the checkout. HEADSTART_CACHE names a folder in which downloads are kept for the next checkout.
# Your own LibTorch: set CMAKE_PREFIX_PATH to its folder, then nothing of it is downloaded.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tools/say.sh

cuda=0 tests=0 demo=0
for argument in "$@"; do
  case $argument in
    --cuda) cuda=1 ;;
    --tests) tests=1 ;;
    --demo) demo=1 ;;
    *) fail "tools/setup.sh: unknown option $argument (known: --cuda, --tests, --demo)" ;;
  esac
done

packages=(g++ cmake ninja-build pkg-config git ca-certificates python3 python3-pip
  libjpeg-dev libpng-dev libwebp-dev libtiff-dev libcli11-dev libfmt-dev libspdlog-dev nlohmann-json3-dev libhwy-dev
  libarchive-dev libcurl4-openssl-dev libssl-dev libxxhash-dev)
((tests)) && packages+=(libgtest-dev ccache clang clang-format clang-tidy python3-venv)
((demo)) && packages+=(tuxpaint-stamps-default)

install_packages() {
  command -v apt-get > /dev/null || fail "this system has no apt-get: install the libraries of README.md's list by hand, then run cmake --preset release"
  local missing=() package
  for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2> /dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  if ((${#missing[@]} == 0)); then
    say "system packages: all there"
    return
  fi
  say "installing ${#missing[@]} system packages: ${missing[*]}"
  local sudo=()
  if ((EUID != 0)); then
    command -v sudo > /dev/null || fail "installing packages needs root: run this as root, or install sudo"
    sudo=(sudo)
  fi
  # Photos of the demo weigh 160 MB and are worth having without the game that recommends them.
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  # clang's sanitizer libraries: a package of their own on Debian 12, part of clang's on Ubuntu 22.04.
  if ((tests)) && apt-cache show libclang-rt-dev > /dev/null 2>&1; then missing+=(libclang-rt-dev); fi
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
}

# fetch_wheels REQUIREMENTS FOLDER: pinned and hash-checked by pip; files that are there are not fetched again.
fetch_wheels() {
  local platforms=() minor
  for minor in 5 12 14 17 18 24 25 26 27 28; do platforms+=(--platform "manylinux_2_${minor}_x86_64"); done
  python3 -m pip download --disable-pip-version-check --no-cache-dir --no-deps --require-hashes --only-binary=:all: --progress-bar off -q \
    --python-version 3.11 --implementation cp --abi cp311 --abi none "${platforms[@]}" --platform manylinux2014_x86_64 \
    --dest "$2" -r "$1"
}

# install_libtorch NAME: unpacks the wheels of tools/requirements/NAME.txt into .deps/NAME, whole or not at all.
install_libtorch() {
  local requirements=tools/requirements/$1.txt target=.deps/$1 stamp
  stamp=$target/.from-$(sha256sum "$requirements" | cut -c1-16)
  if [[ -e $stamp ]]; then
    say "LibTorch: there ($target)"
    return
  fi
  [[ $(uname -m) == x86_64 ]] || fail "LibTorch's wheels are pinned for x86_64, this machine is $(uname -m): unpack a LibTorch of your own and set CMAKE_PREFIX_PATH to it"
  local wheels=.deps/wheels
  if [[ -n ${HEADSTART_CACHE:-} ]]; then wheels=$HEADSTART_CACHE/wheels; fi
  mkdir -p "$wheels" .deps
  say "fetching LibTorch ($1)"
  fetch_wheels "$requirements" "$wheels"
  say "unpacking LibTorch"
  rm -rf "$target" "$target.partial"
  python3 tools/unpack_wheels.py "$requirements" "$wheels" "$target.partial"
  touch "$target.partial/$(basename "$stamp")"
  mv "$target.partial" "$target"
  if [[ -z ${HEADSTART_CACHE:-} ]]; then rm -rf .deps/wheels; fi
}

# Pillow for the tests that compare pixels with it, in an environment of the project's own. A Python without a pinned wheel skips them.
install_pillow() {
  [[ -x .deps/python/bin/python ]] && .deps/python/bin/python -c 'import PIL, numpy' 2> /dev/null && return
  say "installing Pillow and numpy for the pixel tests"
  rm -rf .deps/python
  python3 -m venv .deps/python
  .deps/python/bin/python -m pip install --disable-pip-version-check -q --require-hashes --only-binary=:all: -r tools/requirements/pillow.txt \
    || say "no pinned Pillow for this Python: the tests that compare with it live will be skipped"
}

install_packages
if [[ -n ${CMAKE_PREFIX_PATH:-} ]]; then
  say "LibTorch: your own, from CMAKE_PREFIX_PATH ($CMAKE_PREFIX_PATH)"
elif ((cuda)); then
  install_libtorch libtorch-cuda
else
  install_libtorch libtorch
fi
if ((tests)); then install_pillow; fi
