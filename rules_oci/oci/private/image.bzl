"""oci_image: wiring between BUILD files and the subcommand `image` of //oci/cmd/oci."""

load(":attributes.bzl", "inline_or_file", "lines", "reject_unknown", "stable_name", "without_none")

_TAR_EXTENSIONS = [
    ".tar",
    ".tar.gz",
    ".tar.zst",
    ".tgz",
    ".tzst",
]

_FILE = " In a file, {}, instead of inline."

_ATTRS = {
    "annotations": attr.string_dict(doc = "Annotations of the manifest, merged over the base's."),
    "annotations_file": attr.label(allow_single_file = True, doc = "`annotations`." + _FILE.format("one `name=value` a line")),
    "architecture": attr.string(doc = "CPU architecture as GOARCH has it, for example `arm64`. Mandatory without `base`, forbidden with it."),
    "base": attr.label(allow_single_file = True, doc = "An `oci_image`, what `oci.pull` made, or a directory that is an OCI image layout, to build on."),
    "cleared": attr.string_list(doc = "Attributes that were given as an empty list, which clears what the base has."),
    "cmd": attr.string_list(doc = "Default arguments of the container."),
    "cmd_file": attr.label(allow_single_file = True, doc = "`cmd`." + _FILE.format("one argument a line")),
    "created": attr.label(allow_single_file = True, doc = "A file with the time of creation in RFC 3339. The default is the base's, or the epoch: a build has no time."),
    "entrypoint": attr.string_list(doc = "Program and first arguments of the container. Setting it clears the base's `cmd`."),
    "entrypoint_file": attr.label(allow_single_file = True, doc = "`entrypoint`." + _FILE.format("one argument a line")),
    "env": attr.string_dict(doc = "Environment, merged over the base's. `$NAME` and `${NAME}` expand to what the base or an earlier entry defines."),
    "env_file": attr.label(allow_single_file = True, doc = "`env`." + _FILE.format("one `NAME=value` a line")),
    "exposed_ports": attr.string_list(doc = "Ports, for example `6000/tcp`, added to the base's."),
    "exposed_ports_file": attr.label(allow_single_file = True, doc = "`exposed_ports`." + _FILE.format("separated by lines or commas")),
    "labels": attr.string_dict(doc = "Labels of the config, merged over the base's."),
    "labels_file": attr.label(allow_single_file = True, doc = "`labels`." + _FILE.format("one `name=value` a line")),
    "os": attr.string(doc = "Operating system as GOOS has it, for example `linux`. Mandatory without `base`, forbidden with it."),
    "tars": attr.label_list(allow_files = _TAR_EXTENSIONS, doc = "Tar files, one layer each, in this order above the base's layers. Plain ones are compressed with gzip, gzip and zstd ones are kept byte for byte."),
    "user": attr.string(doc = "User, and perhaps group, of the process, for example `10001` or `10001:10001`."),
    "variant": attr.string(doc = "Variant of the architecture, for example `v8`. Forbidden with `base`."),
    "volumes": attr.string_list(doc = "Mount points, added to the base's."),
    "volumes_file": attr.label(allow_single_file = True, doc = "`volumes`." + _FILE.format("separated by lines or commas")),
    "workdir": attr.string(doc = "Working directory of the process."),
    "workdir_file": attr.label(allow_single_file = True, doc = "`workdir`." + _FILE.format("one line")),
    "_tool": attr.label(cfg = "exec", default = Label("//oci/cmd/oci"), doc = "The program that does the work.", executable = True),
}

def _entries(values):
    return ["{}={}".format(k, v) for k, v in values.items()]

def _source(target, file):
    return struct(path = file.path, label = stable_name(target.label))

