# shellcheck shell=bash
# Tells tests where everything is: plain KEY=VALUE lines that a shell can source and any program can read.
#
# In: DIR, SLOT, and which parts run · Out: environment (prints); programs_linked (fills DIR/bin)

environment() {
  echo "BACKSTAY_E2E_DIR=$DIR"
  echo "BACKSTAY_E2E_BIN=$DIR/bin"
  if api_alive; then
    echo "KUBECONFIG=$DIR/admin.kubeconfig"
    echo "BACKSTAY_E2E_AUDIT_LOG=$DIR/audit.log"
  fi
  if alive second-apiserver; then
    echo "BACKSTAY_E2E_SECOND_KUBECONFIG=$DIR/second.kubeconfig"
    echo "BACKSTAY_E2E_SECOND_AUDIT_LOG=$DIR/second/audit.log"
  fi
  if node_alive; then
    echo "BACKSTAY_E2E_IMAGE=$IMAGE_PREFIX/busybox:1"
    if databases_ready; then echo "BACKSTAY_E2E_DATABASES=$IMAGE_PREFIX/databases:1"; fi
    echo "BACKSTAY_E2E_PAUSE=$IMAGE_PREFIX/pause:1"
    echo "BACKSTAY_E2E_NODE=localhost"
    echo "BACKSTAY_E2E_GATE=$SUBNET.1"
    echo "BACKSTAY_E2E_API_PORT=$(port api)"
    echo "BACKSTAY_E2E_VOLUMES=$DIR/work/volumes"
  fi
  if [[ -z $(flux_missing) ]]; then echo "BACKSTAY_E2E_FLUX=$FLUX_VERSION"; fi
  if s3_alive; then s3_environment; fi
  if git_alive; then git_environment; fi
  if azure_alive; then
    echo "BACKSTAY_E2E_AZURE_URL=http://127.0.0.1:$(port azure)/$AZURE_ACCOUNT"
    echo "BACKSTAY_E2E_AZURE_ACCOUNT=$AZURE_ACCOUNT"
    echo "BACKSTAY_E2E_AZURE_KEY=$AZURE_KEY"
    echo "BACKSTAY_E2E_AZURE_CONTAINER=$AZURE_CONTAINER"
  fi
}

s3_environment() {
  cat <<ENV
BACKSTAY_E2E_S3_ENDPOINT=http://127.0.0.1:$(port s3)
BACKSTAY_E2E_S3_HTTPS_ENDPOINT=https://127.0.0.1:$(port s3-tls)
BACKSTAY_E2E_S3_CA=$DIR/s3-ca.crt
BACKSTAY_E2E_S3_ACCESS_KEY=$S3_ACCESS_KEY
BACKSTAY_E2E_S3_SECRET_KEY=$S3_SECRET_KEY
BACKSTAY_E2E_S3_BUCKET=$S3_BUCKET
BACKSTAY_E2E_S3_REGION=$S3_REGION
ENV
}

git_environment() {
  cat <<ENV
BACKSTAY_E2E_GIT_DIR=$DIR/git
BACKSTAY_E2E_GIT_HTTP_URL=http://127.0.0.1:$(port git)
BACKSTAY_E2E_GIT_HTTPS_URL=https://127.0.0.1:$(port git-tls)
BACKSTAY_E2E_GIT_CA=$DIR/s3-ca.crt
BACKSTAY_E2E_GIT_USER=$GIT_USER
BACKSTAY_E2E_GIT_PASSWORD=$GIT_PASSWORD
BACKSTAY_E2E_GIT_SSH_URL=ssh://$(id -un)@127.0.0.1:$(port ssh)$DIR/git
BACKSTAY_E2E_GIT_SSH_KEY=$DIR/ssh/id
BACKSTAY_E2E_GIT_SSH_KNOWN_HOSTS=$DIR/ssh/known_hosts
ENV
}

# programs_linked: gathers in DIR/bin what tests call by name.
programs_linked() {
  local program
  [[ -x $KUBE ]] && ln -sf "$KUBE" "$DIR/bin/kubectl"
  for program in "$CACHE"/bin/{sops,kustomize,helm,kube-score}; do ln -sf "$program" "$DIR/bin/"; done
  for program in age age-keygen zstd promtool lua5.4 gpg; do
    if have "$program"; then ln -sf "$(command -v "$program")" "$DIR/bin/"; else skip "$program" "not installed"; fi
  done
  for program in kubectl sops kustomize helm kube-score; do
    [[ -x $DIR/bin/$program ]] || skip "$program" "not installed (e2e/cluster/install)"
  done
  program=$(flux_missing)
  [[ -z $program ]] || skip flux "${program//$'\n'/; }"
}
