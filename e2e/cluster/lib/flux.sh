# shellcheck shell=bash
# Flux's source-controller and kustomize-controller, as processes beside the cluster. They run only while a test asks
# for them, because other tests bring stand-ins of the same kinds.
#
# In: CACHE, DIR, SLOT, a running control plane · Out: flux_missing, flux_up, flux_down, flux_processes

FLUX=(source-controller kustomize-controller)

# flux_missing: prints why this machine cannot run them; nothing if it can.
flux_missing() {
  local name
  for name in "${FLUX[@]}"; do
    [[ -x $CACHE/bin/$name ]] || echo "$name is not built (e2e/cluster/install, needs Go)"
  done
}

flux_processes() { echo "${FLUX[@]}"; }

flux_alive() { alive source-controller && alive kustomize-controller; }

flux_up() {
  local home=$DIR/work/flux name files=()
  rm -rf "$home"
  mkdir -p "$home"/{storage,tmp}
  for name in "${FLUX[@]}"; do files+=(-f "$CACHE/bin/$name.yaml"); done
  kubectl_in "$DIR" apply --server-side "${files[@]}" >/dev/null
  kubectl_in "$DIR" wait --for=condition=Established "${files[@]}" --timeout=30s >/dev/null
  kubectl_in "$DIR" create namespace flux-system --dry-run=client -o yaml |
    kubectl_in "$DIR" apply --server-side -f - >/dev/null
  flux_start source-controller flux-source --storage-path "$home/storage" \
    --storage-addr "127.0.0.1:$(port flux-files)" --storage-adv-addr "127.0.0.1:$(port flux-files)"
  flux_start kustomize-controller flux-kustomize
  wait_for 60 source-controller answers "http://127.0.0.1:$(port flux-source-health)/readyz"
  wait_for 60 kustomize-controller answers "http://127.0.0.1:$(port flux-kustomize-health)/readyz"
}

# flux_start NAME PORTS OPTION...: a controller with the rights of the administrator, on loopback, telling nobody.
flux_start() {
  start "$1" env KUBECONFIG="$DIR/admin.kubeconfig" RUNTIME_NAMESPACE=flux-system TMPDIR="$DIR/work/flux/tmp" \
    "$CACHE/bin/$1" --events-addr= --enable-leader-election=false --log-encoding json \
    --metrics-addr "127.0.0.1:$(port "$2-metrics")" --health-addr "127.0.0.1:$(port "$2-health")" "${@:3}"
}

# flux_down: what Flux keeps goes while its controllers can still let go of it, then they end, then their kinds go.
flux_down() {
  local name kept files=()
  for kept in kustomizations.kustomize.toolkit.fluxcd.io gitrepositories.source.toolkit.fluxcd.io; do
    flux_alive || break
    kubectl_in "$DIR" delete "$kept" --all --all-namespaces --timeout=60s >/dev/null || warn "Flux keeps $kept"
  done
  # shellcheck disable=SC2046 # a list of plain words
  stop $(flux_processes)
  for name in "${FLUX[@]}"; do files+=(-f "$CACHE/bin/$name.yaml"); done
  kubectl_in "$DIR" delete --ignore-not-found --timeout=60s "${files[@]}" >/dev/null
  kubectl_in "$DIR" delete namespace flux-system --ignore-not-found --timeout=60s >/dev/null
  rm -rf "$DIR/work/flux"
}
