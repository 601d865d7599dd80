"""Labels and annotations of images. //tools/describe writes them and rejects parts that are incompatible with the base."""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")
load(":config.bzl", "BASES")

def _description_impl(ctx):
    labels = ctx.actions.declare_file(ctx.label.name + ".labels.txt")
    annotations = ctx.actions.declare_file(ctx.label.name + ".annotations.txt")
    policies = [file for file in ctx.files.policies if file.basename == "manifest.json"]

    args = ctx.actions.args()
    args.add("labels")
    args.add("--image", ctx.file.image)
    args.add("--layout", ctx.file.layout.path)
    args.add("--base", ctx.attr.base)
    args.add("--nvidia-lock", ctx.file._nvidia_lock)
    args.add("--python-lock", ctx.file._python_lock)
    args.add("--user=" + ctx.attr.user)
    args.add("--zed-lock", ctx.file._zed_lock)
    args.add("--zed", ctx.attr._zed_sdk[BuildSettingInfo].value if ctx.attr.zed else "none")
    args.add_all(policies, before_each = "--policy")
    args.add("--labels", labels)
    args.add("--annotations", annotations)
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._tool,
        inputs = [ctx.file.image, ctx.file.layout, ctx.file._nvidia_lock, ctx.file._python_lock, ctx.file._zed_lock] + policies,
        mnemonic = "Describe",
        outputs = [labels, annotations],
        progress_message = "Describing %{label}",
    )
    return [
        DefaultInfo(files = depset([labels, annotations])),
        OutputGroupInfo(annotations = depset([annotations]), labels = depset([labels])),
    ]

_description = rule(
    implementation = _description_impl,
    attrs = {
        "base": attr.string(doc = "Kind of base of `layout`.", mandatory = True, values = BASES),
        "image": attr.label(allow_single_file = True, doc = "Description of the image: a `facts.Image` in JSON.", mandatory = True),
        "layout": attr.label(allow_single_file = True, doc = "The base: an OCI image layout. Its manifest and config are read.", mandatory = True),
        "policies": attr.label_list(doc = "The policies in the image.", allow_files = True),
        "user": attr.string(doc = "User of the image; empty for that of the base, which must not be root."),
        "zed": attr.bool(doc = "Whether the image includes the ZED SDK of --//third_party/zed:sdk."),
        "_nvidia_lock": attr.label(allow_single_file = True, default = "//third_party/nvidia:lock.json"),
        "_python_lock": attr.label(allow_single_file = True, default = "//third_party/python:lock.json"),
        "_zed_lock": attr.label(allow_single_file = True, default = "//third_party/zed:lock.json"),
        "_zed_sdk": attr.label(default = "//third_party/zed:sdk", doc = "The flag.", providers = [BuildSettingInfo]),
        "_tool": attr.label(cfg = "exec", default = "//tools/describe", executable = True),
    },
    doc = "Labels and annotations of an image. Use the macro `description`.",
)

def description(name, **kwargs):
    """Makes `name.labels` and `name.annotations`, for the attributes of that name of an oci_image.

    Args:
      name: name of the target.
      **kwargs: `image`, `layout`, `base` and `policies` of the rule above.
    """
    _description(name = name, **kwargs)
    for group in ["annotations", "labels"]:
        native.filegroup(
            name = name + "." + group,
            srcs = [name],
            output_group = group,
        )

def _versions_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name + ".md")
    args = ctx.actions.args()
    args.add("versions")
    args.add_all(ctx.files.images, before_each = "--image")
    args.add("--nvidia-lock", ctx.file._nvidia_lock)
    args.add("--zed-lock", ctx.file._zed_lock)
    args.add("--output", output)
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._tool,
        inputs = ctx.files.images + [ctx.file._nvidia_lock, ctx.file._zed_lock],
        mnemonic = "Versions",
        outputs = [output],
        progress_message = "Writing versions %{label}",
    )
    return [DefaultInfo(files = depset([output]))]

versions = rule(
    implementation = _versions_impl,
    attrs = {
        "images": attr.label_list(allow_files = True, doc = "Descriptions of the images: the `<name>_facts` of robot_image.", mandatory = True),
        "_nvidia_lock": attr.label(allow_single_file = True, default = "//third_party/nvidia:lock.json"),
        "_tool": attr.label(cfg = "exec", default = "//tools/describe", executable = True),
        "_zed_lock": attr.label(allow_single_file = True, default = "//third_party/zed:lock.json"),
    },
    doc = "A Markdown page `<name>.md` with the properties of NVIDIA's bases and the compatibility of the images with them.",
)
