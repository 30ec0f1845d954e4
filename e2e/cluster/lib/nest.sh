# shellcheck shell=bash
# The nest: a mount namespace of the cluster's own, in which its node lives. Whatever containerd and the kubelet
# mount or leave in fixed places is seen in there only, and is gone when their last process is gone.
#
# In: DIR, root · Out: nest_possible, nest_up, nest_path, nest_down · Called by itself inside the nest: nest_line

# Places that Kubernetes and containerd have wired in. Empty folders on the machine, filled in the nest only.
NEST_PLACES=(/run/containerd /run/netns /run/sshd /var/lib/cni /var/lib/kubelet /var/log/containers)
# Kernel settings that the kubelet writes at its start. In the nest it writes to plain files instead.
NEST_SETTINGS=(vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys
  kernel/keys/root_maxbytes)

# nest_possible: true if this machine lets us make one.
nest_possible() { am_root && unshare --mount true 2>/dev/null; }

# nest_up: makes the nest, unless it is there.
nest_up() {
  if alive nest; then return; fi
  mkdir -p "${NEST_PLACES[@]}" /tmp/hostpath_pv "$DIR/work/volumes" "$DIR/work/settings"
  rm -f "$DIR/run/nest.ready"
  start nest unshare --mount --propagation slave bash "$CLUSTER/lib/nest.sh" "$DIR"
  wait_for 10 nest test -e "$DIR/run/nest.ready"
}

# nest_path: prints the file by which nsenter finds the nest.
nest_path() { printf '/proc/%d/ns/mnt' "$(pid_of nest)"; }

# nest_down: whoever moved in with the node, and stays, would also keep the pods' networks: those go first.
nest_down() {
  local name file
  for name in nest kube-controller-manager sshd; do
    alive "$name" || continue
    file=/proc/$(pid_of "$name")/ns/mnt
    if [[ $(readlink "$file") != $(readlink /proc/self/ns/mnt) ]]; then
      nsenter --mount="$file" sh -c 'umount --lazy /run/netns/*' 2>/dev/null || true
    fi
  done
  stop nest
}

# nest_line DIR: lines the nest from inside and then keeps it.
nest_line() {
  local dir=$1 place copy
  # Containers may ask for mount propagation: it works among what lives in the nest, and never reaches the machine.
  mount --make-rshared /
  for place in "${NEST_PLACES[@]}"; do mount -t tmpfs -o mode=755 nest "$place"; done
  mount --bind "$dir/work/volumes" /tmp/hostpath_pv
  for place in "${NEST_SETTINGS[@]}"; do
    copy=$dir/work/settings/${place//\//-}
    cat "/proc/sys/$place" >"$copy"
    mount --bind "$copy" "/proc/sys/$place"
  done
  : >"$dir/run/nest.ready"
  exec sleep infinity
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  set -euo pipefail
  nest_line "$1"
fi
