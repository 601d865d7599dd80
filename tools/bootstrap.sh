#!/usr/bin/env bash
# Builds the private root that Bazel runs in where only package mirrors are reachable (see tools/bazel): Bazel and the
# package clients (apt, pip, go) from Debian testing, rules_go and gazelle from the Go module proxy. Needs apt and a
# Debian mirror, nothing else, and no privileges. Everything is made beside its final name and renamed when whole.
#
#   tools/bootstrap.sh key             print the name of the root that this checkout wants
#   tools/bootstrap.sh mirror          print the Debian mirror that this machine's apt uses
#   tools/bootstrap.sh root DIR CACHE  build it as DIR, keeping downloads in CACHE
set -euo pipefail

workspace=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
bazel_version=$(<"$workspace/.bazelversion")
readonly workspace bazel_version

# What actions may call (bash, coreutils) is essential; pip, go and apt fetch what the lock files pin.
readonly packages=('?essential' bazel-bootstrap bazel-rules-shell bubblewrap ca-certificates golang-go python3-pip)
# Dependencies that must stay out: with no compiler in the root, none can leak into a build. zig is the compiler.
readonly left_out=(build-essential)
# The Go modules that are Bazel modules too; go.mod has their versions, go.sum their hashes.
readonly bazel_modules=(rules_go=github.com/bazelbuild/rules_go gazelle=github.com/bazelbuild/bazel-gazelle)
readonly triplet=x86_64-linux-gnu

