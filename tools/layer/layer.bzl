"""The rule `layer`: one image layer, deterministic to the byte.

```starlark
load("//tools/layer:layer.bzl", "layer")

layer(
    name = "app",
    executables = {"//hal/jetson/cmd/locomotion": "/app/locomotion"},
    files = {"//compute/policy/go1_joystick": "/app/policy/"},
    directories = {"/workspace": "0755 10001:10001"},
)
```
"""

# What of a Debian package does not belong on a robot. Copyright files stay:
# the licences ask for it.
DEB_EXCLUDE = [
    "usr/share/bug/**",
    "usr/share/doc/**",
    "usr/share/info/**",
    "usr/share/lintian/**",
    "usr/share/locale/**",
    "usr/share/man/**",
]
DEB_INCLUDE = ["usr/share/doc/*/copyright"]

# What a layer is called, by compression.
_EXTENSIONS = {
    "": ".tar",
    "gzip": ".tar.gz",
    "zstd": ".tar.zst",
}

def _placed(attribute, targets, mode):
    """Pairs files with destinations.

    Returns:
        A list of files and a list of directories, as the tool's parameters have them.
    """
    files, trees = [], []
    for target, dest in targets.items():
        if not dest.startswith("/"):
            fail("{}: the destination {} of {} is not absolute".format(attribute, repr(dest), target.label))
        outputs = target[DefaultInfo].files.to_list()
        if len(outputs) != 1 and not dest.endswith("/"):
            fail("{}: {} has {} files; to put them into one directory, end the destination {} with a slash".format(
                attribute,
                target.label,
                len(outputs),
                repr(dest),
            ))
        for file in outputs:
            entry = struct(
                path = file.path,
                label = str(target.label),
                mode = mode,
                dest = dest + file.basename if dest.endswith("/") and not file.is_directory else dest,
            )
            if file.is_directory:
                trees.append(entry)
            else:
                files.append(entry)
    return files, trees

def _directory(path, spec):
    mode, _, owner = spec.partition(" ")
    return struct(path = path, mode = mode, owner = owner)

def _python(ctx):
    """The interpreter that the wheels are for, None without wheels."""
    if not ctx.attr.wheels:
        return None
    if not ctx.attr.python:
        fail("{}: wheels need python, the version that they are for".format(ctx.label))
    architectures = [
        architecture
        for architecture, constraint in [("amd64", ctx.attr._amd64), ("arm64", ctx.attr._arm64)]
        if ctx.target_platform_has_constraint(constraint[platform_common.ConstraintValueInfo])
    ]
    if not architectures:
        fail("{}: wheels are installed for amd64 and arm64, and the platform is neither".format(ctx.label))
    return struct(
        version = ctx.attr.python,
        architecture = architectures[0],
        glibc = ctx.attr.python_glibc,
        prefix = ctx.attr.python_prefix,
        interpreter = ctx.attr.python_interpreter,
    )

def _layer_impl(ctx):
    files, trees = _placed("files", ctx.attr.files, "0644")
    executables, executable_trees = _placed("executables", ctx.attr.executables, "0755")

    params = ctx.actions.declare_file(ctx.label.name + ".layer.json")
    python = _python(ctx)
    ctx.actions.write(params, json.encode(struct(
        label = str(ctx.label),
        owner = ctx.attr.owner,
        usr_merge = ctx.attr.usr_merge,
        compression = ctx.attr.compression,
        files = files + executables,
        trees = trees + executable_trees,
        modes = [struct(pattern = p, mode = m) for p, m in ctx.attr.modes.items()],
        symlinks = [struct(path = p, target = t) for p, t in ctx.attr.symlinks.items()],
        directories = [_directory(p, s) for p, s in ctx.attr.directories.items()],
        debs = [struct(path = f.path, label = str(t.label)) for t in ctx.attr.debs for f in t[DefaultInfo].files.to_list()],
        deb_include = ctx.attr.deb_include,
        deb_exclude = ctx.attr.deb_exclude,
        ca_bundle = ctx.attr.ca_bundle,
        # Groups of wheels may have some in common.
        wheels = {f.path: struct(path = f.path, label = str(t.label)) for t in ctx.attr.wheels for f in t[DefaultInfo].files.to_list()}.values(),
        python = python,
        archive = struct(
            path = ctx.file.archive.path,
            label = str(ctx.attr.archive.label),
            files = [struct(dest = d, globs = g) for d, g in ctx.attr.archive_files.items()],
            optional = ctx.attr.archive_optional,
        ) if ctx.attr.archive else None,
    )))

    output = ctx.actions.declare_file(ctx.label.name + _EXTENSIONS[ctx.attr.compression])
    args = ctx.actions.args()
    args.add("build")
    args.add("--params", params)
    args.add("--output", output)
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._tool,
        inputs = depset([params], transitive = [
            target[DefaultInfo].files
            for target in list(ctx.attr.files) + list(ctx.attr.executables) + ctx.attr.debs + ctx.attr.wheels + ([ctx.attr.archive] if ctx.attr.archive else [])
        ]),
        mnemonic = "Layer",
        outputs = [output],
        progress_message = "Making layer %{label}",
    )
    return [DefaultInfo(files = depset([output]))]

