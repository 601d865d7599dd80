"""oci_layout: what the repositories of `oci.pull` are made of. Not for BUILD files of others."""

_ATTRS = {
    "config": attr.label(allow_single_file = True, doc = "The image's config, byte for byte.", mandatory = True),
    "manifest": attr.label(allow_single_file = True, doc = "The image's manifest, byte for byte.", mandatory = True),
    "registry": attr.string(doc = "The registry that has the layers.", mandatory = True),
    "repository": attr.string(doc = "The repository on it.", mandatory = True),
    "_tool": attr.label(cfg = "exec", default = Label("//oci/cmd/oci"), doc = "The program that does the work.", executable = True),
}

def _oci_layout_impl(ctx):
    params = ctx.actions.declare_file(ctx.label.name + ".params.json")
    ctx.actions.write(params, json.encode(struct(
        label = str(ctx.label),
        registry = ctx.attr.registry,
        repository = ctx.attr.repository,
        manifest = ctx.file.manifest.path,
        config = ctx.file.config.path,
    )))
    layout = ctx.actions.declare_directory(ctx.label.name)
    args = ctx.actions.args()
    args.add("layout")
    args.add("--params", params)
    args.add("--output", layout.path)
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._tool,
        inputs = [ctx.file.manifest, ctx.file.config, params],
        mnemonic = "OCILayout",
        outputs = [layout],
        progress_message = "Laying out %{label}",
    )
    return [DefaultInfo(files = depset([layout]), runfiles = ctx.runfiles([layout]))]

oci_layout = rule(
    implementation = _oci_layout_impl,
    attrs = _ATTRS,
    doc = """An image in a registry as a shallow OCI image layout.

    The layout has the image's manifest and config, and `remote.json`, which names where its layers are. They are fetched
    by `bazel run` of an `oci_load` or `oci_push`, when their bytes are needed, and by no build action.
    """,
)