def _oci_image_impl(ctx):
    if ctx.attr.base and (ctx.attr.os or ctx.attr.architecture or ctx.attr.variant):
        fail("os, architecture and variant come from the base {} and cannot be set beside it".format(ctx.attr.base.label))
    if not ctx.attr.base and not (ctx.attr.os and ctx.attr.architecture):
        fail("an image without base needs both os and architecture, for example os = \"linux\", architecture = \"arm64\"")

    inputs = ctx.files.tars + ([ctx.file.base] if ctx.file.base else [])

    def _path(file):
        if file:
            inputs.append(file)
        return file.path if file else None

    params = ctx.actions.declare_file(ctx.label.name + ".params.json")
    ctx.actions.write(params, json.encode(without_none(
        label = str(ctx.label),
        base = _source(ctx.attr.base, ctx.file.base) if ctx.attr.base else None,
        os = ctx.attr.os,
        architecture = ctx.attr.architecture,
        variant = ctx.attr.variant,
        layers = [_source(t, f) for t in ctx.attr.tars for f in t[DefaultInfo].files.to_list()],
        entrypoint = lines(ctx.attr.entrypoint, _path(ctx.file.entrypoint_file), "entrypoint" in ctx.attr.cleared),
        cmd = lines(ctx.attr.cmd, _path(ctx.file.cmd_file), "cmd" in ctx.attr.cleared),
        env = lines(_entries(ctx.attr.env), _path(ctx.file.env_file)),
        labels = lines(_entries(ctx.attr.labels), _path(ctx.file.labels_file)),
        annotations = lines(_entries(ctx.attr.annotations), _path(ctx.file.annotations_file)),
        exposed_ports = lines(ctx.attr.exposed_ports, _path(ctx.file.exposed_ports_file)),
        volumes = lines(ctx.attr.volumes, _path(ctx.file.volumes_file)),
        user = ctx.attr.user,
        workdir = lines([ctx.attr.workdir] if ctx.attr.workdir else [], _path(ctx.file.workdir_file)),
        created = lines([], _path(ctx.file.created)),
    )))

    layout = ctx.actions.declare_directory(ctx.label.name)

    # The file name that rules_oci has, too.
    digest = ctx.actions.declare_file(ctx.label.name + ".json.sha256")

    args = ctx.actions.args()
    args.add("image")
    args.add("--params", params)
    args.add("--output", layout.path)
    args.add("--digest", digest)
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._tool,
        inputs = inputs + [params],
        mnemonic = "OCIImage",
        outputs = [layout, digest],
        progress_message = "Assembling image %{label}",
    )
    return [
        DefaultInfo(files = depset([layout]), runfiles = ctx.runfiles([layout])),
        OutputGroupInfo(digest = depset([digest])),
    ]

_oci_image = rule(
    implementation = _oci_image_impl,
    attrs = _ATTRS,
    doc = "Assembles an OCI image layout. Use the macro `oci_image`.",
)

def _is_label(workdir):
    # The rule by which rules_oci tells a directory from a target.
    return type(workdir) == "Label" or workdir[:1] in (":", "@") or workdir.startswith("//") or "/" not in workdir

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
        resource_set = None,  # buildifier: disable=unused-variable
        tars = [],
        user = None,
        variant = None,
        volumes = None,
        workdir = None,
        **kwargs):
    """Assembles an OCI image as a directory in the OCI image layout.

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

    Against the base, lists replace (an `entrypoint` clears the base's `cmd`,
    an empty list clears the attribute itself), while `env`, `labels`,
    `annotations`, `exposed_ports` and `volumes` merge.

    Args:
        name: name of the target, and of the output directory.
        annotations: dict, or label of a file with one `name=value` a line: annotations of the manifest.
        architecture: CPU architecture as GOARCH has it. Mandatory without `base`, forbidden with it.
        base: label of an `oci_image`, of what `oci.pull` made, or of a directory that is an OCI image layout with one image. Of a pulled one only manifest and config are read.
        cmd: list, or label of a file with one argument a line: default arguments.
        created: label of a file with a time in RFC 3339. The default is the base's, or the epoch.
        entrypoint: list, or label of a file with one argument a line: the program.
        env: dict, or label of a file with one `NAME=value` a line. `$NAME` and `${NAME}` expand to what the base or an earlier entry defines; an unknown name is an error.
        exposed_ports: list, or label of a file separated by lines or commas, for example `6000/tcp`.
        labels: dict, or label of a file with one `name=value` a line: labels of the config.
        os: operating system as GOOS has it. Mandatory without `base`, forbidden with it.
        resource_set: accepted for rules_oci's sake and ignored: the tool uses one thread.
        tars: labels of tar files (plain, gzip or zstd), one layer each, in this order.
        user: user, and perhaps group, of the process.
        variant: variant of the architecture. Forbidden with `base`.
        volumes: list, or label of a file separated by lines or commas: mount points.
        workdir: working directory, or label of a file that holds it.
        **kwargs: Bazel's common attributes, such as `visibility` and `tags`.
    """
    either = {
        "annotations": annotations,
        "cmd": cmd,
        "entrypoint": entrypoint,
        "env": env,
        "exposed_ports": exposed_ports,
        "labels": labels,
        "volumes": volumes,
    }
    reject_unknown("oci_image", name, kwargs, list(either) + [
        "architecture",
        "base",
        "created",
        "name",
        "os",
        "resource_set",
        "tars",
        "user",
        "variant",
        "workdir",
    ])
    attrs = {}
    for attribute, value in either.items():
        attrs.update(inline_or_file(attribute, value))
    if workdir:
        attrs["workdir_file" if _is_label(workdir) else "workdir"] = workdir

    _oci_image(
        name = name,
        architecture = architecture,
        base = base,
        cleared = [a for a in ["cmd", "entrypoint"] if either[a] == []],
        created = created,
        os = os,
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