def _platform_impl(settings, attr):
    return {"//command_line_option:platforms": attr.platform or settings["//command_line_option:platforms"]}

_platform = transition(
    implementation = _platform_impl,
    inputs = ["//command_line_option:platforms"],
    outputs = ["//command_line_option:platforms"],
)

layer = rule(
    implementation = _layer_impl,
    cfg = _platform,
    attrs = {
        "archive": attr.label(allow_single_file = True, doc = "A self-extracting archive as makeself makes them. It is read, never run; its checksums are verified."),
        "archive_files": attr.string_list_dict(doc = "What of `archive` goes where: absolute destination to globs of paths in the archive. A file keeps its path below the destination; where that ends in a slash, it goes there by its own name. What no glob covers is left out; a glob that covers nothing is an error. Modes become 0755 for directories and programs and 0644 for other files; links that lead out, setuid and setgid are errors."),
        "archive_optional": attr.string_list(doc = "Globs of `archive_files` that need not cover anything."),
        "ca_bundle": attr.bool(doc = "Whether to make /etc/ssl/certs/ca-certificates.crt out of the certificates in `debs`, as the maintainer script of ca-certificates would."),
        "compression": attr.string(default = "gzip", doc = "`gzip` (`<name>.tar.gz`) or `zstd` (`<name>.tar.zst`; smaller, but old container engines do not know it), each with a fixed level and one thread, or empty for a plain `<name>.tar`. Compressed here, a layer is compressed once, not again in every image.", values = ["", "gzip", "zstd"]),
        "deb_exclude": attr.string_list(default = DEB_EXCLUDE, doc = "Globs of paths in `debs` to leave out. `*` stays within a name, `**` does not."),
        "deb_include": attr.string_list(default = DEB_INCLUDE, doc = "Globs of paths in `debs` to keep although `deb_exclude` covers them."),
        "debs": attr.label_list(allow_files = [".deb"], doc = "Debian packages to unpack, with their modes, owners and links. No maintainer script runs. Each is recorded in /var/lib/dpkg/status.d for security scanners."),
        "directories": attr.string_dict(doc = "Directories to make, or whose mode and owner to set: path to `MODE` or `MODE UID:GID`, for example `0755 10001:10001`."),
        "executables": attr.label_keyed_string_dict(allow_files = True, doc = "As `files`, with mode 0755."),
        "files": attr.label_keyed_string_dict(allow_files = True, doc = "Files, with mode 0644: target to absolute destination. Ended by a slash it is the directory to put the target's files into. A directory output puts what it holds below the destination."),
        "modes": attr.string_dict(doc = "Other modes for files: glob of destinations to octal mode. A glob that covers no file is an error."),
        "owner": attr.string(default = "0:0", doc = "Owner, `UID:GID`, of files, links and the directories of directory outputs. Packages keep theirs."),
        "platform": attr.string(doc = "Label of the platform to build what goes into the layer for; by default that of the build."),
        "python": attr.string(doc = "Version of the Python that `wheels` are for, such as `3.11`. `3.11.2` where a wheel asks for that much."),
        "python_glibc": attr.string(default = "2.35", doc = "The C library in the image: a wheel that needs a newer one is refused. The default is the oldest of all bases."),
        "python_interpreter": attr.string(doc = "What scripts of `wheels` begin with; `/usr/bin/python<version>` by default."),
        "python_prefix": attr.string(default = "/opt/krabby/python", doc = "Where to install `wheels`: modules go to `<prefix>/site-packages`, which is for PYTHONPATH, programs to `<prefix>/bin`, which is for PATH. It should be no Python's own folder: what a base brings must not be overwritten."),
        "symlinks": attr.string_dict(doc = "Symbolic links: path to target."),
        "usr_merge": attr.bool(doc = "Whether to put what goes to /bin, /sbin and /lib* below /usr and to make links there, as Debian 12's packages expect of an installed system."),
        "wheels": attr.label_list(allow_files = [".whl"], doc = """Python wheels to install, all that a Python needs: their dependencies have to be among them.

Nothing of them runs. Every file is held against the wheel's RECORD. The build fails, naming the wheel, when its tags do not fit `python`, `python_glibc`
and the architecture of the platform, and when a requirement that counts there is not met. The image gets programs for entry points, a RECORD that is
true and no .pyc: set PYTHONDONTWRITEBYTECODE where the root file system is read-only."""),
        "_allowlist_function_transition": attr.label(default = "@bazel_tools//tools/allowlists/function_transition_allowlist"),
        "_amd64": attr.label(default = "@platforms//cpu:x86_64"),
        "_arm64": attr.label(default = "@platforms//cpu:aarch64"),
        "_tool": attr.label(cfg = "exec", default = Label("//tools/layer"), doc = "The program that does the work.", executable = True),
    },
    doc = """Makes one image layer, a tar for the `tars` of an `oci_image`.

Entries are sorted, at the epoch, with numeric owners; parent directories are
there. Modes come from the attributes and from packages, never from the
permissions of a source file, which depend on a umask. Two inputs that want
different things at one path are an error that names both.""",
)
