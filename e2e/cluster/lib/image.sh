# shellcheck shell=bash
# Packs folders as container images and gives them to the node. No image is ever pulled.
#
# In: DIR · Out: image_pack, image_import. The same folder gives the same bytes.

IMAGE_PREFIX=backstay.dev/e2e

# image_import NAME TAR PROGRAM: packs one static program as IMAGE_PREFIX/NAME:1 and imports it.
image_import() {
  local root=$DIR/work/image-$1 applet
  rm -rf "$root"
  mkdir -p "$root"/{bin,etc,root,tmp,var/run}
  chmod 1777 "$root/tmp"
  printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$root/etc/passwd"
  printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
  cp "$3" "$root/bin/$1"
  if [[ $1 == busybox ]]; then
    for applet in $("$3" --list); do [[ $applet == busybox ]] || ln -s busybox "$root/bin/$applet"; done
    image_pack "$IMAGE_PREFIX/$1:1" "$root" "$2" '["sh"]'
  else
    image_pack "$IMAGE_PREFIX/$1:1" "$root" "$2" "[\"/bin/$1\"]"
  fi
  ctr_in image import --snapshotter overlayfs "$2" >/dev/null
  rm -rf "$root" "$2"
}

# image_pack TAG ROOT TAR COMMAND-AS-JSON: writes a docker archive with one layer.
image_pack() {
  local work digest
  work=$(mktemp -d "$DIR/work/pack.XXXXXX")
  tar -C "$2" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf "$work/layer.tar" .
  digest=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
  jq -n --arg digest "sha256:$digest" --argjson command "$4" '{
    architecture: "amd64", os: "linux", created: "1970-01-01T00:00:00Z",
    config: {Cmd: $command, Env: ["PATH=/bin:/sbin:/usr/bin"], WorkingDir: "/"},
    rootfs: {type: "layers", diff_ids: [$digest]}}' >"$work/config.json"
  jq -n --arg tag "$1" '[{Config: "config.json", RepoTags: [$tag], Layers: ["layer.tar"]}]' >"$work/manifest.json"
  tar -C "$work" --sort=name --mtime=@0 --owner=0 --group=0 -cf "$3" manifest.json config.json layer.tar
  rm -rf "$work"
}
