"""oci_image. The subcommand `image` of //oci/cmd/oci does the work."""

load(":attributes.bzl", "lines", "reject_unknown", "without_none")
load(":providers.bzl", "OCIImageInfo")

_TAR_EXTENSIONS = [
    ".tar",
    ".tar.gz",
    ".tar.zst",
    ".tgz",
    ".tzst",
]

# Attributes whose value is a file. The macro also takes lists or dicts, which it passes as text in `inline`.
_TEXTS = {
    "annotations": "Annotations of the manifest, added to those of the base: one `name=value` per line.",
    "cmd": "Default arguments of the container: one per line.",
    "created": "Time of creation in RFC 3339, without line break. Default: that of the base, or the epoch.",
    "entrypoint": "Program and first arguments of the container: one per line. Removes the `cmd` of the base.",
    "env": "Environment, added to that of the base: one `NAME=value` per line. `$NAME` and `${NAME}` expand from the base and earlier lines; an unknown name expands to nothing.",
    "exposed_ports": "Ports, added to those of the base: separated by commas, for example `6000/tcp,6001/udp`.",
    "labels": "Labels of the config, added to those of the base: one `name=value` per line.",
    "volumes": "Mount points, added to those of the base: separated by commas.",
}

_ATTRS = {
    "architecture": attr.string(doc = "CPU architecture as in GOARCH, for example `arm64`. Required without `base`, not allowed with it."),
    "base": attr.label(allow_single_file = True, doc = "The base: an `oci_image`, an image of `oci.pull`, or a directory with an OCI layout."),
    "inline": attr.string_dict(doc = "Texts of attributes that have no file, by attribute. The macro sets it."),
    "os": attr.string(doc = "Operating system as in GOOS, for example `linux`. Required without `base`, not allowed with it."),
    "resource_set": attr.string(doc = "No effect: the program uses one thread."),
    "tars": attr.label_list(allow_files = _TAR_EXTENSIONS, doc = "Tar files, one layer each, in this order above the layers of the base. Their bytes stay as they are: plain, gzip or zstd."),
    "user": attr.string(doc = "User, and optionally group, of the process, for example `10001` or `10001:10001`."),
    "variant": attr.string(doc = "Variant of the architecture, for example `v8`. Not allowed with `base`."),
    "workdir": attr.string(doc = "Working directory of the process."),
    "workdir_file": attr.label(allow_single_file = True, doc = "A file with the working directory."),
    "_tool": attr.label(cfg = "exec", default = Label("//oci/cmd/oci"), doc = "The program that does the work.", executable = True),
} | {name: attr.label(allow_single_file = True, doc = doc) for name, doc in _TEXTS.items()}

def _describe(ctx, number, tar):
    """Describes a layer in an action of its own: after a change of another layer, its result is still there."""
    descriptor = ctx.actions.declare_file("{}.{}.layer.json".format(ctx.label.name, number))
    args = ctx.actions.args()
    args.add("layer")
    args.add("--tar", tar)
    args.add("--label", str(tar.owner))
    args.add("--image", str(ctx.label))
    args.add("--output", descriptor)
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._tool,
        inputs = [tar],
        mnemonic = "OCILayer",
        outputs = [descriptor],
        progress_message = "Describing layer %{label}",
    )
    return descriptor

def _oci_image_impl(ctx):
    if ctx.attr.base and (ctx.attr.os or ctx.attr.architecture or ctx.attr.variant):
        fail("remove os, architecture and variant: those of the base {} apply".format(ctx.attr.base.label))
    if not ctx.attr.base and not (ctx.attr.os and ctx.attr.architecture):
        fail("missing os or architecture; an image without base requires both, for example os = \"linux\", architecture = \"arm64\"")

    texts = {}
    inputs = list(ctx.files.tars)
    for name in _TEXTS:
        file = getattr(ctx.file, name)
        if file:
            texts[name] = struct(file = file.path)
            inputs.append(file)
        elif name in ctx.attr.inline:
            texts[name] = struct(inline = ctx.attr.inline[name])
    for file in [ctx.file.base, ctx.file.workdir_file]:
        if file:
            inputs.append(file)

    descriptors = [_describe(ctx, i, tar) for i, tar in enumerate(ctx.files.tars)]
    params = ctx.actions.declare_file(ctx.label.name + ".params.json")
    ctx.actions.write(params, json.encode(without_none(
        label = str(ctx.label),
        base = struct(path = ctx.file.base.path, label = str(ctx.attr.base.label)) if ctx.attr.base else None,
        os = ctx.attr.os,
        architecture = ctx.attr.architecture,
        variant = ctx.attr.variant,
        layers = [
            struct(path = tar.path, label = str(tar.owner), descriptor = descriptor.path)
            for tar, descriptor in zip(ctx.files.tars, descriptors)
        ],
        user = ctx.attr.user,
        workdir = lines([ctx.attr.workdir] if ctx.attr.workdir else [], ctx.file.workdir_file.path if ctx.file.workdir_file else None),
        **texts
    )))

    layout = ctx.actions.declare_directory(ctx.label.name)
    digest = ctx.actions.declare_file(ctx.label.name + ".json.sha256")  # The name in rules_oci.
    args = ctx.actions.args()
    args.add("image")
    args.add("--params", params)
    args.add("--output", layout.path)
    args.add("--digest", digest)
    for tar in ctx.files.tars:
        # As in rules_oci, the history has labels in the form of args.add.
        args.add("--layer-label", tar.owner)
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._tool,
        inputs = inputs + descriptors + [params],
        mnemonic = "OCIImage",
        outputs = [layout, digest],
        progress_message = "Assembling image %{label}",
    )
    base = ctx.attr.base[OCIImageInfo] if ctx.attr.base and OCIImageInfo in ctx.attr.base else None
    return [
        DefaultInfo(files = depset([layout]), runfiles = ctx.runfiles([layout])),
        OutputGroupInfo(digest = depset([digest])),
        OCIImageInfo(
            architecture = base.architecture if base else ctx.attr.architecture or None,
            base = base,
            layers = [struct(file = tar, label = tar.owner) for tar in ctx.files.tars],
            layout = layout,
            os = base.os if base else ctx.attr.os or None,
        ),
    ]

