#!/bin/bash
# Builds the files for all links from zig's sources: start files, stubs of the C library, and the runtime libraries of the compiler and
# of C++.
#
#   sysroot.sh ZIG TARGET OUTPUT
set -euo pipefail
readonly zig=$1 target=$2 output=$3

# The libraries contain paths, so zig uses paths that are the same in every sandbox (/tmp is private).
export ZIG_LIB_DIR=/tmp/zig ZIG_GLOBAL_CACHE_DIR=/tmp/zig-cache ZIG_LOCAL_CACHE_DIR=/tmp/zig-cache
ln -sfn "$PWD/${zig%/*}/lib" "$ZIG_LIB_DIR"
readonly cxx=$ZIG_LIB_DIR/libcxx/src cxxabi=$ZIG_LIB_DIR/libcxxabi/src

# compile SOURCE OBJECT OPTIONS... compiles a part of a C++ library, with zig's options for it.
compile() {
  "$zig" c++ -c -target "$target" -std=c++23 -Os -w -fPIC -fno-sanitize=undefined -ffunction-sections -fdata-sections \
    -fvisibility=hidden -fvisibility-inlines-hidden -D_LIBCPP_DISABLE_VISIBILITY_ANNOTATIONS \
    -D_LIBCXXABI_DISABLE_VISIBILITY_ANNOTATIONS "-I$cxx" "${@:3}" "$1" -o "$2"
}

# Files of libc++ that are objects of their own: most change the headers for an old ABI before they include them; the object of
# iostream.cpp has initializers, which belong only in programs with these streams.
readonly own=(condition_variable_destructor error_category iostream memory mutex_destructor regex strstream)

# zig compiles each file of libc++ and libc++abi alone, and all parse the same headers. One unit for the rest takes a third of the time.
# Left out are files that zig leaves out for this target, too, or that define the same functions again.
unit() {
  local source=$1 file
  shift
  for file in "$@"; do
    [[ " ${own[*]} int128_builtins cxa_noexception " == *" $(basename "$file" .cpp) "* ]] || echo "#include \"$file\""
  done >"$source"
}
unit /tmp/libcxx.cpp "$cxx"/*.cpp "$cxx"/{filesystem,ryu}/*.cpp
unit /tmp/libcxxabi.cpp "$cxxabi"/*.cpp

# The largest unit takes as long as all others.
readonly libcxx=(-D_LIBCPP_BUILDING_LIBRARY -DLIBCXX_BUILDING_LIBCXXABI)
compile /tmp/libcxx.cpp /tmp/libcxx.o "${libcxx[@]}" &
for name in "${own[@]}"; do
  compile "$cxx/$name.cpp" "/tmp/libcxx_$name.o" "${libcxx[@]}"
done
compile /tmp/libcxxabi.cpp /tmp/libcxxabi.o -D_LIBCXXABI_BUILDING_LIBRARY -DHAVE___CXA_THREAD_ATEXIT_IMPL \
  -D_LIBCPP_ENABLE_CXX17_REMOVED_UNEXPECTED_FUNCTIONS

# zig builds the libraries for C when it links a program.
echo 'int main(void) { return 0; }' >/tmp/main.c
"$zig" cc -target "$target" -Os -fno-sanitize=undefined /tmp/main.c -lunwind -o /tmp/main
"$zig" cc -target "$target" -Os -fno-sanitize=undefined -fPIC -pie /tmp/main.c -lunwind -o /tmp/main
for name in libunwind.a libcompiler_rt.a libc_nonshared.a crt1.o Scrt1.o libc.so.6 libm.so.6 libld.so.2; do
  found=("$ZIG_GLOBAL_CACHE_DIR"/o/*/"$name")
  [[ -f ${found[0]} ]] || { echo "sysroot.sh: zig did not build $name for $target" >&2; exit 1; }
  cp "${found[0]}" "$output/$name"
done
mv "$output/libld.so.2" "$output/ld.so"

wait $!
"$zig" ar rcsD "$output/libc++.a" /tmp/libcxx.o /tmp/libcxx_*.o
"$zig" ar rcsD "$output/libc++abi.a" /tmp/libcxxabi.o
