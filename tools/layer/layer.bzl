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

def _layer_impl(ctx):
    files, trees = _placed("files", ctx.attr.files, "0644")
    executables, executable_trees = _placed("executables", ctx.attr.executables, "0755")

    params = ctx.actions.declare_file(ctx.label.name + ".layer.json")
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
    )))

    output = ctx.actions.declare_file(ctx.label.name + (".tar.gz" if ctx.attr.compression else ".tar"))
    args = ctx.actions.args()
    args.add("build")
    args.add("--params", params)
    args.add("--output", output)
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._tool,
        inputs = depset([params], transitive = [
            target[DefaultInfo].files
            for target in list(ctx.attr.files) + list(ctx.attr.executables) + ctx.attr.debs
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
        "ca_bundle": attr.bool(doc = "Whether to make /etc/ssl/certs/ca-certificates.crt out of the certificates in `debs`, as the maintainer script of ca-certificates would."),
        "compression": attr.string(default = "gzip", doc = "`gzip` (fixed level, one thread; `<name>.tar.gz`), or empty for a plain `<name>.tar`. Compressed here, a layer is compressed once, not again in every image.", values = ["", "gzip"]),
        "deb_exclude": attr.string_list(default = DEB_EXCLUDE, doc = "Globs of paths in `debs` to leave out. `*` stays within a name, `**` does not."),
        "deb_include": attr.string_list(default = DEB_INCLUDE, doc = "Globs of paths in `debs` to keep although `deb_exclude` covers them."),
        "debs": attr.label_list(allow_files = [".deb"], doc = "Debian packages to unpack, with their modes, owners and links. No maintainer script runs. Each is recorded in /var/lib/dpkg/status.d for security scanners."),
        "directories": attr.string_dict(doc = "Directories to make, or whose mode and owner to set: path to `MODE` or `MODE UID:GID`, for example `0755 10001:10001`."),
        "executables": attr.label_keyed_string_dict(allow_files = True, doc = "As `files`, with mode 0755."),
        "files": attr.label_keyed_string_dict(allow_files = True, doc = "Files, with mode 0644: target to absolute destination. Ended by a slash it is the directory to put the target's files into. A directory output puts what it holds below the destination."),
        "modes": attr.string_dict(doc = "Other modes for files: glob of destinations to octal mode. A glob that covers no file is an error."),
        "owner": attr.string(default = "0:0", doc = "Owner, `UID:GID`, of files, links and the directories of directory outputs. Packages keep theirs."),
        "platform": attr.string(doc = "Label of the platform to build what goes into the layer for; by default that of the build."),
        "symlinks": attr.string_dict(doc = "Symbolic links: path to target."),
        "usr_merge": attr.bool(doc = "Whether to put what goes to /bin, /sbin and /lib* below /usr and to make links there, as Debian 12's packages expect of an installed system."),
        "_allowlist_function_transition": attr.label(default = "@bazel_tools//tools/allowlists/function_transition_allowlist"),
        "_tool": attr.label(cfg = "exec", default = Label("//tools/layer"), doc = "The program that does the work.", executable = True),
    },
    doc = """Makes one image layer, a tar for the `tars` of an `oci_image`.

Entries are sorted, at the epoch, with numeric owners; parent directories are
there. Modes come from the attributes and from packages, never from the
permissions of a source file, which depend on a umask. Two inputs that want
different things at one path are an error that names both.""",
)
