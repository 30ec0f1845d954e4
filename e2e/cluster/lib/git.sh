# shellcheck shell=bash
# A Git service: the same bare repositories over HTTP and HTTPS with a password, and over SSH with a key.
#
# In: DIR, SLOT · Out: git_missing, git_alive, git_up, git_down, repository; DIR/git, DIR/ssh

GIT_USER=backstay
GIT_PASSWORD=e2e-git-password

git_missing() {
  have git || echo "git is not installed (e2e/cluster/install)"
  [[ -x $CACHE/bin/gitserver ]] || echo "the Git server is not built (e2e/cluster/install, needs Go)"
  [[ -x /usr/sbin/sshd ]] && have ssh-keygen || echo "openssh-server is not installed (e2e/cluster/install)"
}

git_alive() { alive gitserver && alive sshd; }

git_down() { stop gitserver sshd; }

git_up() {
  rm -rf "$DIR/git"
  mkdir -p "$DIR/git"
  GITSERVER_PASSWORD=$GIT_PASSWORD start gitserver "$CACHE/bin/gitserver" -root "$DIR/git" -user "$GIT_USER" \
    -http "127.0.0.1:$(port git)" -https "127.0.0.1:$(port git-tls)" -cert "$DIR/pki/s3.crt" -key "$DIR/pki/s3.key"
  ssh_up
  wait_for 10 gitserver answers "http://127.0.0.1:$(port git)/healthz"
  wait_for 10 sshd ssh_answers
}

ssh_up() {
  local home=$DIR/ssh inside=()
  mkdir -p "$home"
  chmod 700 "$home"
  [[ -s $home/host ]] || ssh-keygen -q -t ed25519 -N '' -C backstay-e2e-host -f "$home/host"
  [[ -s $home/id ]] || ssh-keygen -q -t ed25519 -N '' -C backstay-e2e -f "$home/id"
  cp "$home/id.pub" "$home/authorized_keys"
  printf '[127.0.0.1]:%d %s\n' "$(port ssh)" "$(cut -d' ' -f1,2 "$home/host.pub")" >"$home/known_hosts"
  ssh_settings >"$home/sshd_config"
  # As root, sshd insists on a folder under /run, which the nest has.
  if alive nest; then inside=(nsenter --mount="$(nest_path)" --); fi
  start sshd "${inside[@]}" /usr/sbin/sshd -D -e -f "$home/sshd_config"
}

ssh_settings() {
  cat <<CONF
ListenAddress 127.0.0.1
Port $(port ssh)
HostKey $DIR/ssh/host
AuthorizedKeysFile $DIR/ssh/authorized_keys
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AcceptEnv GIT_PROTOCOL
PrintMotd no
MaxStartups 100
CONF
}

ssh_answers() {
  ssh -F none -i "$DIR/ssh/id" -p "$(port ssh)" -o BatchMode=yes -o IdentitiesOnly=yes \
    -o UserKnownHostsFile="$DIR/ssh/known_hosts" "$(id -un)@127.0.0.1" true
}

# repository NAME: makes DIR/git/NAME.git, empty, with the branch main to come; takes pushes by every way in.
repository() {
  [[ $1 =~ ^[a-zA-Z0-9][a-zA-Z0-9._-]*$ ]] || die "not a repository's name: $1"
  [[ ! -e $DIR/git/$1.git ]] || die "the repository is there already: $DIR/git/$1.git"
  git init -q --bare --initial-branch=main "$DIR/git/$1.git"
}
