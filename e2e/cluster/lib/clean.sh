# shellcheck shell=bash
# Takes away what the node leaves behind, after an orderly end as after a kill: containers, their keepers, control
# groups, the bridge. Mounts and network namespaces go with the nest.
#
# In: DIR, BRIDGE · Out: node_down, leftovers

node_down() {
  local groups
  gate_down
  policies_down
  stop kubelet
  groups=$(container_cgroups) # before containerd, if it lives, forgets them
  kill_node_pids
  stop containerd
  until [[ -z $(node_pids) ]]; do
    kill_node_pids
    sleep 0.05
  done
  nest_down
  remove_cgroups <<<"$groups"
  ip link del "$BRIDGE" 2>/dev/null || true
}

kill_node_pids() {
  local pid
  while read -r pid; do kill -KILL "$pid" 2>/dev/null || true; done < <(node_pids)
}

# node_pids: prints the pids of our containers' processes and of the shims that keep them.
node_pids() {
  local group shim
  while read -r group; do cat "$group/cgroup.procs" 2>/dev/null || true; done < <(container_cgroups)
  for shim in /proc/[0-9]*/cmdline; do
    if tr '\0' ' ' 2>/dev/null <"$shim" | grep -qF -- "-address $DIR/run/containerd.sock"; then
      shim=${shim#/proc/}
      [[ -z $(started "${shim%/cmdline}") ]] || printf '%s\n' "${shim%/cmdline}"
    fi
  done
}

# container_cgroups: prints the control group folders of this cluster's containers, which containerd's state names.
container_cgroups() {
  local task
  for task in "$DIR"/run/containerd/io.containerd.runtime.v2.task/k8s.io/*; do
    find /sys/fs/cgroup -maxdepth 3 -type d -path "*/k8s.io/${task##*/}" 2>/dev/null
  done
}

# remove_cgroups: takes the folders to remove, one a line. The parent that all clusters share goes with the last one.
remove_cgroups() {
  local group
  while read -r group; do
    if [[ -d $group ]]; then find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true; fi
  done
  if [[ $(echo "$SLOTS"/[0-9]*) == "$SLOTS/$SLOT" ]]; then rmdir /sys/fs/cgroup/{,*/}k8s.io 2>/dev/null || true; fi
}

# leftovers: prints whatever of this cluster is still on the machine; nothing if all is well.
leftovers() {
  local found name
  found=$(awk -v dir="$DIR/" 'index($5, dir) == 1 { print "mount: " $5 }' /proc/self/mountinfo)
  found+=$(node_pids | sed 's/^/process: /')
  found+=$(container_cgroups | sed 's/^/control group: /')
  if have ip; then found+=$(ip -o link show "$BRIDGE" 2>/dev/null | sed 's/^/link: /'); fi
  if have nft && nft list table ip "$BRIDGE" >/dev/null 2>&1; then found+="nftables table: $BRIDGE"; fi
  if have ss && slot_busy; then found+="a port of slot $SLOT is still taken"; fi
  for name in "$DIR"/run/*.pid; do
    name=${name##*/}
    alive "${name%.pid}" && found+="process: ${name%.pid}"
  done
  printf '%s' "$found"
}
