# shellcheck shell=bash
# Enforces NetworkPolicy on the node, as far as the kernel lets us look into a bridge.
#
# In: DIR, SUBNET, BRIDGE, a running node · Out: policies_missing, policies_up, policies_down; one nftables table

policies_missing() {
  have nft || echo "nftables is not installed (e2e/cluster/install)"
  [[ -x $CACHE/bin/policies ]] || echo "the policy engine is not built (e2e/cluster/install, needs Go)"
  [[ -d /proc/sys/net/bridge ]] || echo "the kernel does not show bridged packets to nftables (br_netfilter)"
}

# policies_up: sees packets between pods by a setting of this one bridge, not of the machine.
policies_up() {
  local missing
  missing=$(policies_missing)
  if [[ -n $missing ]]; then
    skip "network policies" "${missing//$'\n'/; }"
    return
  fi
  ip link set "$BRIDGE" type bridge nf_call_iptables 1
  certificate "$DIR/pki/ca" "$DIR/pki/policies" /O=system:masters/CN=backstay-e2e-policies
  kubeconfig "$DIR/pki/policies.kubeconfig" "https://127.0.0.1:$(port api)" "$DIR/pki/ca" "$DIR/pki/policies"
  start policies "$CACHE/bin/policies" --kubeconfig "$DIR/pki/policies.kubeconfig" --table "$BRIDGE" \
    --subnet "$SUBNET.0/24"
  wait_for 30 policies nft list table ip "$BRIDGE"
}

policies_down() {
  stop policies
  if have nft; then nft delete table ip "$BRIDGE" 2>/dev/null || true; fi
}
