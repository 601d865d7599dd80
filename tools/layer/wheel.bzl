"""The rule `python_wheel`: a wheel of Python sources, deterministic to the byte.

```starlark
load("//tools/layer:wheel.bzl", "python_wheel")

python_wheel(
    name = "wheel",
    srcs = glob(["krabby_hal/**"]),
    project = "krabby_hal",
    requires = ["numpy>=1.24"],
    requires_python = ">=3.10",
    summary = "What it is, in one line",
    version = "0.1.0",
)
```
"""

def _name(ctx, file):
    """The file's path in the wheel: that below the package of the rule."""
    package = ctx.label.package + "/" if ctx.label.package else ""
    if file.owner.workspace_name != ctx.label.workspace_name or not file.short_path.startswith(package):
        fail("{}: {} is not below the package, so it has no place in the wheel".format(ctx.label, file.owner))
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
        progress_message = "Making wheel %{label}",
    )
    return [DefaultInfo(files = depset([output]))]

python_wheel = rule(
    implementation = _python_wheel_impl,
    attrs = {
        "license": attr.string(default = "Apache-2.0", doc = "SPDX identifier of the licence."),
        "project": attr.string(doc = "Name of the project, in lower case and with `_`: `krabby_hal`.", mandatory = True),
        "requires": attr.string_list(doc = "What it needs, as pip writes it: `numpy>=1.24`. A `layer` that installs the wheel holds its other wheels to that."),
        "requires_python": attr.string(doc = "The Pythons that it is for: `>=3.10`.", mandatory = True),
        "srcs": attr.label_list(allow_files = True, doc = "Its files. The path in the wheel is that below the package of this target.", mandatory = True),
        "summary": attr.string(doc = "What it is, in one line.", mandatory = True),
        "version": attr.string(doc = "Its version, as PEP 440 normalizes it: `0.1.0`.", mandatory = True),
        "_tool": attr.label(cfg = "exec", default = Label("//tools/layer"), doc = "The program that does the work.", executable = True),
    },
    doc = """Makes `<project>-<version>-py3-none-any.whl` of Python sources, for the attribute `wheels` of `layer` and for pip.

Nothing of it runs. Entries are sorted, of mode 0644 and of 1980, and not compressed; RECORD has their hashes.""",
)
