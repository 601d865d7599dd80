"""Packages and sources of Debian bookworm, pinned in lock.json by pool path and sha256.

The lock file has packages of bookworm's component main only. It changes at point releases, so mirrors keep a pinned package until
the next one; a mirror drops a security update as soon as its successor appears. The mirror is DEBIAN_MIRROR, or the first mirror
in the configuration of this machine's apt.

`bazel run //tools/pin -- deb` writes the lock file. It also uses fields that this extension does not read: the version, and the
package and architecture, or the source package, of an unpacked entry.
"""

load("//third_party/bazel:fetch.bzl", "fetch", "run")

# Prints the Debian mirror. tools/pin and tools/bootstrap.sh use it too.
_APT = Label("//tools/pin/apt:apt.sh")

def _name(path):
    """Returns the file name of a pool path, in which apt escapes some characters."""
    return path.split("/")[-1].replace("%2b", "+").replace("%7e", "~")

def _download(rctx, path):
    """Fetches a file of the pool with apt's transport, which uses apt's proxies and credentials."""
    rctx.getenv("DEBIAN_MIRROR")  # apt.sh reads it: a change of its value fetches the file again.
    mirror = run(rctx, what = path, arguments = ["sh", rctx.path(_APT), "mirror"]).strip()
    name = _name(path)
    run(
        rctx,
        what = path,
        arguments = [
            "/usr/lib/apt/apt-helper",
            "-o=Acquire::Retries=1",
            "-o=Acquire::http::Timeout=10",
            "-o=APT::Sandbox::User=root",
            "-o=Dir::State::status=/dev/null",
            "download-file",
            "{}/{}".format(mirror, path),
            name,
        ],
    )
    return name

def _fetch(rctx, output = None):
    path = rctx.attr.path
    return fetch(
        rctx,
        name = _name(path),
        sha256 = rctx.attr.sha256,
        download = lambda: _download(rctx, path),
        output = output,
    )

_PINNED = {
    "path": attr.string(mandatory = True, doc = "Path below the mirror, such as `pool/main/t/tzdata/tzdata_2026b_all.deb`."),
    "sha256": attr.string(mandatory = True, doc = "SHA-256 of the file, in hex."),
}

def _deb_impl(rctx):
    _fetch(rctx, output = "package.deb")
    rctx.file("BUILD.bazel", 'exports_files(["package.deb"])\n', executable = False)

_deb = repository_rule(
    implementation = _deb_impl,
    doc = "One binary package, as the file `package.deb`.",
    attrs = _PINNED,
)

def _unpacked_impl(rctx):
    archive = _fetch(rctx)
    rctx.extract(archive, stripPrefix = rctx.attr.strip_prefix)
    if archive.endswith(".deb"):
        rctx.extract("data.tar.xz")
        for part in ["control.tar.xz", "data.tar.xz", "debian-binary"]:
            rctx.delete(part)
    rctx.delete(archive)
    for patch in rctx.attr.patches:
        rctx.patch(patch, strip = 1)
    rctx.symlink(rctx.attr.build_file, "BUILD.bazel")

_unpacked = repository_rule(
    implementation = _unpacked_impl,
    doc = "An unpacked source archive or binary package, with a BUILD file of this repository.",
    attrs = _PINNED | {
        "build_file": attr.label(mandatory = True, allow_single_file = True, doc = "BUILD file of the repository."),
        "patches": attr.label_list(allow_files = [".patch"], doc = "Patches to apply with `-p1`."),
        "strip_prefix": attr.string(doc = "Leading directory of the archive to remove from paths."),
    },
)

def _hub_impl(rctx):
    # Public: packages of the main repository use these labels.
    rctx.file("BUILD.bazel", "".join([
        'alias(name = "{}", actual = "{}", visibility = ["//visibility:public"])\n'.format(name, actual)
        for name, actual in rctx.attr.packages.items()
    ]), executable = False)

_hub = repository_rule(
    implementation = _hub_impl,
    doc = "One label for each locked package: `@debian//:<package>_<architecture>`.",
    attrs = {"packages": attr.string_dict(mandatory = True, doc = "Labels of packages by name.")},
)

def _debian_impl(mctx):
    lock = json.decode(mctx.read(Label("//third_party/debian:lock.json")))
    hub = {}
    for name, entry in lock["packages"].items():
        _deb(name = "debian_" + name.replace("+", "p"), path = entry["path"], sha256 = entry["sha256"])
        hub[name] = "@debian_{}//:package.deb".format(name.replace("+", "p"))
    for name, entry in lock["unpacked"].items():
        _unpacked(
            name = name,
            build_file = Label(entry["build_file"]),
            patches = [Label(patch) for patch in entry.get("patches", [])],
            path = entry["path"],
            sha256 = entry["sha256"],
            strip_prefix = entry.get("strip_prefix", ""),
        )
    _hub(name = "debian", packages = hub)
    return mctx.extension_metadata(reproducible = True)

debian = module_extension(
    implementation = _debian_impl,
    doc = "Defines `@debian`, with a label for each package in lock.json, and a repository for each unpacked entry.",
)
