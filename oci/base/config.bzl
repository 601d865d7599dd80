"""What is in the slim base: packages of Debian bookworm, by their names in //third_party/debian:lock.json."""

PACKAGES = [
    "base-files",
    "ca-certificates",
    "libc6",
    "libgcc-s1",
    "libstdc++6",
    "netbase",
    "tzdata",
]

# Converters between character sets and the like, which no program here asks for.
UNUSED = [
    "usr/lib/*/gconv/**",
    "usr/share/zoneinfo/right/**",
]

ARCHITECTURES = [
    "amd64",
    "arm64",
]
