"""oci_image_index. The subcommand `index` of //oci/cmd/oci does the work."""

load(":attributes.bzl", "reject_unknown", "without_none")
load(":image.bzl", "inline_text")
load(":providers.bzl", "OCIImageInfo", "OCIIndexInfo")

def _platforms_transition_impl(_settings, attr):
    return [{"//command_line_option:platforms": str(platform)} for platform in attr.platforms]

_platforms_transition = transition(
    implementation = _platforms_transition_impl,
    inputs = [],
    outputs = ["//command_line_option:platforms"],
)

_ATTRS = {
    "annotations": attr.label(allow_single_file = True, doc = "A file with annotations of the index, one `name=value` per line."),
    "images": attr.label_list(cfg = _platforms_transition, doc = "The images, one for each platform, in this order.", mandatory = True),
    "inline": attr.string_dict(doc = "`annotations` without file. The macro sets it."),
    "platforms": attr.label_list(doc = "Platforms to build the only image for.", providers = [platform_common.PlatformInfo]),
    "_allowlist_function_transition": attr.label(default = "@bazel_tools//tools/allowlists/function_transition_allowlist"),
    "_tool": attr.label(cfg = "exec", default = Label("//oci/cmd/oci"), doc = "The program that does the work.", executable = True),
}

def _oci_image_index_impl(ctx):
    if ctx.attr.platforms and len(ctx.attr.images) != len(ctx.attr.platforms):
        fail("platforms requires exactly one image; found {}".format(len(ctx.attr.images) // len(ctx.attr.platforms)))
    params = ctx.actions.declare_file(ctx.label.name + ".params.json")
    annotations = None
    if ctx.file.annotations:
        annotations = struct(file = ctx.file.annotations.path)
    elif "annotations" in ctx.attr.inline:
        annotations = struct(inline = ctx.attr.inline["annotations"])
    ctx.actions.write(params, json.encode(without_none(
        label = str(ctx.label),
        annotations = annotations,
        images = [
            struct(path = file.path, label = str(target.label))
            for target in ctx.attr.images
            for file in target[DefaultInfo].files.to_list()
        ],
    )))
    layout = ctx.actions.declare_directory(ctx.label.name)
    digest = ctx.actions.declare_file(ctx.label.name + ".json.sha256")
    args = ctx.actions.args()
    args.add("index")
    args.add("--params", params)
    args.add("--output", layout.path)
    args.add("--digest", digest)
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._tool,
        inputs = ctx.files.images + [params] + ([ctx.file.annotations] if ctx.file.annotations else []),
        mnemonic = "OCIImageIndex",
        outputs = [layout, digest],
        progress_message = "Assembling index %{label}",
    )
    return [
        DefaultInfo(files = depset([layout]), runfiles = ctx.runfiles([layout])),
        OutputGroupInfo(digest = depset([digest])),
        OCIIndexInfo(
            images = [image[OCIImageInfo] for image in ctx.attr.images if OCIImageInfo in image],
            layout = layout,
        ),
    ]

oci_image_index_rule = rule(
    implementation = _oci_image_index_impl,
    attrs = _ATTRS,
    doc = "Assembles an index over images. The macro `oci_image_index` also takes a dict of `annotations`.",
    provides = [OCIIndexInfo],
)

def oci_image_index(name, images, platforms = None, annotations = None, **kwargs):
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
        images: labels of images, one for each platform.
        platforms: labels of platforms. Builds the only image in `images` for each of them.
        annotations: dict, or label of a file with one `name=value` per line: annotations of the index.
        **kwargs: common attributes of Bazel, such as `visibility` and `tags`.
    """
    reject_unknown("oci_image_index", name, kwargs, ["annotations", "images", "name", "platforms"])
    inline = type(annotations) == "dict"
    oci_image_index_rule(
        name = name,
        annotations = None if inline else annotations,
        images = images,
        inline = {"annotations": inline_text("annotations", annotations)} if inline else {},
        platforms = platforms,
        **kwargs
    )
    native.filegroup(
        name = name + ".digest",
        srcs = [name],
        output_group = "digest",
        **kwargs
    )
