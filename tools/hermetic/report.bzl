"""The rule `report`, which lists the parts of the machine that are visible from the sandbox of an action."""

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
        progress_message = "Probing the sandbox for %{label}",
    )
    return [DefaultInfo(files = depset([output]))]

report = rule(
    implementation = _report_impl,
    attrs = {
        "input": attr.label(allow_single_file = True, doc = "The only declared input of the action.", mandatory = True),
        "undeclared": attr.string_list(doc = "Paths that the action tries to read, absolute or relative to the execution root."),
        "_tool": attr.label(cfg = "exec", default = Label("//tools/hermetic"), executable = True),
    },
    doc = "Runs one action with the default sandbox and writes its report to `<name>.json`.",
)
