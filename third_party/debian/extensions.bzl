"""Packages and sources of Debian bookworm, pinned in lock.json by pool path and sha256.

Only bookworm's main component is locked: it is frozen, so what is pinned stays on the mirrors, where a security update
would replace its predecessor. The mirror is the one this machine's apt uses, or DEBIAN_MIRROR.

`bazel run //tools/pin -- deb` writes the lock. Fields that are not read here are for it and for readers: the version, and
what an unpacked entry is: a package and its architecture, or a source package.
"""

load("//third_party/bazel:fetch.bzl", "fetch", "run")

def _name(path):
    """The file's own name: paths are as in addresses, with a few characters escaped."""
    return path.split("/")[-1].replace("%2b", "+").replace("%7e", "~")

def _download(rctx, path):
    """Fetches a file of the pool with apt's own transport, and with it apt's proxies and credentials."""
    mirror = rctx.getenv("DEBIAN_MIRROR")
    if not mirror:
        targets = run(
            rctx,
            what = path,
            arguments = ["apt-get", "indextargets", "--format", "$(COMPONENT) $(REPO_URI)", "Created-By: Packages"],
        )
        mirrors = [line.split(" ")[1] for line in targets.splitlines() if line.startswith("main ")]
        mirrors = [m.rstrip("/") for m in mirrors if m.rstrip("/").endswith("/debian")]
        if not mirrors:
            fail("{}: this machine's apt names no Debian mirror; set DEBIAN_MIRROR to the address of one, up to .../debian".format(path))
        mirror = mirrors[0]
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
            "{}/{}".format(mirror.rstrip("/"), path),
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
    "path": attr.string(mandatory = True, doc = "Path below the mirror, such as pool/main/t/tzdata/tzdata_2026b_all.deb."),
    "sha256": attr.string(mandatory = True, doc = "sha256 of the file."),
}

def _deb_impl(rctx):
    _fetch(rctx, output = "package.deb")
    rctx.file("BUILD.bazel", 'exports_files(["package.deb"])\n', executable = False)

_deb = repository_rule(
    implementation = _deb_impl,
    doc = "One binary package as it is, package.deb.",
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
    doc = "A source archive or the files of a binary package, unpacked, with a build file of ours.",
    attrs = _PINNED | {
        "build_file": attr.label(mandatory = True, allow_single_file = True, doc = "BUILD file of the repository."),
        "patches": attr.label_list(allow_files = [".patch"], doc = "Patches to apply, with one leading folder."),
        "strip_prefix": attr.string(doc = "Folder in the archive to leave out."),
    },
)

def _hub_impl(rctx):
    rctx.file("BUILD.bazel", "".join([
        'alias(name = "{}", actual = "{}", visibility = ["//visibility:public"])\n'.format(name, actual)
        for name, actual in rctx.attr.packages.items()
    ]), executable = False)

_hub = repository_rule(
    implementation = _hub_impl,
    doc = "One label for each locked package: @debian//:<package>_<architecture>.",
    attrs = {"packages": attr.string_dict(mandatory = True, doc = "Label of the package by name.")},
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
    doc = "Makes @debian, with a label for each package in lock.json, and a repository for each unpacked entry.",
)
