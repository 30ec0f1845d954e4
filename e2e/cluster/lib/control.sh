# shellcheck shell=bash
# The control plane: etcd, API server, controllers; and a second, empty one that shares only etcd's process.
#
# In: DIR, SLOT, KUBE (our Kubernetes program) · Out: api_up, api_down, second_up
# Leaves: DIR/admin.kubeconfig and DIR/audit.log; for the second one the same under DIR/second

# api_missing: prints why this machine cannot run the part; nothing if it can.
api_missing() {
  have etcd openssl || echo "etcd or openssl is not installed (e2e/cluster/install)"
  [[ -x $KUBE ]] || echo "Kubernetes is not built: $KUBE (e2e/cluster/install, needs Go)"
}

api_processes() {
  echo kube-scheduler kube-controller-manager kube-apiserver second-controller-manager second-apiserver etcd
}

api_alive() { alive etcd && alive kube-apiserver && alive kube-controller-manager && alive kube-scheduler; }

api_up() {
  rm -rf "$DIR/work/etcd"
  start etcd etcd --name e2e --data-dir "$DIR/work/etcd" --logger zap \
    --listen-client-urls "$(etcd_url)" --advertise-client-urls "$(etcd_url)" \
    --listen-peer-urls "http://127.0.0.1:$(port etcd-peer)" \
    --initial-advertise-peer-urls "http://127.0.0.1:$(port etcd-peer)" \
    --initial-cluster "e2e=http://127.0.0.1:$(port etcd-peer)" --quota-backend-bytes 4294967296
  realm_pki "$DIR"
  wait_for 30 etcd answers "$(etcd_url)/health"
  api_server_up "" "$DIR" api /registry
  controllers_up "" "$DIR" controllers
  start kube-scheduler "$KUBE" kube-scheduler --kubeconfig "$DIR/pki/scheduler.kubeconfig" --leader-elect=false \
    --bind-address 127.0.0.1 --secure-port "$(port scheduler)" --kube-api-qps 200 --kube-api-burst 400 \
    --cert-dir "$DIR/pki"
  wait_for 60 kube-controller-manager kubectl_in "$DIR" -n default get serviceaccount default
}

api_down() {
  # shellcheck disable=SC2046 # a list of plain words
  stop $(flux_processes) $(api_processes)
}

# second_up: another API server with its own authority, keys and part of etcd. It has controllers, but no node.
second_up() {
  alive second-apiserver && alive second-controller-manager && return
  stop second-controller-manager second-apiserver
  mkdir -p "$DIR/second"
  ETCDCTL_API=3 etcdctl --endpoints "$(etcd_url)" del --prefix /second/ >/dev/null
  realm_pki "$DIR/second"
  api_server_up second- "$DIR/second" second-api /second
  controllers_up second- "$DIR/second" second-controllers
  wait_for 60 second-controller-manager kubectl_in "$DIR/second" -n default get serviceaccount default
  ln -sf second/admin.kubeconfig "$DIR/second.kubeconfig"
}

etcd_url() { printf 'http://127.0.0.1:%d' "$(port etcd)"; }

# kubectl_in HOME ARGUMENT...: kubectl as the administrator of one control plane.
kubectl_in() { KUBECONFIG=$1/admin.kubeconfig "$DIR/bin/kubectl" "${@:2}"; }

