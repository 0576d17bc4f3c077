# Shared by the scripts of this folder; sourced, not run.
# shellcheck shell=bash

say() { printf '== %s\n' "$*" >&2; }

die() {
  printf '\n%s\n\n' "$*" >&2
  exit 1
}

# key FILE...: a short name for the contents of these files, for stamps that notice every change.
key() { cat -- "$@" | sha256sum | cut -c1-16; }

# current STAMP KEY: whether the work that STAMP stands for was done for KEY.
current() { [ -f "$1" ] && [ "$(cat -- "$1")" = "$2" ]; }

# system_package PACKAGE PURPOSE: install one Debian package, or say who must and stop.
system_package() {
  local package=$1 purpose=$2 as_root=()
  local refusal="$package is needed for $purpose: install it (Debian, Ubuntu: sudo apt-get install $package), then run make again."
  command -v apt-get >/dev/null 2>&1 || die "$refusal"
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || die "$refusal"
    as_root=(sudo)
    # Without a terminal a password cannot be asked for: fail at once rather than hang.
    [ -t 0 ] || as_root=(sudo -n)
    "${as_root[@]}" true 2>/dev/null || die "$refusal"
  fi
  say "installing $package, needed for $purpose"
  apt() {
    # RUNLEVEL=1 keeps a service from being started by its installation: the tests start their own.
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -qq "$@" </dev/null >/dev/null
  }
  # A fresh machine has no package lists; try without, because fetching them is the slow part.
  apt install -y --no-install-recommends "$package" 2>/dev/null ||
    { apt update && apt install -y --no-install-recommends "$package"; } ||
    die "$refusal"
}
