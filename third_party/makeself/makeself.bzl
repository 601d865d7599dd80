"""The rule `makeself_archive`, which builds self-extracting archives for tests with Debian's makeself."""

def _makeself_archive_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name)
    args = ctx.actions.args()
    args.add("--root", ctx.file._root)
    args.add("--tree", ctx.file.tree)
    args.add("--output", output)
    args.add("--")
    args.add_all(ctx.attr.flags)
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._tool,
        inputs = [ctx.file._root, ctx.file.tree],
        mnemonic = "Makeself",
        outputs = [output],
        progress_message = "Building archive %{label}",
    )
    return [DefaultInfo(files = depset([output]))]

makeself_archive = rule(
    implementation = _makeself_archive_impl,
    attrs = {
        "flags": attr.string_list(doc = "Flags of makeself, such as `--zstd` or `--sha256`."),
        "tree": attr.label(allow_single_file = [".tar"], doc = "Uncompressed tar with the contents of the archive, such as an uncompressed `layer`.", mandatory = True),
        "_root": attr.label(allow_single_file = True, cfg = "exec", default = Label("//third_party/makeself:root")),
        "_tool": attr.label(cfg = "exec", default = Label("//third_party/makeself"), executable = True),
    },
    doc = "Builds one archive with the name of the target.",
)
