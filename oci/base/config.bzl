"""Content of the slim base: packages of Debian bookworm, by their names in //third_party/debian:lock.json."""

PACKAGES = [
    "base-files",
    "ca-certificates",
    "libc6",
    "libgcc-s1",
    "libstdc++6",
    "netbase",
    "tzdata",
]

# Python, without the libraries for installers, databases and terminals.
PYTHON_PACKAGES = [
    "libbz2-1.0",
    "libexpat1",
    "libffi8",
    "liblzma5",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "libssl3",
    "libuuid1",
    "python3-minimal",
    "python3.11-minimal",
    "zlib1g",
]

# Files that no program of the images uses: converters of character sets, libraries and scripts of debuggers and profilers, time zones with
# leap seconds, and the source of the time zones.
UNUSED = [
    "usr/lib/*/gconv/**",
    "usr/lib/*/libc_malloc_debug.so*",
    "usr/lib/*/libmemusage.so",
    "usr/lib/*/libpcprofile.so",
    "usr/lib/*/libthread_db.so*",
    "usr/share/gcc/**",
    "usr/share/gdb/**",
    "usr/share/zoneinfo/right/**",
    "usr/share/zoneinfo/tzdata.zi",
]

ARCHITECTURES = [
    "amd64",
    "arm64",
]
