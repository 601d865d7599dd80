"""The ZED SDK, pinned in lock.json: one self-extracting archive for each version, from third_party/dist or its vendor.

Builds read an archive and never run it (//tools/layer). Bazel fetches it only for builds with the SDK of --//oci:jetpack or
--//third_party/zed:sdk. `bazel run //tools/pin -- archive` writes the field `sha256` of the lock file; edit the other fields by hand.
"""

load("//third_party/bazel:fetch.bzl", "fetch")

def _archive_impl(rctx):
    attr = rctx.attr
    if not attr.sha256:
        fail("ZED SDK {version}: third_party/zed/lock.json has no sha256 of {file}: pin the archive and commit the lock: ./tools/bazel run //tools/pin -- archive {version}".format(
            file = attr.file,
            version = attr.version,
        ))

    def download():
        result = rctx.download(url = attr.url, output = attr.file, sha256 = attr.sha256, allow_fail = True)
        if not result.success:
            fail("ZED SDK {version}: {url} does not give the archive with sha256 {sha256}: if the address is not reachable, put the file into third_party/dist/{file}".format(
                file = attr.file,
                sha256 = attr.sha256,
                url = attr.url,
                version = attr.version,
            ))
        return attr.file

    fetch(rctx, name = attr.file, sha256 = attr.sha256, download = download, output = "archive.run")
    rctx.file("BUILD.bazel", 'exports_files(["archive.run"])\n', executable = False)

_archive = repository_rule(
    implementation = _archive_impl,
    doc = "One archive, as the file `archive.run`.",
    attrs = {
        "file": attr.string(mandatory = True, doc = "File name of the archive, of the vendor and in third_party/dist."),
        "sha256": attr.string(doc = "SHA-256 of the archive, in hex. Builds of an archive without it fail."),
        "url": attr.string(mandatory = True, doc = "URL of the archive."),
        "version": attr.string(mandatory = True, doc = "Version of the SDK, for messages."),
    },
)

def _lock_impl(rctx):
    rctx.file("BUILD.bazel", "", executable = False)
    rctx.file("lock.bzl", '"""third_party/zed/lock.json, for BUILD files."""\n\nARCHIVES = {}\n'.format(repr(json.decode(rctx.attr.archives))), executable = False)

_lock = repository_rule(
    implementation = _lock_impl,
    doc = "The entries of the lock file as Starlark: `ARCHIVES` in lock.bzl.",
    attrs = {"archives": attr.string(mandatory = True, doc = "The entries of the lock file, as JSON.")},
)

def _zed_impl(mctx):
    archives = json.decode(mctx.read(Label("//third_party/zed:lock.json")))["archives"]
    _lock(name = "zed", archives = json.encode(archives))
    for version, entry in archives.items():
        _archive(
            name = "zed_" + version,
            file = entry["file"],
            sha256 = entry["sha256"],
            url = entry["url"],
            version = version,
        )
    return mctx.extension_metadata(reproducible = True)

zed = module_extension(
    implementation = _zed_impl,
    doc = "Defines `@zed`, with the lock file as Starlark, and `@zed_<version>` for each archive in lock.json.",
)
