# shellcheck shell=bash
# Installs the Debian packages that the parts are made of, and starts none of the services that come with them.
#
# In: root and apt, if anything is missing · Out: install_packages

PACKAGES=(
  etcd-server etcd-client containerd runc containernetworking-plugins busybox-static iproute2 nftables
  radosgw ceph-mon ceph-osd ceph-common
  git openssh-server openssh-client openssl curl jq age zstd util-linux gnupg
  python3-venv prometheus lua5.4 socat
)

install_packages() {
  local package missing=()
  for package in "${PACKAGES[@]}"; do
    [[ $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) == "install ok installed" ]] || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  if ! am_root || ! have apt-get; then
    warn "not root, or not Debian: these packages stay missing: ${missing[*]}"
    return 0
  fi
  say "installing ${#missing[@]} Debian packages"
  services_held
  if ! apt_install "${missing[@]}"; then
    # Perhaps the lists of packages are old, or not there yet.
    apt-get update -qq
    apt_install "${missing[@]}"
  fi
  services_released
}

apt_install() {
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=600 "$@" \
    >"$CACHE/apt.log" 2>&1
}

# services_held: a package's service must not listen on the machine just because we want its program.
services_held() {
  [[ -e /usr/sbin/policy-rc.d ]] && return
  trap services_released EXIT
  printf '#!/bin/sh\n# backstay-e2e\nexit 101\n' >/usr/sbin/policy-rc.d
  chmod 755 /usr/sbin/policy-rc.d
}

services_released() {
  if grep -qs '^# backstay-e2e$' /usr/sbin/policy-rc.d; then rm -f /usr/sbin/policy-rc.d; fi
}
