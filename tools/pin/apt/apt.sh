#!/bin/sh
# Prints the Debian mirror and the apt configuration of this repository. tools/bootstrap.sh, tools/pin and
# third_party/debian call this script, so all of them use the same mirror and require signed package lists.
#
#   apt.sh mirror                      print the Debian mirror: DEBIAN_MIRROR, or the first mirror of this machine's apt
#   apt.sh config DIR ARCHITECTURE...  print a complete apt.conf that keeps its state in DIR; the first architecture is native
#
# It calls apt-get and apt-config and no other program. Errors go to standard error; the exit code is then not 0.
set -eu

fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

# Prints the first mirror of the component main in this machine's apt configuration.
configured_mirror() {
  # shellcheck disable=SC2016 # apt-get expands the names.
  targets=$(apt-get indextargets --format '$(COMPONENT) $(REPO_URI)' 'Created-By: Packages' 2>&1) ||
    fail "apt-get indextargets: $targets"
  while read -r component uri; do
    uri=${uri%/}
    case $component:$uri in
      main:*/debian)
        printf '%s\n' "$uri"
        return
        ;;
    esac
  done <<TARGETS
$targets
TARGETS
  fail "no Debian mirror found in this machine's apt configuration: set DEBIAN_MIRROR to an address such as http://mirror.example/debian"
}

print_mirror() {
  mirror=${DEBIAN_MIRROR:-}
  [ -n "$mirror" ] || mirror=$(configured_mirror)
  # The mirror becomes one word of sources.list.
  case $mirror in
    *[[:space:]]* | *'['* | *']'* | *'#'*) ;;
    *:/*)
      printf '%s\n' "${mirror%/}"
      return
      ;;
  esac
  fail "invalid Debian mirror \"$mirror\": expected an address such as http://mirror.example/debian"
}

# The configuration replaces the machine's sources, hooks and pins. It keeps the machine's section Acquire: proxies,
# certificates, timeouts. Settings below override that section, so an unsigned package list is an error on every machine.
#
# APT::Sandbox::User is root because apt's own user cannot read DIR. With Error-Mode "any", an incomplete list is an error.
print_config() {
  dir=$1 native=$2
  shift
  architectures=
  for architecture in "$@"; do
    architectures="$architectures \"$architecture\";"
  done
  apt-config dump --format '%F "%v";%n' Acquire
  while read -r name value; do
    printf '%s "%s";\n' "$name" "$value"
  done <<SETTINGS
Dir::State $dir
Dir::State::status $dir/status
Dir::State::lists $dir/lists
Dir::Cache $dir
Dir::Cache::archives $dir/archives
Dir::Cache::pkgcache
Dir::Cache::srcpkgcache
Dir::Etc::main /dev/null
Dir::Etc::parts /dev/null
Dir::Etc::sourcelist $dir/sources.list
Dir::Etc::sourceparts /dev/null
Dir::Etc::preferences /dev/null
Dir::Etc::preferencesparts /dev/null
APT::Architecture $native
APT::Get::AllowUnauthenticated false
APT::Install-Recommends false
APT::Sandbox::User root
APT::Update::Error-Mode any
Acquire::AllowDowngradeToInsecureRepositories false
Acquire::AllowInsecureRepositories false
Acquire::AllowWeakRepositories false
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled false
Acquire::Languages none
Acquire::Retries 2
Acquire::http::Timeout 10
Acquire::https::Timeout 10
SETTINGS
  printf 'APT::Architectures {%s };\n' "$architectures"
}

case ${1:-}:$# in
  mirror:1) print_mirror ;;
  config:[3-9])
    shift
    print_config "$@"
    ;;
  *) fail "usage: apt.sh mirror | apt.sh config DIR ARCHITECTURE..." ;;
esac
