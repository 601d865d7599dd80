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

# Files that no program of the images uses: character set converters, time zones with leap seconds.
UNUSED = [
    "usr/lib/*/gconv/**",
    "usr/share/zoneinfo/right/**",
]

ARCHITECTURES = [
    "amd64",
    "arm64",
]
