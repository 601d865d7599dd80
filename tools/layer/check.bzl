"""The rule `layer_check`, which checks the layers of an image against each other.

```starlark
load("//tools/layer:check.bzl", "layer_check")

layer_check(
    name = "locomotion_layers",
    base = "//oci/base:slim_arm64",
    tars = [":program"],
)

oci_image(
    name = "locomotion",
    base = "//oci/base:slim_arm64",
    tars = [":locomotion_layers"],
)
```
"""

def _read_paths(ctx, name, flag, file):
    """Reads the paths of a layer or a base in an action of its own: after a change of another layer, its result is still there."""
    output = ctx.actions.declare_file("{}.{}.paths.json".format(ctx.label.name, name))
    args = ctx.actions.args()
    args.add("paths")
    args.add_all([file], before_each = flag, expand_directories = False)
    args.add("--output", output)
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._tool,
        inputs = [file],
        mnemonic = "LayerPaths",
        outputs = [output],
        progress_message = "Reading the paths of layers %{label}",
    )
    return output

def _layer_check_impl(ctx):
    paths = [_read_paths(ctx, "base", "--base", ctx.file.base)] if ctx.file.base else []
    paths += [_read_paths(ctx, i, "--layer", tar) for i, tar in enumerate(ctx.files.tars)]
    output = ctx.actions.declare_file(ctx.label.name + ".checked")
    args = ctx.actions.args()
    args.add("check")
    args.add("--output", output)
    args.add_all(paths)
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._tool,
        inputs = paths,
        mnemonic = "LayerCheck",
        outputs = [output],
        progress_message = "Checking layers %{label}",
    )
    return [
        DefaultInfo(files = depset(ctx.files.tars, order = "preorder")),
        OutputGroupInfo(_validation = depset([output])),
    ]

layer_check = rule(
    implementation = _layer_check_impl,
    attrs = {
        "base": attr.label(allow_single_file = True, doc = "Base image: an OCI image layout such as that of `oci_image`. Layers that it does not contain, because they are not downloaded, are not checked."),
        "tars": attr.label_list(allow_files = [".tar", ".tar.gz", ".tar.zst", ".tgz"], doc = "Layers above the base, from the lowest to the highest: `tars` of `oci_image`."),
        "_tool": attr.label(cfg = "exec", default = Label("//tools/layer"), executable = True),
    },
    doc = """Fails if a layer hides a link or a directory of a layer below: a directory `/lib` above the link `/lib` -> `usr/lib` takes the
libraries of the base away. The error names both layers and the path.

The outputs are the files of `tars`, in their order. The check is a validation action: every build of a target that depends on this one
runs it.""",
)
