#!/usr/bin/env bash
# Builds the private root: the directory tree in which tools/bazel runs Bazel on a machine that reaches package mirrors only.
# Bazel and the package clients (apt, pip, go) come from Debian testing or unstable, rules_go and gazelle from the Go module
# proxy. Requires apt and a Debian mirror; no privileges. The root is built under a temporary name and renamed when complete.
#
#   tools/bootstrap.sh key             print the key of the root for this checkout: a hash of everything that defines it
#   tools/bootstrap.sh root DIR CACHE  build the root in DIR and keep downloads in CACHE
set -euo pipefail

workspace=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
bazel_version=$(<"$workspace/.bazelversion")
readonly workspace bazel_version
readonly apt_sh=$workspace/tools/pin/apt/apt.sh # The mirror and the apt configuration, shared with tools/pin.

# Actions may call the essential packages (bash, coreutils). pip, go and apt fetch the archives of the lock files.
readonly packages=('?essential' bazel-bootstrap bazel-rules-shell bubblewrap ca-certificates golang-go python3-pip)
# Dependencies that are not installed: a root without a compiler cannot leak one into a build. zig is the compiler.
readonly left_out=(build-essential)
# Go modules that are also Bazel modules. go.mod has their versions, go.sum their hashes.
readonly bazel_modules=(rules_go=github.com/bazelbuild/rules_go gazelle=github.com/bazelbuild/bazel-gazelle)
readonly triplet=x86_64-linux-gnu

log() { printf 'tools/bazel: %s\n' "$*" >&2; }
# 36 is Bazel's exit code for a problem of the local machine.
die() { log "error: $*"; exit 36; }

key() {
  { cat "$workspace/tools/bootstrap.sh" "$apt_sh" "$workspace/.bazelversion"
    grep -E 'bazelbuild/(rules_go|bazel-gazelle) ' "$workspace/go.mod" "$workspace/go.sum" --no-filename
  } | sha256sum | cut -c1-16
}

# Prints the progress of a long step: on a terminal it rewrites one line, elsewhere it prints one line every ten seconds.
progress() {
  local now=${EPOCHSECONDS}
  if [[ -t 2 ]]; then
    printf '\r\033[Ktools/bazel: %s' "$*" >&2
  elif ((now - ${progress_time:-0} >= 10)); then
    progress_time=$now
    log "$*"
  fi
}
progress_done() { if [[ -t 2 ]]; then printf '\n' >&2; fi; }

# Prints the first error in a file of apt's output, else its first warning, else its last line.
apt_error() { grep -m1 '^E:' "$1" || grep -m1 '^W:' "$1" || tail -n1 "$1"; }

# Writes an apt configuration that is independent of the machine's sources, hooks and pins, and exports its path.
configure_apt() {
  local apt=$1 package
  mkdir -p "$apt"/{lists,archives}/partial
  for package in "${left_out[@]}"; do
    printf 'Package: %s\nStatus: install ok installed\nMaintainer: nobody\nArchitecture: amd64\nVersion: 99\nDescription: left out\n\n' "$package"
  done >"$apt/status"
  sh "$apt_sh" config "$apt" amd64 >"$apt/apt.conf" || die "cannot write $apt/apt.conf: the error is above"
  export APT_CONFIG=$apt/apt.conf
}

# Selects the Debian suite whose Bazel has the version of .bazelversion and fetches its package lists.
find_suite() {
  local apt=$1 mirror=$2 suite found seen=
  configure_apt "$apt"
  for suite in testing unstable; do
    # Mirrors in factories are often frozen, so the date of a valid signature may have passed. The version is checked below.
    printf 'deb [signed-by=%s check-valid-until=no] %s %s main\n' "$keyring" "$mirror" "$suite" >"$apt/sources.list"
    # Without retries, an unreachable mirror is reported within half a minute.
    apt-get -o Acquire::Retries=0 update >"$apt/log" 2>&1 ||
      die "no package list from $mirror ($suite): $(apt_error "$apt/log"). Check the mirror in /etc/apt and the network, or set DEBIAN_MIRROR"
    found=$(apt-cache policy bazel-bootstrap | sed -n 's/^  Candidate: \([0-9.]*\).*/\1/p')
    [[ $found != "$bazel_version" ]] || return 0
    seen+=" ${found:-none} in $suite;"
  done
  die "Debian's bazel-bootstrap is not version $bazel_version of .bazelversion: found$seen change .bazelversion, or use bazelisk on a direct network"
}

