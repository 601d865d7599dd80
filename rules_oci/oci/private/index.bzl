"""oci_image_index: wiring between BUILD files and the subcommand `index` of //oci/cmd/oci."""

load(":attributes.bzl", "reject_unknown", "stable_name")

_ATTRS = {
    "images": attr.label_list(doc = "The `oci_image`s, one for each platform, in this order.", mandatory = True),
    "_tool": attr.label(cfg = "exec", default = Label("//oci/cmd/oci"), doc = "The program that does the work.", executable = True),
}

def _oci_image_index_impl(ctx):
    params = ctx.actions.declare_file(ctx.label.name + ".params.json")
    ctx.actions.write(params, json.encode(struct(
        label = str(ctx.label),
        images = [
            struct(path = file.path, label = stable_name(target.label))
            for target in ctx.attr.images
            for file in target[DefaultInfo].files.to_list()
        ],
    )))
    layout = ctx.actions.declare_directory(ctx.label.name)

    # The file name that rules_oci has, too.
    digest = ctx.actions.declare_file(ctx.label.name + ".json.sha256")

    args = ctx.actions.args()
    args.add("index")
    args.add("--params", params)
    args.add("--output", layout.path)
    args.add("--digest", digest)
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._tool,
        inputs = ctx.files.images + [params],
        mnemonic = "OCIImageIndex",
        outputs = [layout, digest],
        progress_message = "Assembling index %{label}",
    )
    return [
        DefaultInfo(files = depset([layout]), runfiles = ctx.runfiles([layout])),
        OutputGroupInfo(digest = depset([digest])),
    ]

_oci_image_index = rule(
    implementation = _oci_image_index_impl,
    attrs = _ATTRS,
    doc = "Assembles an index over images. Use the macro `oci_image_index`.",
)

def oci_image_index(name, images, **kwargs):
    """Assembles an index over images of several platforms, as a directory in the OCI image layout.

    The target `<name>.digest` is a file with the digest of the index.

    ```starlark
    oci_image_index(
        name = "testing",
        images = [":testing_x86", ":testing_arm"],
    )
    ```

    Args:
        name: name of the target, and of the output directory.
        images: labels of `oci_image`s, one for each platform.
        **kwargs: Bazel's common attributes, such as `visibility` and `tags`.
    """
    reject_unknown("oci_image_index", name, kwargs, ["images", "name"])
    _oci_image_index(
        name = name,
        images = images,
        **kwargs
    )
    native.filegroup(
        name = name + ".digest",
        srcs = [name],
        output_group = "digest",
        **kwargs
    )
