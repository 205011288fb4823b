# Sourced by the project's scripts: one way to say what is done and why it stopped.
say() {
  if [[ -t 1 && -z ${NO_COLOR:-} ]]; then printf '\033[1m==> %s\033[0m\n' "$*"; else printf '==> %s\n' "$*"; fi
}
fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}