download() {
  local apt=$1 uris total size
  # Packages of an earlier run are already in the directory and not listed.
  uris=$(apt-get -y --print-uris install "${packages[@]}" 2>"$apt/log") ||
    die "apt cannot resolve ${packages[*]}: $(apt_error "$apt/log")"
  total=$(grep -c "^'" <<<"$uris" || true)
  apt-get -y --download-only install "${packages[@]}" >"$apt/log" 2>&1 &
  local pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    size=$(du -sm "$apt/archives" | cut -f1)
    progress "[2/4] downloading $total packages: $size MB"
    sleep 1
  done
  progress_done
  wait "$pid" || die "download failed: $(apt_error "$apt/log"). Run the command again to resume"
}

unpack() {
  local apt=$1 to=$2 deb count=0
  local -a debs=("$apt"/archives/*.deb)
  mkdir -p "$to"
  # base-files first: it creates the symbolic links of the merged /usr, which the other packages are unpacked through.
  for deb in "$apt"/archives/base-files_*.deb "${debs[@]}"; do
    progress "[3/4] unpacking $((++count))/${#debs[@]}"
    dpkg-deb --fsys-tarfile "$deb" |
      tar -x -C "$to" --keep-directory-symlink --no-same-owner --no-same-permissions \
        --exclude=./usr/share/{doc,man,locale,info} --exclude=./dev/'*' ||
      die "cannot unpack ${deb##*/} into $to: check that the disk has free space ($(df -h --output=avail "$to" | tail -n1) left)"
  done
  progress_done
}

