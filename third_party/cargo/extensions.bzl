"""C and C++ sources in crates, pinned in lock.json by version and sha256.

The registry is that of this machine's cargo, which need not be installed: `crate.py` reads its configuration.
`bazel run //tools/pin -- crate` writes the hashes of the lock file.
"""

load("//third_party/bazel:fetch.bzl", "fetch", "run")

# Downloads a crate. tools/pin uses it too.
_CRATE = Label("//third_party/cargo:crate.py")

def _download(rctx, filename):
    """Fetches the crate from the registry of this machine's cargo."""
    rctx.getenv("CARGO_HOME")  # crate.py reads it: a change of its value fetches the crate again.
    python = rctx.which("python3")
    if not python:
        fail("{}: python3 not found on PATH: install python3, which downloads crates".format(filename))
    run(
        rctx,
        what = filename,
        arguments = [python, rctx.path(_CRATE), rctx.attr.crate, rctx.attr.version, filename],
    )
    return filename

def _crate_impl(rctx):
    filename = "{}-{}.crate".format(rctx.attr.crate, rctx.attr.version)

    # Bazel recognizes an archive by its extension.
    archive = fetch(
        rctx,
        name = filename,
        sha256 = rctx.attr.sha256,
        download = lambda: _download(rctx, filename),
        output = "crate.tar.gz",
    )
    rctx.extract(archive, stripPrefix = rctx.attr.strip_prefix)
    rctx.delete(archive)
    for patch in rctx.attr.patches:
        rctx.patch(patch, strip = 1)
    rctx.symlink(rctx.attr.build_file, "BUILD.bazel")

_crate = repository_rule(
    implementation = _crate_impl,
    doc = "The unpacked sources of one crate, with a BUILD file of this repository.",
    attrs = {
        "build_file": attr.label(mandatory = True, allow_single_file = True, doc = "BUILD file of the repository."),
        "crate": attr.string(mandatory = True, doc = "Name of the crate in the registry."),
        "patches": attr.label_list(allow_files = [".patch"], doc = "Patches to apply with `-p1`."),
        "sha256": attr.string(mandatory = True, doc = "SHA-256 of the crate, in hex."),
        "strip_prefix": attr.string(doc = "Leading directory of the archive to remove from paths."),
        "version": attr.string(mandatory = True, doc = "Version of the crate."),
    },
)

def _cargo_impl(mctx):
    for name, entry in json.decode(mctx.read(Label("//third_party/cargo:lock.json")))["crates"].items():
        _crate(
            name = name,
            build_file = Label(entry["build_file"]),
            crate = entry["crate"],
            patches = [Label(patch) for patch in entry.get("patches", [])],
            sha256 = entry["sha256"],
            strip_prefix = entry.get("strip_prefix", ""),
            version = entry["version"],
        )
    return mctx.extension_metadata(reproducible = True)

cargo = module_extension(
    implementation = _cargo_impl,
    doc = "Defines a repository for each crate in lock.json.",
)
