"""oci_push: wiring between BUILD files and the subcommand `push` of //oci/cmd/oci."""

load(":attributes.bzl", "inline_or_file", "lines", "reject_unknown", "rlocation", "without_none")

_ATTRS = {
    "image": attr.label(allow_single_file = True, doc = "The `oci_image` or `oci_image_index` to push, or a directory that is an OCI image layout.", mandatory = True),
    "remote_tags": attr.string_list(doc = "Tags to put on what was pushed."),
    "remote_tags_file": attr.label(allow_single_file = True, doc = "`remote_tags`. In a file, one a line, instead of inline."),
    "repository": attr.string(doc = "Where to push to, for example `registry.example/robots/locomotion`."),
    "repository_file": attr.label(allow_single_file = True, doc = "`repository`. In a file, instead of inline."),
    "_tool": attr.label(cfg = "exec", default = Label("//oci/cmd/oci"), doc = "The program that does the work.", executable = True),
}

def _oci_push_impl(ctx):
    repository, tags = ctx.file.repository_file, ctx.file.remote_tags_file

    # The program is the tool itself, named after its command, which looks for
    # its parameters beside it; see oci_load.
    program = ctx.actions.declare_file(ctx.label.name + "/push")
    ctx.actions.symlink(is_executable = True, output = program, target_file = ctx.executable._tool)
    params = ctx.actions.declare_file(ctx.label.name + "/push.json")
    ctx.actions.write(params, json.encode(without_none(
        label = str(ctx.label),
        image = rlocation(ctx, ctx.file.image),
        repository = lines([ctx.attr.repository] if ctx.attr.repository else [], rlocation(ctx, repository) if repository else None),
        remote_tags = lines(ctx.attr.remote_tags, rlocation(ctx, tags) if tags else None),
    )))
    inputs = [file for file in [ctx.file.image, params, repository, tags] if file]
    return [DefaultInfo(
        executable = program,
        files = depset([params]),
        runfiles = ctx.runfiles(inputs).merge(ctx.attr._tool[DefaultInfo].default_runfiles),
    )]

_oci_push = rule(
    implementation = _oci_push_impl,
    attrs = _ATTRS,
    doc = "Pushes an image or index to a registry. Use the macro `oci_push`.",
    executable = True,
)

def oci_push(name, image, repository = None, remote_tags = None, repository_file = None, **kwargs):
    """Pushes an image or index to a registry by `bazel run`.

    ```starlark
    oci_push(
        name = "locomotion.push",
        image = ":locomotion",
        repository = "registry.example/robots/locomotion",
        remote_tags = ["latest"],
    )
    ```

    Everything goes by digest first, and only then the tags; what the registry
    has is not sent again, and of a pulled base on the same registry nothing is
    fetched or sent. Credentials come from docker's configuration and its
    helpers. `bazel run :locomotion.push -- --repository R --tag T` pushes to
    another repository and puts another tag; the reference by digest of what was
    pushed is printed to standard output.

    Args:
        name: name of the target.
        image: label of an `oci_image` or `oci_image_index`, or of a directory that is an OCI image layout.
        repository: where to push to, without tag. Needed here, in `repository_file` or on the command line.
        remote_tags: list, or label of a file with one a line: tags to put on what was pushed.
        repository_file: label of a file with the repository.
        **kwargs: Bazel's common attributes, such as `visibility` and `tags`.
    """
    reject_unknown("oci_push", name, kwargs, ["image", "name", "remote_tags", "repository", "repository_file"])
    if repository and repository_file:
        fail("oci_push(name = \"{}\") has both repository and repository_file; give one".format(name))
    _oci_push(
        name = name,
        image = image,
        repository = repository,
        repository_file = repository_file,
        **(inline_or_file("remote_tags", remote_tags) | kwargs)
    )
