"""Packages of makeself and the archives of the tests."""

# makeself and its dependencies as Debian packages for the build machine.
PACKAGES = [
    "bzip2",
    "coreutils",
    "dash",
    "findutils",
    "gzip",
    "libacl1",
    "libattr1",
    "libbz2-1.0",
    "libc6",
    "libgcc-s1",
    "libgmp10",
    "liblz4-1",
    "liblzma5",
    "libpcre2-8-0",
    "libselinux1",
    "libssl3",
    "libstdc++6",
    "makeself",
    "mawk",
    "openssl",
    "sed",
    "tar",
    "xz-utils",
    "zlib1g",
    "zstd",
]

# Flags of makeself by archive. The default is gzip with a CRC and an MD5. The layer tool rejects the unsupported archive.
ARCHIVES = {
    "base64.run": ["--base64"],
    "bzip2.run": ["--bzip2"],
    "gzip.run": [],
    "gzip_crc.run": ["--nomd5"],
    "gzip_md5.run": ["--nocrc"],
    "gzip_nosum.run": [
        "--nocrc",
        "--nomd5",
    ],
    "gzip_sha256.run": [
        "--nocrc",
        "--nomd5",
        "--sha256",
    ],
    "none.run": ["--nocomp"],
    "unsupported_openssl.run": [
        "--ssl-encrypt",
        "--ssl-passwd",
        "secret",
    ],
    "xz.run": ["--xz"],
    "zstd.run": [
        "--sha256",
        "--zstd",
    ],
    "zstd_nosum.run": [
        "--nocrc",
        "--nomd5",
        "--zstd",
    ],
}
