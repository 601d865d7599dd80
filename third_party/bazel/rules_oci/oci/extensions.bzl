"""The module extension `oci`, for MODULE.bazel files written for rules_oci."""

_toolchains = tag_class(
    attrs = {
        "name": attr.string(default = "oci", doc = "Ignored: there is nothing to name."),
        "crane_version": attr.string(doc = "Ignored: the tool is built from this module's source."),
        "zot_version": attr.string(doc = "Ignored: the tool is built from this module's source."),
    },
    doc = "Does nothing. The registry's rules_oci downloads its toolchains here; this module has none.",
)

def _oci_impl(module_ctx):
    return module_ctx.extension_metadata(reproducible = True)

oci = module_extension(
    implementation = _oci_impl,
    doc = "Accepts what MODULE.bazel files say to the registry's rules_oci.",
    tag_classes = {"toolchains": _toolchains},
)
