#!/usr/bin/env bash
# Installs what the scripts of bench/ compare with: a Python environment with the pinned peers, oneDNN and jemalloc.
#
#   bench/install.sh FOLDER        then: FOLDER/bin/python bench/training.py ...
#
# Where the system has no apt-get, or this user may not install packages, the limit (convolutions_bench) and PyTorch's runs under jemalloc are
# left out by the scripts. pip's own settings (PIP_FIND_LINKS, PIP_INDEX_URL) hold.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../tools/say.sh"
[[ $# == 1 ]] || fail "bench/install.sh: name the folder of the Python environment"

packages=(libdnnl-dev libjemalloc2 python3-venv g++)  # g++ for torch.compile
sudo=()
if ((EUID != 0)); then sudo=(sudo); fi
if command -v apt-get > /dev/null && { ((EUID == 0)) || command -v sudo > /dev/null; }; then
  say "installing ${packages[*]}"
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" > /dev/null
else
  say "no apt-get, or no right to use it: oneDNN's development files and jemalloc are yours to install"
fi
say "installing the peers of bench/requirements.txt into $1"
[[ -x $1/bin/python ]] || python3 -m venv "$1"
"$1/bin/python" -m pip install --disable-pip-version-check --progress-bar off -q -r "$here/requirements.txt"
say "done: $1/bin/python"