# realm_pki HOME: two authorities (clients and servers; the aggregation layer's proxy) and who they vouch for.
realm_pki() {
  local pki=$1/pki who server
  server=https://127.0.0.1:$(port "$([[ $1 == "$DIR" ]] && echo api || echo second-api)")
  authority "$pki/ca" backstay-e2e-ca
  authority "$pki/proxy-ca" backstay-e2e-proxy-ca
  certificate "$pki/ca" "$pki/apiserver" /CN=kube-apiserver
  certificate "$pki/proxy-ca" "$pki/proxy" /CN=front-proxy-client
  certificate "$pki/ca" "$pki/admin" /O=system:masters/CN=backstay-e2e-admin
  certificate "$pki/ca" "$pki/controllers" /CN=system:kube-controller-manager
  certificate "$pki/ca" "$pki/scheduler" /CN=system:kube-scheduler
  certificate "$pki/ca" "$pki/kubelet" /O=system:nodes/CN=system:node:localhost
  [[ -s $pki/accounts.key ]] || openssl ecparam -name prime256v1 -genkey -noout -out "$pki/accounts.key"
  for who in admin controllers scheduler kubelet; do
    kubeconfig "$pki/$who.kubeconfig" "$server" "$pki/ca" "$pki/$who"
  done
  cp "$pki/admin.kubeconfig" "$1/admin.kubeconfig"
}

# api_server_up PREFIX HOME PORT-NAME ETCD-PREFIX: ready when it says so.
api_server_up() {
  local home=$2 pki=$2/pki url
  url=https://127.0.0.1:$(port "$3")
  cat >"$pki/audit-policy.yaml" <<'YAML'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
YAML
  rm -f "$home"/audit*.log
  # In-flight limits far above what tests do: no request of theirs is ever told to come back later.
  start "${1:-kube-}apiserver" "$KUBE" kube-apiserver \
    --etcd-servers "$(etcd_url)" --etcd-prefix "$4" --storage-media-type application/vnd.kubernetes.protobuf \
    --bind-address 127.0.0.1 --secure-port "$(port "$3")" --advertise-address "$SUBNET.1" \
    --endpoint-reconciler-type none --service-cluster-ip-range 10.96.0.0/16 --allow-privileged \
    --authorization-mode Node,RBAC --client-ca-file "$pki/ca.crt" \
    --tls-cert-file "$pki/apiserver.crt" --tls-private-key-file "$pki/apiserver.key" --cert-dir "$pki" \
    --service-account-issuer https://kubernetes.default.svc.cluster.local \
    --service-account-key-file "$pki/accounts.key" --service-account-signing-key-file "$pki/accounts.key" \
    --requestheader-client-ca-file "$pki/proxy-ca.crt" --requestheader-allowed-names front-proxy-client \
    --requestheader-username-headers X-Remote-User --requestheader-group-headers X-Remote-Group \
    --requestheader-extra-headers-prefix X-Remote-Extra- \
    --proxy-client-cert-file "$pki/proxy.crt" --proxy-client-key-file "$pki/proxy.key" \
    --enable-aggregator-routing --kubelet-preferred-address-types Hostname \
    --audit-policy-file "$pki/audit-policy.yaml" --audit-log-path "$home/audit.log" \
    --max-requests-inflight 4000 --max-mutating-requests-inflight 2000
  wait_for 60 "${1:-kube-}apiserver" answers "$url/readyz" --cacert "$pki/ca.crt" \
    --cert "$pki/admin.crt" --key "$pki/admin.key"
}

# controllers_up PREFIX HOME PORT-NAME: with a provisioner that binds claims to folders, where there is a node for them.
controllers_up() {
  local pki=$2/pki folders=false inside=()
  if [[ -z $1 ]] && alive nest; then
    folders=true
    inside=(nsenter --mount="$(nest_path)" --)
  fi
  start "${1:-kube-}controller-manager" "${inside[@]}" "$KUBE" kube-controller-manager \
    --kubeconfig "$pki/controllers.kubeconfig" --leader-elect=false --cert-dir "$pki" \
    --bind-address 127.0.0.1 --secure-port "$(port "$3")" \
    --service-account-private-key-file "$pki/accounts.key" --root-ca-file "$pki/ca.crt" \
    --cluster-signing-cert-file "$pki/ca.crt" --cluster-signing-key-file "$pki/ca.key" \
    --use-service-account-credentials --enable-hostpath-provisioner="$folders" \
    --kube-api-qps 200 --kube-api-burst 400
}
