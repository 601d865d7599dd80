"""The rule `python_wheel`, which builds a reproducible wheel of Python sources.

```starlark
load("//tools/layer:wheel.bzl", "python_wheel")

python_wheel(
    name = "wheel",
    srcs = glob(["krabby_hal/**"]),
    project = "krabby_hal",
    requires = ["numpy>=1.24"],
    requires_python = ">=3.10",
    summary = "One line about the project",
    version = "0.1.0",
)
```
"""

def _name(ctx, file):
    """Returns the file's path in the wheel: the path below the package of the target."""
    package = ctx.label.package + "/" if ctx.label.package else ""
    if file.owner.workspace_name != ctx.label.workspace_name or not file.short_path.startswith(package):
        fail("{}: {} is not below the package of the target: move the file or the target".format(ctx.label, file.owner))
    return file.short_path[len(package):]

def _python_wheel_impl(ctx):
    params = ctx.actions.declare_file(ctx.label.name + ".wheel.json")
    ctx.actions.write(params, json.encode(struct(
        label = str(ctx.label),
        project = ctx.attr.project,
        version = ctx.attr.version,
        summary = ctx.attr.summary,
        license = ctx.attr.license,
        requires_python = ctx.attr.requires_python,
        requires = ctx.attr.requires,
        files = [struct(path = f.path, name = _name(ctx, f)) for f in ctx.files.srcs],
    )))
    output = ctx.actions.declare_file("{}-{}-py3-none-any.whl".format(ctx.attr.project, ctx.attr.version))
    args = ctx.actions.args()
    args.add("wheel")
    args.add("--params", params)
    args.add("--output", output)
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._tool,
        inputs = [params] + ctx.files.srcs,
        mnemonic = "PythonWheel",
        outputs = [output],
        progress_message = "Building wheel %{label}",
    )
    return [DefaultInfo(files = depset([output]))]

python_wheel = rule(
    implementation = _python_wheel_impl,
    attrs = {
        "license": attr.string(default = "Apache-2.0", doc = "SPDX identifier of the licence."),
        "project": attr.string(doc = "Project name in lower case with `_`, such as `krabby_hal`.", mandatory = True),
        "requires": attr.string_list(doc = "Requirements in the syntax of pip, such as `numpy>=1.24`. A `layer` with this wheel verifies that its other wheels meet them."),
        "requires_python": attr.string(doc = "Supported Python versions, such as `>=3.10`.", mandatory = True),
        "srcs": attr.label_list(allow_files = True, doc = "Files of the wheel. Their paths in the wheel are relative to the package of this target.", mandatory = True),
        "summary": attr.string(doc = "One line about the project.", mandatory = True),
        "version": attr.string(doc = "Version in the normal form of PEP 440, such as `0.1.0`.", mandatory = True),
        "_tool": attr.label(cfg = "exec", default = Label("//tools/layer"), executable = True),
    },
    doc = """Builds `<project>-<version>-py3-none-any.whl` from Python sources, for the attribute `wheels` of `layer` and for pip.

No code of the sources runs. Entries are sorted and not compressed, with mode 0644 and the date 1980-01-01. RECORD has their hashes.""",
)
