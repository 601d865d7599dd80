"""The rule `report`: what a build action can see from its sandbox."""

def _report_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name + ".json")
    args = ctx.actions.args()
    args.add(output)
    args.add(ctx.file.input)
    args.add_all(ctx.attr.undeclared)
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._tool,
        inputs = [ctx.file.input],
        mnemonic = "Hermetic",
        outputs = [output],
        progress_message = "Looking out of the sandbox for %{label}",
    )
    return [DefaultInfo(files = depset([output]))]

report = rule(
    implementation = _report_impl,
    attrs = {
        "input": attr.label(allow_single_file = True, doc = "The only declared input.", mandatory = True),
        "undeclared": attr.string_list(doc = "Paths, absolute or in the execution root, to try to read."),
        "_tool": attr.label(cfg = "exec", default = Label("//tools/hermetic"), doc = "The program that looks.", executable = True),
    },
    doc = "Runs one ordinary action and keeps its report, `<name>.json`.",
)