say() { printf 'tools/bazel: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 36; }

key() {
  { cat "$workspace/tools/bootstrap.sh" "$workspace/.bazelversion"
    grep -E 'bazelbuild/(rules_go|bazel-gazelle) ' "$workspace/go.mod" "$workspace/go.sum" --no-filename
  } | sha256sum | cut -c1-16
}

# Rewrites one line with the state of a long step on a terminal; elsewhere says it once every ten seconds.
progress() {
  local now=${EPOCHSECONDS}
  if [[ -t 2 ]]; then
    printf '\r\033[Ktools/bazel: %s' "$*" >&2
  elif ((now - ${progress_said:-0} >= 10)); then
    progress_said=$now
    say "$*"
  fi
}
progress_done() { if [[ -t 2 ]]; then printf '\n' >&2; fi; }

# The mirror that this machine's apt takes Debian's main component from.
debian_mirror() {
  if [[ -n ${DEBIAN_MIRROR:-} ]]; then
    echo "${DEBIAN_MIRROR%/}"
    return
  fi
  local uri component
  while read -r uri component; do
    uri=${uri%/}
    if [[ $component == main && $uri == */debian ]]; then
      echo "$uri"
      return
    fi
  done < <(APT_CONFIG= apt-get indextargets --format '$(REPO_URI) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null)
}

# A complete apt configuration of our own, so that the host's sources, hooks and pins play no part; what the machine
# says about reaching its mirror (proxies, certificates, timeouts) is kept.
configure_apt() {
  local apt=$1 mirror=$2 suite=$3
  mkdir -p "$apt"/{lists,archives}/partial
  local package
  for package in "${left_out[@]}"; do
    printf 'Package: %s\nStatus: install ok installed\nMaintainer: nobody\nArchitecture: amd64\nVersion: 99\nDescription: left out\n\n' "$package"
  done >"$apt/status"
  # Frozen mirrors are usual in factories, so the signature must be right but may be old; find_suite checks the version.
  printf 'deb [signed-by=%s check-valid-until=no] %s %s main\n' "$keyring" "$mirror" "$suite" >"$apt/sources.list"
  {
    apt-config dump --format '%F "%v";%n' Acquire
    cat <<CONFIG
Dir::State "$apt";
Dir::State::status "$apt/status";
Dir::State::lists "$apt/lists";
Dir::Cache "$apt";
Dir::Cache::archives "$apt/archives";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Install-Recommends "false";
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::Retries "1";
Acquire::http::Timeout "10";
Acquire::https::Timeout "10";
CONFIG
  } >"$apt/apt.conf"
  export APT_CONFIG=$apt/apt.conf
}

# Leaves APT_CONFIG pointing at a Debian suite whose Bazel is the one that .bazelversion names.
find_suite() {
  local apt=$1 mirror=$2 suite found seen=
  for suite in testing unstable; do
    configure_apt "$apt" "$mirror" "$suite"
    # Without a second try: a silent mirror is to be told within half a minute.
    apt-get -o Acquire::Retries=0 update >"$apt/log" 2>&1 ||
      die "no package list from $mirror ($suite): $(grep -m1 '^[EW]:' "$apt/log" || tail -n1 "$apt/log"). Is the mirror in /etc/apt right, and the network up? DEBIAN_MIRROR names another"
    found=$(apt-cache policy bazel-bootstrap | sed -n 's/^  Candidate: \([0-9.]*\).*/\1/p')
    [[ $found != "$bazel_version" ]] || return 0
    seen+=" ${found:-none} in $suite;"
  done
  die "Debian's bazel-bootstrap is not the $bazel_version that .bazelversion wants:$seen move .bazelversion, or use bazelisk on a direct network"
}

download() {
  local apt=$1 uris total size
  # What an earlier run downloaded is not listed again.
  uris=$(apt-get -y --print-uris install "${packages[@]}" 2>"$apt/log") ||
    die "apt cannot resolve ${packages[*]}: $(grep -m1 '^E:' "$apt/log" || tail -n1 "$apt/log")"
  total=$(grep -c "^'" <<<"$uris" || true)
  apt-get -y --download-only install "${packages[@]}" >"$apt/log" 2>&1 &
  local pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    size=$(du -sm "$apt/archives" | cut -f1)
    progress "[2/4] downloading $total packages: $size MB"
    sleep 1
  done
  progress_done
  wait "$pid" || die "the download failed: $(grep -m1 '^E:' "$apt/log" || tail -n1 "$apt/log"). Run again to go on where it stopped"
}

unpack() {
  local apt=$1 to=$2 deb count=0
  local -a debs=("$apt"/archives/*.deb)
  mkdir -p "$to"
  # base-files first: it makes the symlinks of the merged /usr that the others are unpacked through.
  for deb in "$apt"/archives/base-files_*.deb "${debs[@]}"; do
    progress "[3/4] unpacking $((++count))/${#debs[@]}"
    dpkg-deb --fsys-tarfile "$deb" |
      tar -x -C "$to" --keep-directory-symlink --no-same-owner --no-same-permissions \
        --exclude=./usr/share/{doc,man,locale,info} --exclude=./dev/'*' ||
      die "cannot unpack ${deb##*/}: is the disk full? $(df -h --output=avail "$to" | tail -n1) left"
  done
  progress_done
}

# What maintainer scripts would have done, as far as Bazel and the package clients need it.
finish() {
  local to=$1 path
  chmod -R u+rwX "$to"
  cat "$to"/usr/share/ca-certificates/mozilla/*.crt >"$to/etc/ssl/certs/ca-certificates.crt"
  # tools/bazel writes what is needed of it, and would be contradicted by the rest.
  rm "$to/etc/bazel/bazelrc"
  mkdir -p "$to"/etc/apt "$to"/usr/local/share/ca-certificates
  # Places for tools/bazel to bind the host's own files on.
  for path in resolv.conf hosts passwd group pip.conf; do : >"$to/etc/$path"; done
  cat >"$to/bwrap" <<'WRAPPER'
#!/bin/sh
# Runs this root's bubblewrap with this root's C library, whatever the host's.
root=${0%/*}
exec "$root/usr/lib/TRIPLET/ld-linux-x86-64.so.2" --library-path "$root/usr/lib/TRIPLET" "$root/usr/bin/bwrap" "$@"
WRAPPER
  sed -i "s/TRIPLET/$triplet/g" "$to/bwrap"
  chmod +x "$to/bwrap"
  local error
  error=$("$to/bwrap" --tmpfs / --ro-bind "$to/usr" /usr --symlink usr/lib64 /lib64 --bind /proc /proc --dev /dev \
    /usr/bin/true 2>&1) ||
    die "this machine does not let bubblewrap make a user namespace ($error): allow it (kernel.unprivileged_userns_clone=1, user.max_user_namespaces > 0, kernel.apparmor_restrict_unprivileged_userns=0), or run as root"
}

# Runs a command of the root with one folder of the host writable.
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

# rules_go and gazelle as folders for --override_module. Module zips carry neither executable bits nor gazelle's
# vendor folder, so both are put back in a copy; hashes are checked against go.sum by go itself.
bazel_modules() {
  local to=$1 cache=$2 entry name path dir
  mkdir -p "$to/modules" "$cache/go"
  local -a go=(inside "$to" "$cache" --setenv GOMODCACHE "$cache/go" --setenv GOTOOLCHAIN local --setenv GOFLAGS ""
    --setenv GOCACHE /tmp/go-build)
  local json version sum
  for entry in "${bazel_modules[@]}"; do
    name=${entry%%=*} path=${entry#*=}
    version=$(sed -n "s#.*$path \(v[^ ]*\).*#\1#p" "$workspace/go.mod")
    say "[4/4] $path $version from the Go module proxy"
    json=$("${go[@]}" --chdir /tmp go mod download -json "$path@$version") ||
      die "go cannot fetch $path@$version: is the proxy that 'go env GOPROXY' names reachable? $(sed -n 's/^\t"Error": //p' <<<"$json")"
    sum=$(sed -n 's/^\t"Sum": "\(.*\)",\?$/\1/p' <<<"$json")
    grep -qxF "$path $version $sum" "$workspace/go.sum" ||
      die "$path@$version: found $sum, expected $(grep -F "$path $version h1:" "$workspace/go.sum" || echo 'a line in go.sum')"
    dir=$(sed -n 's/^\t"Dir": "\(.*\)",\?$/\1/p' <<<"$json")
    cp -R "$dir" "$to/modules/$name"
    chmod -R u+w "$to/modules/$name"
    find "$to/modules/$name" -name '*.sh' -exec chmod +x {} +
  done
  "${go[@]}" --chdir "$to/modules/gazelle" go mod vendor -e 2>/dev/null ||
    die "go cannot fetch the dependencies of gazelle: is the proxy that 'go env GOPROXY' names reachable?"
}

root() {
  local to=$1 cache=$2 mirror
  [[ $(uname -m) == x86_64 ]] || die "the build machine must be x86_64 to build in a private root, this is $(uname -m)"
  local command
  for command in apt-get apt-cache apt-config dpkg-deb flock tar; do
    command -v "$command" >/dev/null ||
      die "$command is missing: a mirrored network needs a Debian machine; elsewhere install bazelisk and use a direct one"
  done
  keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  [[ -f $keyring ]] || die "$keyring is missing: install debian-archive-keyring, Debian's packages are checked with it"
  mirror=$(debian_mirror)
  [[ -n $mirror ]] || die "this machine's apt names no Debian mirror: set DEBIAN_MIRROR to the address of one, up to .../debian"

  mkdir -p "$cache" || die "cannot make the cache folder $cache: set KRABBY_CACHE to a writable place"
  exec 9>"$cache/root.lock"
  flock -n 9 || { say "another run is building the root, waiting for it"; flock 9; }
  [[ ! -x $to/bwrap ]] || return 0
  local half=$to.half
  rm -rf "$half"

  say "building the private root for Bazel $bazel_version: 1.5 GB, once (2 to 5 minutes)"
  local apt=$cache/apt
  say "[1/4] package lists from $mirror"
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
  mirror) debian_mirror ;;
  root) root "$2" "$3" ;;
  *) sed -n '2,/^set/{/^#/p}' "$0"; exit 2 ;;
esac