oci_image_rule = rule(
    implementation = _oci_image_impl,
    attrs = _ATTRS,
    doc = "Assembles an image as an OCI layout. The macro `oci_image` also takes lists and dicts.",
    provides = [OCIImageInfo],
)

def _is_label(workdir):
    # rules_oci distinguishes a directory from a target like this.
    return type(workdir) == "Label" or workdir[:1] in (":", "@") or workdir.startswith("//") or "/" not in workdir

def inline_text(attribute, value):
    """Formats a list or dict like the files that rules_oci writes.

    Args:
        attribute: name of the attribute.
        value: a list or dict.

    Returns:
        The text.
    """
    if type(value) == "dict":
        return "\n".join(["{}={}".format(k, v) for k, v in value.items()])
    if attribute in ("exposed_ports", "volumes"):
        return ",".join(value)
    return "\n".join([element.replace("\n", "%5Cn") for element in value])

def oci_image(
        name,
        annotations = None,
        architecture = None,
        base = None,
        cmd = None,
        created = None,
        entrypoint = None,
        env = None,
        exposed_ports = None,
        labels = None,
        os = None,
        resource_set = None,
        tars = [],
        user = None,
        variant = None,
        volumes = None,
        workdir = None,
        **kwargs):
    """Assembles an image as a directory in the OCI image layout.

    The target `<name>.digest` is a file with the digest of the manifest.

    ```starlark
    oci_image(
        name = "locomotion",
        base = ":base",
        tars = [":policy", ":binary"],  # do not sort: least changed first
        entrypoint = ["/app/locomotion"],
        env = {"PATH": "/app:$PATH"},
    )
    ```

    `entrypoint` and `cmd` replace those of the base, and `entrypoint` also removes its `cmd`. `env`, `labels`, `annotations`,
    `exposed_ports` and `volumes` are added to those of the base. An attribute with a list or dict may also be the label of a file, or a
    select of such labels.

    Args:
        name: name of the target, and of the output directory.
        annotations: dict, or label of a file with one `name=value` per line: annotations of the manifest.
        architecture: CPU architecture as in GOARCH. Required without `base`, not allowed with it.
        base: label of an `oci_image`, of an image of `oci.pull`, or of a directory with an OCI layout of one image. Only manifest and config of a pulled image are read.
        cmd: list, or label of a file with one argument per line: default arguments. An empty list replaces those of the base.
        created: label of a file with a time in RFC 3339, without line break. Default: that of the base, or the epoch.
        entrypoint: list, or label of a file with one argument per line: the program.
        env: dict, or label of a file with one `NAME=value` per line. `$NAME` and `${NAME}` expand from the base and earlier entries.
        exposed_ports: list, or label of a file with ports separated by commas, for example `6000/tcp`.
        labels: dict, or label of a file with one `name=value` per line: labels of the config.
        os: operating system as in GOOS. Required without `base`, not allowed with it.
        resource_set: no effect: the program uses one thread.
        tars: labels of tar files (plain, gzip or zstd), one layer each, in this order.
        user: user, and optionally group, of the process.
        variant: variant of the architecture. Not allowed with `base`.
        volumes: list, or label of a file with mount points separated by commas.
        workdir: working directory, or label of a file with it.
        **kwargs: common attributes of Bazel, such as `visibility` and `tags`.
    """
    texts = {
        "annotations": annotations,
        "cmd": cmd,
        "created": created,
        "entrypoint": entrypoint,
        "env": env,
        "exposed_ports": exposed_ports,
        "labels": labels,
        "volumes": volumes,
    }
    reject_unknown("oci_image", name, kwargs, list(texts) + ["architecture", "base", "name", "os", "resource_set", "tars", "user", "variant", "workdir"])
    attrs = {}
    inline = {}
    for attribute, value in texts.items():
        if type(value) in ("dict", "list"):
            inline[attribute] = inline_text(attribute, value)
        else:
            attrs[attribute] = value
    if workdir:
        attrs["workdir_file" if _is_label(workdir) else "workdir"] = workdir

    oci_image_rule(
        name = name,
        architecture = architecture,
        base = base,
        inline = inline,
        os = os,
        resource_set = resource_set,
        tars = tars,
        user = user,
        variant = variant,
        **(attrs | kwargs)
    )
    native.filegroup(
        name = name + ".digest",
        srcs = [name],
        output_group = "digest",
        **kwargs
    )
