# shellcheck shell=bash
# The gate: pods reach the API server, S3 and Git, which listen on loopback, at the machine's end of the bridge, at the same ports.
#
# In: SUBNET, port · Out: gate_up, gate_down, gate_processes

GATE=(api s3 git second-api)

gate_processes() { printf 'gate-%s ' "${GATE[@]}"; }

gate_up() {
  local name
  for name in "${GATE[@]}"; do
    start "gate-$name" socat "TCP-LISTEN:$(port "$name"),bind=$SUBNET.1,fork,reuseaddr" "TCP:127.0.0.1:$(port "$name")"
  done
}

gate_down() {
  # shellcheck disable=SC2046 # a list of plain words
  stop $(gate_processes)
}
