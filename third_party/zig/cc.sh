#!/bin/bash
# The C and C++ compiler driver and linker for {TARGET}: zig's clang compiles, zig's lld links against the runtime libraries of the
# sysroot. This is a template: toolchain.bzl replaces the words in braces.
set -euo pipefail

# Bazel starts this script from the execution root, `go build` by its absolute path from other directories.
root=${0%/{SELF}}
[[ $root != "$0" ]] || root=$PWD
readonly root zig=$root/{ZIG} sysroot=$root/{SYSROOT}

compile=
language=cc
for argument in "$@"; do
  case $argument in
    -c | -S | -E | -M | -MM | --version | -v | -print-*) compile=1 ;;
    *.cc | *.cpp | *.cxx | *.C) language=c++ ;;
  esac
done

if [[ $compile ]]; then
  # Outputs contain paths, so zig reads its headers at a path that is the same in every sandbox (/tmp is private). An action can start
  # several compilers at the same time.
  export ZIG_LIB_DIR=/tmp/zig ZIG_GLOBAL_CACHE_DIR=/tmp/zig-cache ZIG_LOCAL_CACHE_DIR=/tmp/zig-cache
  if [[ ! -d $ZIG_LIB_DIR ]]; then
    mkdir "$ZIG_LIB_DIR.$$"
    for headers in {C_HEADERS} {CC_HEADERS}; do
      # A compilation of C does not get the headers of C++.
      [[ ! -e $root/$headers ]] || tar --extract --file "$root/$headers" --directory "$ZIG_LIB_DIR.$$" --no-same-owner
    done
    mv --no-target-directory "$ZIG_LIB_DIR.$$" "$ZIG_LIB_DIR" 2>/dev/null || rm -r "$ZIG_LIB_DIR.$$"
  fi
  exec "$zig" "$language" -target {TARGET}.{GLIBC} -fno-sanitize=undefined \
    -ffile-prefix-map="$root"=. -ffile-compilation-dir=. "$@"
fi

# Collects the options for lld. The other options of the driver concern compilation only.
start=$sysroot/crt1.o
kind=(-no-pie)
options=()
while (($#)); do
  case $1 in
    @*) mapfile -t words <"${1#@}" && set -- "" "${words[@]}" "${@:2}" ;;
    -Wl,*) IFS=, read -ra words <<<"${1#-Wl,}" && options+=("${words[@]}") ;;
    -Xlinker) options+=("$2") && shift ;;
    -o | -L | -T | -z) options+=("$1" "$2") && shift ;;
    -shared) start= kind=(-shared) ;;
    -pie) start=$sysroot/Scrt1.o kind=(-pie) ;;
    -no-pie | -nopie) ;;
    -static) echo "cc: {TARGET} has no static C library" >&2 && exit 1 ;;
    -rdynamic) options+=(--export-dynamic) ;;
    -s | -S) options+=("$1") ;;
    # Part of the C library since glibc 2.34, or in the command below.
    -lc | -lm | -ldl | -lpthread | -lrt | -lutil | -lresolv | -lc++ | -lstdc++ | -lgcc | -lgcc_s) ;;
    -target | --target | -arch | -include | -isystem | -I | -x | -MF | -MT) shift ;;
    -L* | -l*) options+=("$1") ;;
    -*) ;;
    *) options+=("$1") ;;
  esac
  shift
done
exec "$zig" ld.lld -m {EMULATION} "${kind[@]}" -dynamic-linker {LOADER} --eh-frame-hdr --build-id=none -z now -z relro \
  $start "${options[@]}" --as-needed "$sysroot"/{libc++.a,libc++abi.a,libunwind.a,libm.so.6,libc.so.6,libc_nonshared.a,ld.so,libcompiler_rt.a}
