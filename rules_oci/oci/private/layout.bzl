"""oci_layout: the rule in the repositories of `oci.pull`. Other BUILD files must not use it."""

load(":providers.bzl", "OCIImageInfo", "OCIPulledInfo")

_ATTRS = {
    "architecture": attr.string(doc = "CPU architecture in the config."),
    "config": attr.label(allow_single_file = True, doc = "The image's config, byte for byte.", mandatory = True),
    "insecure": attr.bool(doc = "Permit HTTP to the registry."),
    "manifest": attr.label(allow_single_file = True, doc = "The image's manifest, byte for byte.", mandatory = True),
    "os": attr.string(doc = "Operating system in the config."),
    "registry": attr.string(doc = "The registry that has the layers.", mandatory = True),
    "repository": attr.string(doc = "The repository in the registry.", mandatory = True),
    "_tool": attr.label(cfg = "exec", default = Label("//oci/cmd/oci"), doc = "The program that does the work.", executable = True),
}

def _oci_layout_impl(ctx):
    params = ctx.actions.declare_file(ctx.label.name + ".params.json")
    ctx.actions.write(params, json.encode(struct(
        label = str(ctx.label),
        registry = ctx.attr.registry,
        insecure = ctx.attr.insecure,
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
    return [
        DefaultInfo(files = depset([layout]), runfiles = ctx.runfiles([layout])),
        OCIImageInfo(
            architecture = ctx.attr.architecture or None,
            base = None,
            layers = [],
            layout = layout,
            os = ctx.attr.os or None,
        ),
        OCIPulledInfo(
            config = ctx.file.config,
            manifest = ctx.file.manifest,
            registry = ctx.attr.registry,
            repository = ctx.attr.repository,
        ),
    ]

oci_layout = rule(
    implementation = _oci_layout_impl,
    attrs = _ATTRS,
    doc = """An image in a registry as a shallow OCI layout.

    The layout has the manifest and config of the image, and `remote.json` with the repository of its layers. `bazel run` of an
    `oci_load` or `oci_push` fetches layers that it reads. Build actions fetch no layers.
    """,
    provides = [OCIImageInfo, OCIPulledInfo],
)
