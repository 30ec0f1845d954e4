# shellcheck shell=bash
# Gives each cluster on this machine a slot of its own: a number that decides ports, subnet and device names.
#
# In: DIR · Out: SLOT, SUBNET, BRIDGE, port NAME
# State: DIR/slot, and a file for the slot in SLOTS; each names the other

# Ports lie below the range from which the kernel takes ports for outgoing connections, 100 for each slot.
declare -A PORT_OFFSET=(
  [etcd]=0 [etcd-peer]=1 [api]=2 [controllers]=3 [scheduler]=4 [kubelet]=5 [kubelet-health]=6
  [second-api]=10 [second-controllers]=11
  [s3]=20 [s3-tls]=21 [ceph-mon]=22 [ceph-mon-old]=23 [ceph-osd-first]=30 [ceph-osd-last]=49
  [git]=60 [git-tls]=61 [ssh]=62 [azure]=70
  [flux-files]=80 [flux-source-metrics]=81 [flux-source-health]=82 [flux-kustomize-metrics]=83 [flux-kustomize-health]=84
)

# port NAME: prints the port of this cluster's slot.
port() { printf '%d' $((20000 + SLOT * 100 + PORT_OFFSET[$1])); }

# claim_slot: keeps the slot that DIR already has, or takes the first that nobody holds.
claim_slot() {
  mkdir -p "${SLOTS:?}"
  exec 9>"$SLOTS/lock"
  flock 9
  if ! load_slot; then
    for ((SLOT = 0; SLOT < 100; SLOT++)); do
      if ! slot_held && ! slot_busy; then
        printf '%s\n' "$DIR" >"$SLOTS/$SLOT"
        printf '%s\n' "$SLOT" >"$DIR/slot"
        break
      fi
    done
  fi
  exec 9>&-
  load_slot || die "no free slot: see $SLOTS"
}

# load_slot: true if DIR holds a slot and the slot agrees.
load_slot() {
  [[ -r $DIR/slot ]] || return 1
  SLOT=$(<"$DIR/slot")
  [[ -r $SLOTS/$SLOT && $(<"$SLOTS/$SLOT") == "$DIR" ]] || return 1
  SUBNET=10.$((100 + SLOT)).0
  BRIDGE=backstay$SLOT
  export SLOT SUBNET BRIDGE
}

# slot_held: true if the folder that the slot names still names the slot.
slot_held() {
  local owner
  [[ -r $SLOTS/$SLOT ]] || return 1
  owner=$(<"$SLOTS/$SLOT")
  [[ -r $owner/slot && $(<"$owner/slot") == "$SLOT" ]]
}

# slot_busy: true if anything listens on one of the slot's ports.
slot_busy() {
  local first=$((20000 + SLOT * 100))
  [[ -n $(ss -Hltn "sport >= :$first and sport < :$((first + 100))") ]]
}

release_slot() { rm -f "$SLOTS/$SLOT" "$DIR/slot"; }
