"""@sources: this repository's own sources in one file, for tests that look at all of them.

A test sees only its declared inputs, and no label spans packages. The tar is made anew when a source changes, never
otherwise, and holds nothing but names and contents, so the tests that read it are cached as any others.
"""

def _is_source(path):
    """What .gitignore leaves, in Starlark."""
    ignored = path.startswith("bazel-") or path.startswith(".bazelrc.") or path == "third_party/dist"
    return path != ".git" and not ignored

def _sources_impl(rctx):
    root = rctx.workspace_root
    names = []

    # third_party is looked into, so that archives in third_party/dist are not watched.
    for folder, prefix in [(root, ""), (root.get_child("third_party"), "third_party/")]:
        for entry in folder.readdir(watch = "yes"):
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
        # A umask is no property of a source; whether it is a program is.
        "--mode=u+rw,go-w,a+rX",
        "--files-from={}".format(rctx.path("names")),
    ])
    if result.return_code:
        fail("sources.tar: tar failed: " + result.stderr)
    rctx.file("BUILD.bazel", 'exports_files(["sources.tar"])\n', executable = False)

_sources = repository_rule(
    implementation = _sources_impl,
    doc = "sources.tar, with every source of the main repository.",
)

def _extension_impl(mctx):
    _sources(name = "sources")
    return mctx.extension_metadata(reproducible = True)

sources = module_extension(
    implementation = _extension_impl,
    doc = "Makes @sources.",
)
