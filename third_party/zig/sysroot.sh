#!/bin/bash
# Builds the files for all links from zig's sources: the runtime libraries of C++ and of the compiler, start files, and stubs of the
# C library. zig builds them when it links, so this script links two small programs.
#
#   sysroot.sh ZIG TARGET OUTPUT
set -euo pipefail
readonly zig=$1 target=$2 output=$3

# The libraries contain paths, so zig uses paths that are the same in every sandbox (/tmp is private).
export ZIG_LIB_DIR=/tmp/zig ZIG_GLOBAL_CACHE_DIR=/tmp/zig-cache ZIG_LOCAL_CACHE_DIR=/tmp/zig-cache
ln -sfn "$PWD/${zig%/*}/lib" "$ZIG_LIB_DIR"
printf '#include <iostream>\nint main() { try { throw 1; } catch (int) { std::cout << 1; } }\n' >/tmp/main.cc
"$zig" c++ -target "$target" -fno-sanitize=undefined /tmp/main.cc -o /tmp/main
"$zig" c++ -target "$target" -fno-sanitize=undefined -fPIC -pie /tmp/main.cc -o /tmp/main

for name in libc++.a libc++abi.a libunwind.a libcompiler_rt.a libc_nonshared.a crt1.o Scrt1.o libc.so.6 libm.so.6 libld.so.2; do
  found=("$ZIG_GLOBAL_CACHE_DIR"/o/*/"$name")
  [[ -f ${found[0]} ]] || { echo "sysroot.sh: zig did not build $name for $target" >&2; exit 1; }
  cp "${found[0]}" "$output/$name"
done
mv "$output/libld.so.2" "$output/ld.so"
