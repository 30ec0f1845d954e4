# shellcheck shell=bash
# An S3 service: a one-node Ceph with its object gateway, in memory, over HTTP and over HTTPS with a private CA.
#
# In: DIR, SLOT · Out: s3_missing, s3_alive, s3_up, s3_down; DIR/s3-ca.crt

S3_BUCKET=backstay
S3_ACCESS_KEY=E2EACCESSKEY00000001
S3_SECRET_KEY=e2eSecretKeyForTestsOnly0000000000000001
S3_REGION=us-east-1

s3_missing() {
  have radosgw radosgw-admin ceph ceph-mon ceph-osd ceph-authtool monmaptool openssl curl ||
    echo "radosgw, ceph-mon, ceph-osd or ceph-common is not installed (e2e/cluster/install)"
}

s3_alive() { alive ceph-mon && alive ceph-osd && alive radosgw; }

s3_down() { stop radosgw ceph-osd ceph-mon; }

s3_up() {
  local home=$DIR/work/s3
  rm -rf "$home"
  mkdir -p "$home"/{mon,osd}
  s3_settings >"$home/ceph.conf"
  s3_keys "$home/keyring"
  s3_monitor_up
  s3_store_up
  start radosgw radosgw -f -c "$home/ceph.conf" -n client.rgw
  wait_for 60 radosgw answers "http://127.0.0.1:$(port s3)/"
  in_ceph radosgw-admin user create --uid e2e --display-name e2e --access-key "$S3_ACCESS_KEY" \
    --secret-key "$S3_SECRET_KEY" >"$DIR/log/s3-user.log" 2>&1 || die "no S3 user: see $DIR/log/s3-user.log"
  s3_bucket "$S3_BUCKET"
  answers "https://127.0.0.1:$(port s3-tls)/" --cacert "$DIR/s3-ca.crt" || die "S3 does not answer over HTTPS"
}

# s3_bucket NAME: makes a bucket. Debian's curl signs the digest of the (empty) body only if it is told it.
s3_bucket() {
  local empty
  empty=$(sha256sum </dev/null | cut -d' ' -f1)
  curl -fsS -X PUT --aws-sigv4 "aws:amz:$S3_REGION:s3" --user "$S3_ACCESS_KEY:$S3_SECRET_KEY" \
    -H "X-Amz-Content-Sha256: $empty" "http://127.0.0.1:$(port s3)/$1" || die "cannot make bucket $1"
}

# in_ceph PROGRAM ARGUMENT...: runs one of Ceph's programs on this cluster's settings.
in_ceph() { "$1" -c "$DIR/work/s3/ceph.conf" "${@:2}"; }

s3_monitor_up() {
  local home=$DIR/work/s3
  monmaptool --create --clobber --fsid "$(s3_id)" "$home/monmap" \
    --addv a "[v2:127.0.0.1:$(port ceph-mon),v1:127.0.0.1:$(port ceph-mon-old)]" >/dev/null
  in_ceph ceph-mon --mkfs -i a --monmap "$home/monmap" --keyring "$home/keyring" >>"$DIR/log/ceph-mon.log" 2>&1
  start ceph-mon ceph-mon -f -c "$home/ceph.conf" -i a
  wait_for 30 ceph-mon in_ceph ceph --connect-timeout 2 mon stat
}

s3_store_up() {
  local id
  id=$(cat /proc/sys/kernel/random/uuid)
  {
    in_ceph ceph osd new "$id"
    in_ceph ceph-osd -i 0 --mkfs --osd-uuid "$id"
    in_ceph ceph osd crush add osd.0 1.0 root=default host=localhost
  } >>"$DIR/log/ceph-osd.log" 2>&1
  start ceph-osd ceph-osd -f -c "$DIR/work/s3/ceph.conf" -i 0
  wait_for 30 ceph-osd s3_store_ready
}

s3_store_ready() { in_ceph ceph osd stat 2>/dev/null | grep -q '1 up'; }

# s3_id: prints Ceph's identity of this cluster, the same for the same folder.
s3_id() { printf '%s' "$DIR" | sha256sum | sed -E 's/^(.{8})(.{4})(.{4})(.{4})(.{12}).*/\1-\2-\3-\4-\5/'; }

s3_keys() {
  ceph-authtool --create-keyring "$1" --gen-key -n mon. --cap mon 'allow *' >/dev/null
  ceph-authtool "$1" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *'
  ceph-authtool "$1" --gen-key -n client.rgw --cap mon 'allow *' --cap osd 'allow *'
  ceph-authtool "$1" --gen-key -n osd.0 --cap mon 'allow profile osd' --cap osd 'allow *'
}

s3_settings() {
  local home=$DIR/work/s3 secure
  secure="ssl_endpoint=127.0.0.1:$(port s3-tls) ssl_certificate=$DIR/pki/s3.crt ssl_private_key=$DIR/pki/s3.key"
  cat <<CONF
[global]
fsid = $(s3_id)
mon host = [v2:127.0.0.1:$(port ceph-mon),v1:127.0.0.1:$(port ceph-mon-old)]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind port min = $(port ceph-osd-first)
ms bind port max = $(port ceph-osd-last)
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
keyring = $home/keyring
run dir = $DIR/run
admin socket = $DIR/run/\$name.asok
pid file =
log file =
log to stderr = true
mon data = $home/mon
mon data avail warn = 1
mon data avail crit = 0
mon allow pool size one = true
osd data = $home/osd
osd objectstore = memstore
memstore device bytes = 4294967296
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:$(port s3) $secure
rgw enable usage log = false
CONF
}
