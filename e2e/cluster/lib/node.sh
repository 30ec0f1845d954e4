# shellcheck shell=bash
# The node: containerd and a kubelet in the nest, and a bridge for the pods. Nothing is routed past the bridge.
#
# In: DIR, SLOT, SUBNET, BRIDGE, KUBE, a running control plane · Out: node_missing, node_alive, node_up, node_down

node_missing() {
  if ! am_root; then
    echo "not root"
    return
  fi
  nest_possible || echo "the kernel refuses to make a mount namespace"
  have containerd ctr runc ip ss socat ||
    echo "containerd, runc, iproute2 or socat is not installed (e2e/cluster/install)"
  [[ -x /usr/lib/cni/bridge ]] || echo "the CNI plugins are not installed (e2e/cluster/install)"
  [[ -x $CACHE/bin/pause && -x /bin/busybox ]] || echo "the images' programs are missing (e2e/cluster/install)"
  [[ -d /sys/fs/cgroup/memory || -e /sys/fs/cgroup/cgroup.controllers ]] || echo "no control groups"
  unshare --net ip link add backstay-try type bridge 2>/dev/null || echo "the kernel refuses to make a bridge"
}

node_alive() { alive nest && alive containerd && alive kubelet; }

node_up() {
  nest_up
  mkdir -p "$DIR/work/node"/{cni,plugins,pod-logs}
  ip link add "$BRIDGE" type bridge
  ip addr add "$SUBNET.1/24" dev "$BRIDGE"
  ip link set "$BRIDGE" up
  containerd_settings >"$DIR/work/node/containerd.toml"
  network_settings >"$DIR/work/node/cni/10-bridge.conflist"
  kubelet_settings >"$DIR/work/node/kubelet.yaml"
  start containerd nsenter --mount="$(nest_path)" -- containerd --config "$DIR/work/node/containerd.toml"
  wait_for 30 containerd ctr_in version
  image_import pause "$DIR/work/pause.tar" "$CACHE/bin/pause"
  image_import busybox "$DIR/work/busybox.tar" /bin/busybox
  databases_import
  start kubelet nsenter --mount="$(nest_path)" -- "$KUBE" kubelet --config "$DIR/work/node/kubelet.yaml" \
    --kubeconfig "$DIR/pki/kubelet.kubeconfig" --root-dir "$DIR/work/kubelet" --cert-dir "$DIR/work/kubelet/pki" \
    --hostname-override localhost --node-ip "$SUBNET.1"
  kubectl_in "$DIR" apply -f "$CLUSTER/lib/storage-class.yaml" >/dev/null
  wait_for 60 kubelet kubectl_in "$DIR" wait --for=condition=Ready node/localhost --timeout=2s
  policies_up
  gate_up
}

# ctr_in ARGUMENT...: containerd's own client, in the name space that the kubelet uses.
ctr_in() { ctr --address "$DIR/run/containerd.sock" --namespace k8s.io "$@"; }

containerd_settings() {
  local unused=io.containerd.snapshotter.v1
  cat <<TOML
version = 2
root = "$DIR/work/containerd"
state = "$DIR/run/containerd"
disabled_plugins = ["$unused.aufs", "$unused.btrfs", "$unused.devmapper", "$unused.zfs"]
[grpc]
  address = "$DIR/run/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "$DIR/work/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "backstay.dev/e2e/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$DIR/work/node/cni"
TOML
}

# Pods reach each other, and the machine reaches them. There is no gateway, so that no packet leaves the bridge.
network_settings() {
  cat <<JSON
{"cniVersion": "0.4.0", "name": "$BRIDGE", "plugins": [{
  "type": "bridge", "bridge": "$BRIDGE", "hairpinMode": true,
  "ipam": {"type": "host-local", "dataDir": "$DIR/work/node/addresses", "ranges": [[{"subnet": "$SUBNET.0/24"}]]}
}]}
JSON
}

kubelet_settings() {
  cat <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 127.0.0.1
port: $(port kubelet)
healthzPort: $(port kubelet-health)
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
containerRuntimeEndpoint: unix://$DIR/run/containerd.sock
podLogsDir: $DIR/work/node/pod-logs
volumePluginDir: $DIR/work/node/plugins
resolvConf: ""
maxPods: 240
clusterDNS: [10.96.0.10]
clusterDomain: cluster.local
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
failSwapOn: false
failCgroupV1: false
localStorageCapacityIsolation: false
makeIPTablesUtilChains: false
evictionHard: {memory.available: 1Mi, nodefs.available: 1%, nodefs.inodesFree: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
nodeStatusUpdateFrequency: 5s
kubeAPIQPS: 200
kubeAPIBurst: 400
YAML
}
