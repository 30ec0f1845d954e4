# shellcheck shell=bash
# Brings parts up and takes them down. A part that runs is left alone; one that ran and died is cleaned away first.
#
# In: DIR, SLOT, and each part's PART_missing, PART_alive, PART_up, PART_down
# Out: parts_up, parts_failed, parts_down

# parts_up PART...: side by side, but the node after the control plane, which it needs. Ask parts_failed how it went:
# in a condition the shell would not stop a part at its first error.
parts_up() {
  local part api_job='' jobs=()
  if have openssl; then services_pki; fi
  # The nest comes first, because more than one part moves in.
  if nest_possible && ! alive nest; then
    node_down
    nest_up
  fi
  for part in "${PARTS[@]}"; do
    [[ " $* " == *" $part "* ]] || continue
    if [[ $part == node && -n $api_job ]]; then wait "$api_job" || true; fi
    part_up "$part" &
    jobs+=($!)
    if [[ $part == api ]]; then api_job=$!; fi
  done
  wait "${jobs[@]}" || true
}

# parts_failed PART...: prints those that should be up, but are not.
parts_failed() {
  local part
  for part; do
    grep -qs "^$part: " "$DIR/skipped" || part_alive "$part" || printf '%s ' "$part"
  done
}

# part_alive PART: true if it came up to the end and its processes still run.
part_alive() { [[ -e $DIR/run/$1.up ]] && "${1}_alive"; }

# part_up PART: notes why if this machine cannot run it. Runs in a shell of its own, which ends if the part fails.
part_up() {
  local part=$1 missing from=$SECONDS
  missing=$("${part}_missing")
  if [[ $part == node && -z $missing ]] && ! api_alive; then missing="no control plane"; fi
  if [[ -n $missing ]]; then
    skip "$part" "${missing//$'\n'/; }"
    return
  fi
  if part_alive "$part"; then return; fi
  rm -f "$DIR/run/$part.up"
  "${part}_down"
  "${part}_up"
  : >"$DIR/run/$part.up"
  say "up: $part ($((SECONDS - from)) s)"
}

# parts_down PART...: side by side, but the node before the control plane.
parts_down() {
  local part node_job='' jobs=()
  for part in node azure git s3 api; do
    [[ " $* " == *" $part "* ]] || continue
    if [[ $part == api && -n $node_job ]]; then wait "$node_job"; fi
    part_down "$part" &
    jobs+=($!)
    if [[ $part == node ]]; then node_job=$!; fi
  done
  wait "${jobs[@]}"
}

part_down() {
  "${1}_down"
  rm -f "$DIR/run/$1.up"
}
