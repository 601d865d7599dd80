"""The module extension `sources`, which packs the sources of this repository into one file for tests.

A test can read only its declared inputs, and a label cannot span packages. The file changes only when a source changes: it has
names, contents and executable bits, but no times and owners. So Bazel caches the tests that read it.
"""

def _is_source(path):
    """Returns whether .gitignore does not ignore a path of the root directory or of third_party."""
    ignored = path.startswith("bazel-") or path.startswith(".bazelrc.") or path == "third_party/dist"
    return path != ".git" and not ignored

def _sources_impl(rctx):
    root = rctx.workspace_root
    names = []

    # The entries of third_party are watched one by one because archives in third_party/dist are not sources.
    for directory, prefix in [(root, ""), (root.get_child("third_party"), "third_party/")]:
        for entry in directory.readdir(watch = "yes"):
            path = prefix + entry.basename
            if path == "third_party" or not _is_source(path):
                continue
            if entry.is_dir:
                rctx.watch_tree(entry)
            else:
                rctx.watch(entry)
            names.append(path)

    rctx.file("names", "".join([name + "\n" for name in sorted(names)]), executable = False)
    result = rctx.execute([
        "tar",
        "--create",
        "--file=sources.tar",
        "--directory={}".format(root),
        "--format=ustar",
        "--sort=name",
        "--mtime=@0",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        # Only executable bits are kept: other bits depend on the umask.
        "--mode=u+rw,go-w,a+rX",
        "--files-from={}".format(rctx.path("names")),
    ])
    if result.return_code:
        fail("sources.tar: tar failed: " + result.stderr)
    rctx.file("BUILD.bazel", 'exports_files(["sources.tar"])\n', executable = False)

_sources = repository_rule(
    implementation = _sources_impl,
    doc = "`sources.tar` with all sources of the main repository.",
)

def _extension_impl(mctx):
    _sources(name = "sources")
    return mctx.extension_metadata(reproducible = True)

sources = module_extension(
    implementation = _extension_impl,
    doc = "Defines the repository `@sources` with the file `sources.tar`, for the tests of //tools/lint.",
)
