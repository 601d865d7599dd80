"""Labels and annotations of images. //tools/describe writes them and rejects parts that are incompatible with the base."""

load(":config.bzl", "BASES")

ImageFactsInfo = provider(
    doc = "Description of an image, independently of its base.",
    fields = {"json": "File: a `facts.Image` in JSON."},
)

def _image_facts_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name + ".json")
    ctx.actions.write(output, ctx.attr.json + "\n")
    return [DefaultInfo(files = depset([output])), ImageFactsInfo(json = output)]

image_facts = rule(
    implementation = _image_facts_impl,
    attrs = {"json": attr.string(doc = "A `facts.Image` in JSON.", mandatory = True)},
    doc = "Description of an image.",
    provides = [ImageFactsInfo],
)

def _description_impl(ctx):
    labels = ctx.actions.declare_file(ctx.label.name + ".labels.txt")
    annotations = ctx.actions.declare_file(ctx.label.name + ".annotations.txt")
    facts = ctx.attr.image[ImageFactsInfo].json
    policies = [file for file in ctx.files.policies if file.basename == "manifest.json"]
    inputs = [facts, ctx.file.layout, ctx.file._python_lock] + policies

    args = ctx.actions.args()
    args.add("labels")
    args.add("--image", facts)
    args.add("--layout", ctx.file.layout.path)
    args.add("--base", ctx.attr.base)
    args.add("--python-lock", ctx.file._python_lock)
    args.add("--user=" + ctx.attr.user)
    args.add("--zed", ctx.attr.zed)
    args.add_all(policies, before_each = "--policy")
    args.add("--labels", labels)
    args.add("--annotations", annotations)

    # An image depends only on the locks of what it contains.
    if ctx.attr.base == "nvidia":
        args.add("--nvidia", ctx.attr.nvidia)
        args.add("--nvidia-lock", ctx.file._nvidia_lock)
        inputs.append(ctx.file._nvidia_lock)
    if ctx.attr.zed != "none":
        args.add("--zed-lock", ctx.file._zed_lock)
        inputs.append(ctx.file._zed_lock)
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._tool,
        inputs = inputs,
        mnemonic = "Describe",
        outputs = [labels, annotations],
        progress_message = "Describing %{label}",
    )
    return [
        DefaultInfo(files = depset([labels, annotations])),
        OutputGroupInfo(annotations = depset([annotations]), labels = depset([labels])),
        ctx.attr.image[ImageFactsInfo],
    ]

_description = rule(
    implementation = _description_impl,
    attrs = {
        "base": attr.string(doc = "Kind of base of `layout`.", mandatory = True, values = BASES),
        "image": attr.label(doc = "Description of the image.", mandatory = True, providers = [ImageFactsInfo]),
        "layout": attr.label(allow_single_file = True, doc = "The base: an OCI image layout. Its manifest and config are read.", mandatory = True),
        "nvidia": attr.string(doc = "Name of NVIDIA's base in the lock.", mandatory = True),
        "policies": attr.label_list(doc = "The policies in the image.", allow_files = True),
        "user": attr.string(doc = "User of the image; empty for that of the base, which must not be root."),
        "zed": attr.string(default = "none", doc = "ZED SDK in the image: its name in the lock, or none."),
        "_nvidia_lock": attr.label(allow_single_file = True, default = "//third_party/nvidia:lock.json"),
        "_python_lock": attr.label(allow_single_file = True, default = "//third_party/python:lock.json"),
        "_tool": attr.label(cfg = "exec", default = "//tools/describe", executable = True),
        "_zed_lock": attr.label(allow_single_file = True, default = "//third_party/zed:lock.json"),
    },
    doc = "Labels and annotations of an image. Use the macro `description`.",
    provides = [ImageFactsInfo],
)

def description(name, **kwargs):
    """Makes `name.labels` and `name.annotations`, for the attributes of that name of an oci_image.

    Args:
      name: name of the target.
      **kwargs: attributes of the rule above.
    """
    _description(name = name, **kwargs)
    for group in ["annotations", "labels"]:
        native.filegroup(
            name = name + "." + group,
            srcs = [name],
            output_group = group,
        )

_DescribedInfo = provider(
    doc = "The description behind the labels of an image.",
    fields = {"facts": "ImageFactsInfo"},
)

def _described_impl(target, ctx):
    if ImageFactsInfo in target:
        return [_DescribedInfo(facts = target[ImageFactsInfo])]
    labels = getattr(ctx.rule.attr, "labels", None)
    for dependency in getattr(ctx.rule.attr, "srcs", []) + ([labels] if labels else []):
        if type(dependency) == "Target" and _DescribedInfo in dependency:
            return [dependency[_DescribedInfo]]
    return []

_described = aspect(
    implementation = _described_impl,
    attr_aspects = [
        "labels",
        "srcs",
    ],
    doc = "Finds the description of an oci_image by its labels.",
)

def _versions_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name + ".md")
    images = [image[_DescribedInfo].facts.json for image in ctx.attr.images]
    args = ctx.actions.args()
    args.add("versions")
    args.add_all(images, before_each = "--image")
    args.add("--nvidia-lock", ctx.file._nvidia_lock)
    args.add("--zed-lock", ctx.file._zed_lock)
    args.add("--output", output)
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._tool,
        inputs = images + [ctx.file._nvidia_lock, ctx.file._zed_lock],
        mnemonic = "Versions",
        outputs = [output],
        progress_message = "Writing versions %{label}",
    )
    return [DefaultInfo(files = depset([output]))]

versions = rule(
    implementation = _versions_impl,
    attrs = {
        "images": attr.label_list(aspects = [_described], doc = "Images with labels of `description`.", mandatory = True),
        "_nvidia_lock": attr.label(allow_single_file = True, default = "//third_party/nvidia:lock.json"),
        "_tool": attr.label(cfg = "exec", default = "//tools/describe", executable = True),
        "_zed_lock": attr.label(allow_single_file = True, default = "//third_party/zed:lock.json"),
    },
    doc = "A Markdown page `<name>.md` with the properties of NVIDIA's bases and the compatibility of the images with them.",
)
