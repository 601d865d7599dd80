"""The rule `python_outputs`, which runs a Python program with a pinned interpreter and pinned packages.

```starlark
load("//tools/python:python.bzl", "python_outputs")

python_outputs(
    name = "reference",
    srcs = ["network.py"],
    main = "reference.py",
)
```
"""

def _python_outputs_impl(ctx):
    out = ctx.actions.declare_directory(ctx.label.name)
    args = ctx.actions.args()
    args.add_all(ctx.files._root, before_each = "--root")
    args.add("--")
    args.add(ctx.file.main)
    args.add_all(ctx.attr.args)
    args.add_all([out], expand_directories = False)
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._tool,
        inputs = ctx.files._root + ctx.files.srcs + [ctx.file.main],
        mnemonic = "Python",
        outputs = [out],
        progress_message = "Running %{label}",
    )
    return [DefaultInfo(files = depset([out]), runfiles = ctx.runfiles([out]))]

python_outputs = rule(
    implementation = _python_outputs_impl,
    attrs = {
        "args": attr.string_list(doc = "Arguments of the program, before the path of the output directory."),
        "main": attr.label(allow_single_file = [".py"], doc = "Python program to run.", mandatory = True),
        "srcs": attr.label_list(allow_files = [".py"], doc = "Modules in the directory of the program that it imports."),
        "_root": attr.label_list(default = [Label("//tools/python:system"), Label("//tools/python:packages")], allow_files = [".tar"]),
        "_tool": attr.label(cfg = "exec", default = Label("//tools/python"), executable = True),
    },
    doc = """Runs a Python program that writes a directory, which is the only output of the target.

The program gets its `args` and the path of the directory. It runs on x86_64 with Debian's Python, numpy and onnx: the wheels of the
group `export` in //third_party/python:requirements.json.""",
)
