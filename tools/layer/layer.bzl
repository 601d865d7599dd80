"""The rule `layer`, which builds one reproducible image layer.

```starlark
load("//tools/layer:layer.bzl", "layer")

layer(
    name = "app",
    executables = {"//cmd/locomotion": "/app/locomotion"},
    files = {"//compute/policy/go1_joystick": "/app/policy/"},
    directories = {"/workspace": "0755 10001:10001"},
)
```
"""

# Paths of Debian packages that a robot does not need. DEB_INCLUDE keeps the copyright files, which the licences require.
DEB_EXCLUDE = [
    "usr/share/bug/**",
    "usr/share/doc/**",
    "usr/share/info/**",
    "usr/share/lintian/**",
    "usr/share/locale/**",
    "usr/share/man/**",
]
DEB_INCLUDE = ["usr/share/doc/*/copyright"]

# File name extensions by compression.
_EXTENSIONS = {
    "": ".tar",
    "gzip": ".tar.gz",
    "zstd": ".tar.zst",
}

def _placed(attribute, targets, mode):
    """Pairs files with their destinations.

    Args:
      attribute: name of the attribute for error messages.
      targets: dictionary of targets and destinations.
      mode: octal mode of the files.

    Returns:
      A list of files and a list of directories in the form of the tool's parameters.
    """
    files, trees = [], []
    for target, dest in targets.items():
        if not dest.startswith("/"):
            fail("{}: {}: found the destination {}, expected an absolute path".format(attribute, target.label, repr(dest)))
        outputs = target[DefaultInfo].files.to_list()
        if len(outputs) != 1 and not dest.endswith("/"):
            fail("{}: {}: the destination {} of {} files is not a directory: add a slash at its end".format(
                attribute,
                target.label,
                repr(dest),
                len(outputs),
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
    """Returns the interpreter of the wheels, or None without wheels."""
    if not ctx.attr.wheels:
        return None
    if not ctx.attr.python:
        fail("{}: wheels require the attribute python, the version of their interpreter".format(ctx.label))
    architectures = [
        architecture
        for architecture, constraint in [("amd64", ctx.attr._amd64), ("arm64", ctx.attr._arm64)]
        if ctx.target_platform_has_constraint(constraint[platform_common.ConstraintValueInfo])
    ]
    if not architectures:
        fail("{}: wheels are supported on x86_64 and aarch64 only: choose such a platform".format(ctx.label))
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
        deb_known_scripts = ctx.attr.deb_known_scripts,
        ca_bundle = ctx.attr.ca_bundle,
        # By path, because groups of wheels can share a wheel.
        wheels = {f.path: struct(path = f.path, label = str(t.label)) for t in ctx.attr.wheels for f in t[DefaultInfo].files.to_list()}.values(),
        wheel_exclude = ctx.attr.wheel_exclude,
        wheel_linux_tags = ctx.attr.wheel_linux_tags,
        wheel_unverified_records = ctx.attr.wheel_unverified_records,
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
        progress_message = "Building layer %{label}",
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
        "archive": attr.label(allow_single_file = True, doc = "Self-extracting archive of makeself. Its checksums are verified; it never runs."),
        "archive_files": attr.string_list_dict(doc = """Files of `archive` to install: absolute destination to globs of paths in the archive.

A file keeps its path below the destination. If the destination ends in a slash, the file goes there under its base name. Files that
match no glob are left out; a glob that matches no file is an error. Directories and programs get mode 0755, other files 0644. Links
that lead out of the archive, setuid and setgid are errors."""),
        "archive_optional": attr.string_list(doc = "Globs of `archive_files` that may match no file."),
        "ca_bundle": attr.bool(doc = "Whether to write the certificates of `debs` to `/etc/ssl/certs/ca-certificates.crt`, as the maintainer script of ca-certificates does."),
        "compression": attr.string(default = "gzip", doc = """Compression of the layer: `gzip` (`<name>.tar.gz`), `zstd` (`<name>.tar.zst`) or empty (`<name>.tar`).

The compression level is fixed and the bytes do not depend on the number of threads, so they are reproducible. zstd is smaller, but old container
engines do not support it. A layer is compressed once, not once for each image.""", values = ["", "gzip", "zstd"]),
        "deb_exclude": attr.string_list(default = DEB_EXCLUDE, doc = "Globs of paths in `debs` to leave out. `*` matches within one name, `**` across directories."),
        "deb_include": attr.string_list(default = DEB_INCLUDE, doc = "Globs of paths in `debs` to keep although `deb_exclude` matches them."),
        "deb_known_scripts": attr.string_list(doc = "Packages of `debs` whose maintainer scripts are ignored, because the layer has what they do or the image does not need it."),
        "debs": attr.label_list(allow_files = [".deb"], doc = """Debian packages to unpack with their modes, owners and links.

An interpreter finds out what the maintainer scripts do on the first installation, without running a program: alternatives, diversions,
symbolic links, directories and the links of ldconfig are made. Other effects are an error with package, script and line, unless they
are known to be of no use in an image, or `deb_known_scripts` names the package. Each package is recorded in
`/var/lib/dpkg/status.d` with its checksums for security scanners."""),
        "directories": attr.string_dict(doc = "Directories to create, or to set mode and owner of: path to `MODE` or `MODE UID:GID`, for example `0755 10001:10001`."),
        "executables": attr.label_keyed_string_dict(allow_files = True, doc = "Files with mode 0755. Otherwise the same as `files`."),
        "files": attr.label_keyed_string_dict(allow_files = True, doc = "Files with mode 0644: target to absolute destination. If the destination ends in a slash, it is the directory for the target's files. The contents of a directory output go below the destination."),
        "modes": attr.string_dict(doc = "Modes that replace the default: glob of destinations to octal mode. A glob that matches no file is an error."),
        "owner": attr.string(default = "0:0", doc = "Owner `UID:GID` of files, links and the directories of directory outputs. Files of packages keep their owners."),
        "platform": attr.string(doc = "Label of the platform for the inputs of the layer. The default is the target platform of the build."),
        "python": attr.string(doc = "Python version of `wheels`, such as `3.11`, or `3.11.2` if a wheel depends on the third number."),
        "python_glibc": attr.string(default = "2.35", doc = "Version of the C library in the image. A wheel that requires a newer one is an error. The default is the oldest version of all base images."),
        "python_interpreter": attr.string(doc = "Interpreter in the first line of the scripts of `wheels`. The default is `/usr/bin/python<version>`."),
        "python_prefix": attr.string(default = "/opt/krabby/python", doc = "Directory of the installed `wheels`: modules go to `<prefix>/site-packages`, which belongs on PYTHONPATH, programs to `<prefix>/bin`, which belongs on PATH. It must not be the prefix of an installed Python, whose files it would overwrite."),
        "symlinks": attr.string_dict(doc = "Symbolic links: path to target."),
        "usr_merge": attr.bool(default = True, doc = "Whether to put entries of `/bin`, `/sbin` and `/lib*` below `/usr`, where the links of a base with a merged `/usr` lead: that is every current base. A directory at such a path would hide the link and with it the libraries of the base. A layer with `debs` contains the links, which packages of Debian 12 require."),
        "wheel_exclude": attr.string_list_dict(doc = "Files of `wheels` to leave out: project to globs of paths in the wheel, for example `{\"setuptools\": [\"*.pth\"]}`. The path of a program of an entry point is `bin/<name>`. A glob that matches no file is an error."),
        "wheel_linux_tags": attr.string_list(doc = "Projects whose wheel may have a platform tag without a glibc version: `linux_x86_64`, `linux_aarch64`. Instead of the tag, the architecture and the required `GLIBC_` versions of its ELF files are compared with the platform and `python_glibc`."),
        "wheel_unverified_records": attr.string_list(doc = "Projects whose wheel is installed as it is, although its RECORD contradicts its files: missing lines, wrong sizes or hashes."),
        "wheels": attr.label_list(allow_files = [".whl"], doc = """Python wheels to install, including all their dependencies.

No code of a wheel runs. Every file is verified with the wheel's RECORD. A wheel whose tags do not fit `python`, `python_glibc` and
the architecture of the platform is an error, and so is an unmet requirement. The layer contains programs for entry points and a new
RECORD, but no `.pyc` files: set PYTHONDONTWRITEBYTECODE if the root file system is read-only. If a wheel has a `.pth` file, the layer
contains a `sitecustomize` module, by which Python reads the file; it runs the `sitecustomize` of the base afterwards."""),
        "_allowlist_function_transition": attr.label(default = "@bazel_tools//tools/allowlists/function_transition_allowlist"),
        "_amd64": attr.label(default = "@platforms//cpu:x86_64"),
        "_arm64": attr.label(default = "@platforms//cpu:aarch64"),
        "_tool": attr.label(cfg = "exec", default = Label("//tools/layer"), executable = True),
    },
    doc = """Builds one image layer: a tar for the attribute `tars` of `oci_image`.

Entries are sorted, at the epoch, with numeric owners. Missing parent directories are added. Modes come from the attributes and from
packages, not from the permissions of source files, which depend on a umask. Inputs with different entries for one path are an error
with the labels of both.""",
)
