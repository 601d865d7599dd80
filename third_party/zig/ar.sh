#!/bin/bash
# zig's llvm-ar. This is a template: toolchain.bzl replaces the words in braces.
export ZIG_GLOBAL_CACHE_DIR=/tmp/zig-cache ZIG_LOCAL_CACHE_DIR=/tmp/zig-cache
root=${0%/{SELF}}
[[ $root != "$0" ]] || root=$PWD
exec "$root/{ZIG}" ar "$@"
