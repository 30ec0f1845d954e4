# shellcheck shell=bash
# An image with the real PostgreSQL and Redis, packed from Debian's packages. Nothing of them is installed on the machine.
#
# In: CACHE, apt · Out: databases_fetch, databases_ready, databases_import

DATABASES=(postgresql-15 postgresql-client-15 redis-server redis-tools)

databases_ready() { [[ -x $CACHE/databases/root/bin/redis-server ]]; }

# databases_fetch: downloads the packages and whatever the machine lacks for them, and lays out a root folder.
databases_fetch() {
  databases_ready && return
  if ! am_root || ! have apt-get dpkg-deb; then
    warn "not root, or not Debian: there are no packages of PostgreSQL and Redis"
    return 0
  fi
  say "fetching PostgreSQL and Redis"
  local work=$CACHE/databases.new
  rm -rf "$work"
  mkdir -p "$work"/{debs/partial,files}
  if ! apt-get install -y -qq --download-only --no-install-recommends -o "Dir::Cache::archives=$work/debs" \
    -o DPkg::Lock::Timeout=600 "${DATABASES[@]}" >"$CACHE/databases.log" 2>&1; then
    apt-get update -qq || true
    if ! apt-get install -y -qq --download-only --no-install-recommends -o "Dir::Cache::archives=$work/debs" \
      -o DPkg::Lock::Timeout=600 "${DATABASES[@]}" >"$CACHE/databases.log" 2>&1; then
      warn "the packages of PostgreSQL and Redis cannot be fetched ($CACHE/databases.log)"
      return 0
    fi
  fi
  (cd "$work/debs" && apt-get download -qq "${DATABASES[@]}" >>"$CACHE/databases.log" 2>&1) || true
  local deb
  for deb in "$work"/debs/*.deb; do dpkg-deb -x "$deb" "$work/files"; done
  databases_root "$work/files" "$work/root"
  rm -rf "$CACHE/databases" "$work/debs" "$work/files"
  mv "$work" "$CACHE/databases"
}

# databases_root FILES ROOT: the programs, what they are linked to, PostgreSQL's own files, and busybox as the shell.
databases_root() {
  local files=$1 root=$2 program applet
  local server=$files/usr/lib/postgresql/15
  mkdir -p "$root"/{bin,etc,tmp,usr/lib/postgresql/15,usr/share/postgresql,var/run/postgresql,data}
  chmod 1777 "$root/tmp" "$root/data" "$root/var/run/postgresql"
  cp /bin/busybox "$root/bin/busybox"
  for applet in $(/bin/busybox --list); do [[ $applet == busybox ]] || ln -s busybox "$root/bin/$applet"; done
  printf 'root:x:0:0:root:/root:/bin/sh\npostgres:x:999:999::/data:/bin/sh\n' >"$root/etc/passwd"
  printf 'root:x:0:\npostgres:x:999:\n' >"$root/etc/group"
  cp -a "$server/bin" "$server/lib" "$root/usr/lib/postgresql/15/"
  rm -rf "$root"/usr/lib/postgresql/15/lib/{bitcode,llvmjit*,pgxs}
  cp -a "$files/usr/share/postgresql/15" "$root/usr/share/postgresql/"
  cp -a /usr/share/zoneinfo "$root/usr/share/" 2>/dev/null || true
  for program in "$root"/usr/lib/postgresql/15/bin/*; do
    ln -s "../usr/lib/postgresql/15/bin/${program##*/}" "$root/bin/${program##*/}"
  done
  cp -L "$files"/usr/bin/redis-cli "$root/bin/"
  cp -L "$files"/usr/bin/redis-check-rdb "$root/bin/redis-server"
  for program in "$root"/bin/redis-{cli,server} "$root"/usr/lib/postgresql/15/bin/* "$root"/usr/lib/postgresql/15/lib/*.so; do
    [[ -L $program ]] || libraries_copied "$files" "$program" "$root"
  done
}

# libraries_copied FILES PROGRAM ROOT: what the program is linked to, from the packages or the machine, at the same places.
libraries_copied() {
  local path
  LD_LIBRARY_PATH=$1/usr/lib/x86_64-linux-gnu:$1/lib/x86_64-linux-gnu ldd "$2" 2>/dev/null |
    awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// { print $1 }' | sort -u |
    while read -r path; do
      local target=$3${path#"$1"}
      [[ -e $target ]] && continue
      mkdir -p "$(dirname "$target")"
      cp -L "$path" "$target"
    done
}

# databases_import: gives the image to the node.
databases_import() {
  databases_ready || return 0
  image_pack "$IMAGE_PREFIX/databases:1" "$CACHE/databases/root" "$DIR/work/databases.tar" '["sh"]'
  ctr_in image import --snapshotter overlayfs "$DIR/work/databases.tar" >/dev/null
  rm -f "$DIR/work/databases.tar"
}
