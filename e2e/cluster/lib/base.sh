# shellcheck shell=bash
# The ground under every script here: strict mode, where things are, how to speak, how to stop.
#
# In: CLUSTER (the folder e2e/cluster) · Out: say, warn, die, skip, use_dir, and the paths below

set -euo pipefail
shopt -s nullglob
umask 022
export LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin:/usr/local/go/bin

CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/backstay-e2e
SLOTS=/tmp/backstay-e2e-slots-$EUID
PARTS=(api node s3 git azure)
export CACHE SLOTS PARTS CLUSTER

say() { printf '%s\n' "$*" >&2; }
warn() { say "warning: $*"; }
die() {
  say "error: $*"
  exit 1
}

# have PROGRAM...: true if all of them are on the path.
have() { command -v "$@" >/dev/null && [[ $(command -v "$@" | wc -l) -eq $# ]]; }

am_root() { [[ $EUID -eq 0 ]]; }

# skip PART REASON...: notes that this machine cannot run a part. Never silent: the line goes to DIR/skipped too.
skip() {
  local part=$1
  shift
  say "skipped: $part: $*"
  printf '%s: %s\n' "$part" "$*" >>"$DIR/skipped"
}

# use_dir DIR: sets the folder that holds one cluster's state. Refuses a folder that holds anything else.
use_dir() {
  [[ -n ${1:-} ]] || die "which folder?"
  DIR=$(realpath -m -- "$1")
  # A Unix socket's path has 107 bytes at most, and the longest one below DIR needs about 45.
  ((${#DIR} <= 60)) || die "the folder's path is too long for sockets (60 bytes at most): $DIR"
  [[ $DIR =~ ^[/A-Za-z0-9._-]+$ ]] || die "the folder's path may hold letters, digits and . _ - only: $DIR"
  if [[ -d $DIR && ! -e $DIR/.backstay-e2e && -n $(ls -A "$DIR") ]]; then
    die "not a cluster's folder, and not empty: $DIR"
  fi
  export DIR
}

# make_dir: lays out the folder chosen by use_dir.
make_dir() {
  mkdir -p "$DIR"/{bin,log,run,pki,work}
  : >"$DIR/.backstay-e2e"
}

# one_at_a_time: waits until no other script changes this cluster, and keeps the others out until this one ends.
one_at_a_time() {
  exec 8>"$DIR/.backstay-e2e"
  flock 8
}