# Does the work of the maintainer scripts that Bazel and the package clients depend on, and tests the root's bubblewrap.
finish() {
  local to=$1 path
  chmod -R u+rwX "$to"
  cat "$to"/usr/share/ca-certificates/mozilla/*.crt >"$to/etc/ssl/certs/ca-certificates.crt"
  # tools/bazel writes the needed options; the others of this file contradict them.
  rm "$to/etc/bazel/bazelrc"
  mkdir -p "$to"/etc/apt "$to"/usr/local/share/ca-certificates
  # Mount points for the host's own files.
  for path in resolv.conf hosts passwd group pip.conf; do : >"$to/etc/$path"; done
  cat >"$to/bwrap" <<'WRAPPER'
#!/bin/sh
# Runs the bubblewrap of this root with the C library of this root.
root=${0%/*}
exec "$root/usr/lib/TRIPLET/ld-linux-x86-64.so.2" --library-path "$root/usr/lib/TRIPLET" "$root/usr/bin/bwrap" "$@"
WRAPPER
  sed -i "s/TRIPLET/$triplet/g" "$to/bwrap"
  chmod +x "$to/bwrap"
  local error
  error=$("$to/bwrap" --tmpfs / --ro-bind "$to/usr" /usr --symlink usr/lib64 /lib64 --bind /proc /proc --dev /dev \
    /usr/bin/true 2>&1) ||
    die "bubblewrap cannot create a user namespace on this machine ($error): allow it (kernel.unprivileged_userns_clone=1, user.max_user_namespaces > 0, kernel.apparmor_restrict_unprivileged_userns=0), or run as root"
}

# Runs a command inside the root with one writable directory of the host.
inside() {
  local to=$1 writable=$2 path
  shift 2
  local -a binds=()
  for path in /etc/{resolv.conf,hosts,passwd,group} "$HOME/.config/go" "$HOME/.netrc"; do
    [[ -e $path ]] && binds+=(--ro-bind "$(readlink -f "$path")" "$path")
  done
  [[ -s /etc/ssl/certs/ca-certificates.crt ]] && binds+=(--ro-bind /etc/ssl /etc/ssl --ro-bind /usr/share/ca-certificates /usr/share/ca-certificates)
  "$to/bwrap" --tmpfs / --ro-bind "$to/usr" /usr --ro-bind "$to/etc" /etc \
    --symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64 \
    --bind /proc /proc --dev /dev --tmpfs /tmp --dir "$HOME" "${binds[@]}" \
    --bind "$writable" "$writable" --setenv PATH /usr/bin "$@"
}

# Creates the directories of rules_go and gazelle for --override_module. go checks the modules against go.sum. Module zips
# have neither executable bits nor gazelle's vendor directory, so both are added to a copy.
bazel_modules() {
  local to=$1 cache=$2 entry name path dir
  mkdir -p "$to/modules" "$cache/go"
  local -a go=(inside "$to" "$cache" --setenv GOMODCACHE "$cache/go" --setenv GOTOOLCHAIN local --setenv GOFLAGS ""
    --setenv GOCACHE /tmp/go-build)
  local json version sum
  for entry in "${bazel_modules[@]}"; do
    name=${entry%%=*} path=${entry#*=}
    version=$(sed -n "s#.*$path \(v[^ ]*\).*#\1#p" "$workspace/go.mod")
    log "[4/4] $path $version from the Go module proxy"
    json=$("${go[@]}" --chdir /tmp go mod download -json "$path@$version") ||
      die "go cannot fetch $path@$version: check that the proxy of 'go env GOPROXY' is reachable: $(sed -n 's/^\t"Error": //p' <<<"$json")"
    sum=$(sed -n 's/^\t"Sum": "\(.*\)",\?$/\1/p' <<<"$json")
    grep -qxF "$path $version $sum" "$workspace/go.sum" ||
      die "$path@$version: found hash $sum, expected $(grep -F "$path $version h1:" "$workspace/go.sum" || echo 'a line in go.sum')"
    dir=$(sed -n 's/^\t"Dir": "\(.*\)",\?$/\1/p' <<<"$json")
    cp -R "$dir" "$to/modules/$name"
    chmod -R u+w "$to/modules/$name"
    find "$to/modules/$name" -name '*.sh' -exec chmod +x {} +
  done
  "${go[@]}" --chdir "$to/modules/gazelle" go mod vendor -e 2>/dev/null ||
    die "go cannot fetch the dependencies of gazelle: check that the proxy of 'go env GOPROXY' is reachable"
}

root() {
  local to=$1 cache=$2 mirror
  [[ $(uname -m) == x86_64 ]] || die "unsupported build machine $(uname -m): a private root requires x86_64"
  local command
  for command in apt-get apt-cache apt-config dpkg-deb flock tar; do
    command -v "$command" >/dev/null ||
      die "$command not found: a mirrored network requires a Debian machine; on other machines install bazelisk and use a direct network"
  done
  keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  [[ -f $keyring ]] || die "$keyring not found: install debian-archive-keyring, which verifies Debian's packages"
  mirror=$(sh "$apt_sh" mirror 2>&1) || die "${mirror//$'\n'/ }"

  mkdir -p "$cache" || die "cannot create the cache directory $cache: set KRABBY_CACHE to a writable directory"
  exec 9>"$cache/root.lock"
  flock -n 9 || { log "waiting for another run that builds the root"; flock 9; }
  [[ ! -x $to/bwrap ]] || return 0
  local half=$to.half
  rm -rf "$half"

  log "building the private root for Bazel $bazel_version: 1.5 GB, once (2 to 5 minutes)"
  local apt=$cache/apt
  log "[1/4] package lists from $mirror"
  find_suite "$apt" "$mirror"
  download "$apt"
  unpack "$apt" "$half"
  finish "$half"
  bazel_modules "$half" "$cache"
  mv "$half" "$to"
  rm -rf "$apt/archives"
}

case ${1:-} in
  key) key ;;
  root) root "$2" "$3" ;;
  *) sed -n '2,/^set/{/^#/p}' "$0"; exit 2 ;;
esac
