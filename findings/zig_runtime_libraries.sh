#!/usr/bin/env bash
# zig builds the runtime libraries of a program for size only with -Os; other levels make them over three times as large.
#
# Versions: ziglang 0.14.1 (zig's wheel), target aarch64-linux-gnu.2.35.
#
# `zig cc` and `zig c++` build compiler_rt, libunwind and libc++ from source at the first link, and keep them in zig's cache. One would
# expect their optimization to be zig's choice, or that of a release at -O2. It follows the program: -Os selects small libraries without
# debug information. No option, -O0 and -O2 select fast ones, with debug information in libunwind: -O2 does not make a library without it,
# and -g0 does not either. libc++.a, which takes over a minute, goes from 14.2 MB to 2.1 MB in the same way.
#
# Output:
#   none: libcompiler_rt.a 1800 kB, libunwind.a 313 kB, debug information
#   -O0: libcompiler_rt.a 1800 kB, libunwind.a 313 kB, debug information
#   -O2: libcompiler_rt.a 1800 kB, libunwind.a 313 kB, debug information
#   -Os: libcompiler_rt.a 330 kB, libunwind.a 87 kB, no debug information
#   -O2 -g0: libcompiler_rt.a 1800 kB, libunwind.a 313 kB, debug information
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check ziglang==0.14.1
zig=$(echo "$dir"/venv/lib/python*/site-packages/ziglang/zig)
echo 'int main(void) { return 0; }' >"$dir/main.c"

# Prints the sizes of the libraries that a link with options builds.
libraries() {
  local cache=$dir/cache.$RANDOM.$RANDOM
  ZIG_GLOBAL_CACHE_DIR=$cache ZIG_LOCAL_CACHE_DIR=$cache "$zig" cc -target aarch64-linux-gnu.2.35 "$@" "$dir/main.c" -lunwind -o "$dir/main"
  echo "$(stat -c %s "$cache"/o/*/libcompiler_rt.a) $(stat -c %s "$cache"/o/*/libunwind.a) $(grep -aoc '\.debug_info' "$cache"/o/*/libunwind.a || true)"
}

declare -A sizes
for level in none -O0 -O2 -Os "-O2 -g0"; do
  options=()
  [[ $level == none ]] || read -ra options <<<"$level"
  sizes[$level]=$(libraries "${options[@]}")
  read -r rt unwind debug <<<"${sizes[$level]}"
  ((debug > 0)) && debug= || debug="no "
  echo "$level: libcompiler_rt.a $((rt / 1000)) kB, libunwind.a $((unwind / 1000)) kB, ${debug}debug information"
done
read -r small_rt small_unwind _ <<<"${sizes[-Os]}"
for level in none -O0 -O2; do
  read -r rt unwind _ <<<"${sizes[$level]}"
  ((rt > 3 * small_rt && unwind > 3 * small_unwind)) || { echo "the behaviour has changed" >&2; exit 1; }
done
