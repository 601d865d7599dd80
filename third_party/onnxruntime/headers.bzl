"""Headers of ONNX Runtime, for programs in C."""

load("@rules_go//go:def.bzl", "GoInfo")

def _headers_impl(ctx):
    headers = [f for f in ctx.attr.library[GoInfo].srcs if f.extension == "h"]
    if not headers:
        fail("%s: no headers found in its sources" % ctx.attr.library.label)
    files = depset(headers)
    return [
        DefaultInfo(files = files),
        CcInfo(compilation_context = cc_common.create_compilation_context(
            headers = files,
            system_includes = depset([f.dirname for f in headers]),
        )),
    ]

headers = rule(
    doc = "Provides the C headers in the sources of a Go package. The wheel of ONNX Runtime has no headers.",
    implementation = _headers_impl,
    attrs = {
        "library": attr.label(
            doc = "`go_library` with the headers.",
            mandatory = True,
            providers = [GoInfo],
        ),
    },
    provides = [CcInfo],
)
