# shellcheck shell=bash
# Brings parts up and takes them down. A part that runs is left alone; one that ran and died is cleaned away first.
#
# In: DIR, SLOT, the PART_missing, PART_alive, PART_up and PART_down of each part · Out: parts_up, parts_down

# parts_up PART...: the services beside the control plane, which the node needs. False if a part failed.
parts_up() {
  local part failed=() pids=()
  rm -f "$DIR"/run/*.failed
  # First the part that others enter.
  if am_root && ! alive nest && [[ " $* " =~ \ (api|node|git)\  ]]; then
    node_down
    nest_up
  fi
  for part in "${PARTS[@]}"; do
    if [[ " $* " == *" $part "* && $part != node ]]; then
      part_up "$part" &
      pids+=($!)
      if [[ $part == api ]]; then api_pid=$!; fi
    fi
  done
  if [[ " $* " == *" node "* ]]; then
    if [[ -n ${api_pid:-} ]]; then wait "$api_pid" || true; fi
    part_up node || true
  fi
  wait "${pids[@]}" || true
  for part in "$DIR"/run/*.failed; do
    part=${part##*/}
    failed+=("${part%.failed}")
  done
  ((${#failed[@]} == 0)) || say "failed: ${failed[*]}"
  ((${#failed[@]} == 0))
}

# part_up PART: notes why if this machine cannot run it.
part_up() {
  local part=$1 missing from=$SECONDS
  missing=$("${part}_missing")
  if [[ $part == node && -z $missing ]] && ! api_alive; then missing="no control plane"; fi
  if [[ -n $missing ]]; then
    skip "$part" "${missing//$'\n'/; }"
    return
  fi
  "${part}_alive" && return
  : >"$DIR/run/$part.failed"
  # In a shell of its own: a part that dies does not take the others with it.
  (
    set -e
    "${part}_down"
    "${part}_up"
    rm -f "$DIR/run/$part.failed"
  )
  say "up: $part ($((SECONDS - from)) s)"
}

# parts_down PART...: in the reverse order.
parts_down() {
  local i
  for ((i = ${#PARTS[@]} - 1; i >= 0; i--)); do
    if [[ " $* " == *" ${PARTS[i]} "* ]]; then "${PARTS[i]}_down"; fi
  done
}
