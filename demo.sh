#!/usr/bin/env bash
# From nothing to a trained classifier: installs what is missing, builds headstart, and trains it to tell animals, food and plants apart.
# Asks no question; interrupt it at any time and run it again. A second run goes straight to training.
#
# HEADSTART_CACHE names a folder for downloads that other checkouts can use too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source tools/say.sh

photos=demo-photos
headstart=build/release/apps/headstart/headstart

build() {
  say "building headstart (the first time takes a few minutes)"
  cmake --preset release > build.log 2>&1 || { cat build.log >&2; fail "CMake could not configure the build; what it said is above"; }
  rm -f build.log
  if [[ -t 1 ]]; then cmake --build --preset release; else cmake --build --preset release -- --quiet; fi
}

# Debian's cut-out photographs, sorted into class folders: every fifth goes to test/, which training never sees.
gather_photos() {
  [[ -d $photos ]] && return
  say "gathering the demo's photos: animals, food, plants (from Debian's tuxpaint-stamps-default, GPL-2)"
  local class file number
  rm -rf "$photos.partial"
  for class in animals food plants; do
    mkdir -p "$photos.partial/train/$class" "$photos.partial/test/$class"
    number=0
    while IFS= read -r file; do
      local split=train
      if ((number % 5 == 4)); then split=test; fi
      cp "$file" "$photos.partial/$split/$class/$(basename "$file")"
      number=$((number + 1))
    done < <(find "/usr/share/tuxpaint/stamps/$class" -name '*.png' -not -path '*cartoon*' | LC_ALL=C sort)
  done
  mv "$photos.partial" "$photos"
}

train() {
  local unfinished
  mkdir -p runs
  unfinished=$(find runs -mindepth 2 -maxdepth 2 -path "runs/$photos-*/checkpoint.safetensors" | LC_ALL=C sort | tail -n 1)
  if [[ -n $unfinished && ! -e $(dirname "$unfinished")/report.html ]]; then
    run=$(dirname "$unfinished")
    say "going on with the run that was interrupted: $run"
    "$headstart" train --resume "$run"
    return
  fi
  local number=1
  while [[ -e runs/$photos-$number ]]; do number=$((number + 1)); done
  run=runs/$photos-$number
  say "fine-tuning EfficientNet-Lite0 on them"
  "$headstart" train "$photos" --out "$run"
}

tools/setup.sh --demo
build
say "fetching the source model (17 MB, once)"
"$headstart" fetch efficientnet_lite0
gather_photos
train

say "naming some photos that training never saw"
"$headstart" predict "$run/model.safetensors" "$photos"/test/*/a*.png "$photos"/test/*/p*.png

say "done. The report: $run/report.html"
say "Your own photos, one folder a class:"
printf '\n    %s train /path/to/your/photos\n\n' "$headstart"
