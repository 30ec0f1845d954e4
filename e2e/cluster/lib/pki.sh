# shellcheck shell=bash
# Makes certificate authorities, certificates and the kubeconfigs that carry them. Keys are P-256; all is for tests.
#
# In: DIR, SUBNET · Out: authority, certificate, services_pki, kubeconfig

# authority PATH NAME: makes PATH.crt and PATH.key, unless they are there.
authority() {
  [[ -s $1.crt ]] && return
  new_certificate "$1" -subj "/CN=$2" -addext basicConstraints=critical,CA:TRUE \
    -addext keyUsage=critical,keyCertSign,cRLSign
}

# certificate AUTHORITY PATH SUBJECT: one for clients and for servers on loopback and behind the gate, unless it is there.
certificate() {
  [[ -s $2.crt ]] && return
  new_certificate "$2" -CA "$1.crt" -CAkey "$1.key" -subj "$3" \
    -addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=clientAuth,serverAuth \
    -addext 'subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default.svc,IP:10.96.0.1'",IP:$SUBNET.1"
}

# services_pki: the private authority that vouches for S3 and Git over HTTPS, and not for Kubernetes.
services_pki() {
  authority "$DIR/pki/s3-ca" backstay-e2e-s3-ca
  certificate "$DIR/pki/s3-ca" "$DIR/pki/s3" /CN=localhost
  cp "$DIR/pki/s3-ca.crt" "$DIR/s3-ca.crt"
}

# new_certificate PATH OPTION...: the certificate goes last, so that half a pair is never taken for a whole one.
new_certificate() {
  local path=$1
  shift
  mkdir -p "$(dirname "$path")"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
    -keyout "$path.key" -out "$path.crt.new" "$@" 2>"$path.err" || die "openssl: $(<"$path.err")"
  rm -f "$path.err"
  chmod 600 "$path.key"
  mv "$path.crt.new" "$path.crt"
}

# kubeconfig FILE SERVER AUTHORITY CERTIFICATE: everything inside, nothing pointed to.
kubeconfig() {
  (umask 077 && cat >"$1.new") <<YAML
apiVersion: v1
kind: Config
current-context: e2e
clusters:
- name: e2e
  cluster:
    server: $2
    certificate-authority-data: $(base64 -w0 "$3.crt")
users:
- name: e2e
  user:
    client-certificate-data: $(base64 -w0 "$4.crt")
    client-key-data: $(base64 -w0 "$4.key")
contexts:
- name: e2e
  context:
    cluster: e2e
    user: e2e
YAML
  mv "$1.new" "$1"
}
