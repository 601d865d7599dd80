"""oci_push. The subcommand `push` of //oci/cmd/oci does the work."""

load(":attributes.bzl", "EXECUTABLE", "lines", "reject_unknown", "rlocation", "without_none")

_ATTRS = {
    "image": attr.label(allow_single_file = True, doc = "The `oci_image` or `oci_image_index` to push, or a directory with an OCI layout.", mandatory = True),
    "inline_remote_tags": attr.string_list(doc = "`remote_tags` without file. The macro sets it."),
    "insecure": attr.bool(doc = "Permit HTTP, and HTTPS with an unverified certificate."),
    "remote_tags": attr.label(allow_single_file = True, doc = "A file with tags to set, one per line."),
    "repository": attr.string(doc = "The repository, for example `registry.example/robots/locomotion`."),
    "repository_file": attr.label(allow_single_file = True, doc = "A file with the repository."),
    "_tool": attr.label(cfg = "exec", default = Label("//oci/cmd/oci"), doc = "The program that does the work.", executable = True),
}

def _oci_push_impl(ctx):
    if ctx.attr.repository and ctx.attr.repository_file:
        fail("remove one of repository and repository_file")
    repository, tags = ctx.file.repository_file, ctx.file.remote_tags

    # A symlink to the tool, which reads the parameters beside it; see oci_load.
    program = ctx.actions.declare_file(ctx.label.name + "/push")
    ctx.actions.symlink(is_executable = True, output = program, target_file = ctx.executable._tool)
    params = ctx.actions.declare_file(ctx.label.name + "/push.json")
    ctx.actions.write(params, json.encode(without_none(
        label = str(ctx.label),
        image = rlocation(ctx, ctx.file.image),
        repository = lines([ctx.attr.repository] if ctx.attr.repository else [], rlocation(ctx, repository) if repository else None),
        remote_tags = lines(ctx.attr.inline_remote_tags, rlocation(ctx, tags) if tags else None),
        insecure = ctx.attr.insecure or None,
    )))
    inputs = [file for file in [ctx.file.image, params, repository, tags] if file]
    return [DefaultInfo(
        executable = program,
        files = depset([params]),
        runfiles = ctx.runfiles(inputs).merge(ctx.attr._tool[DefaultInfo].default_runfiles),
    )]

oci_push_rule = rule(
    implementation = _oci_push_impl,
    attrs = _ATTRS,
    doc = "Pushes an image or index to a registry. The macro `oci_push` also takes a list of `remote_tags`.",
    executable = True,
)

def oci_push(name, image, repository = None, remote_tags = None, repository_file = None, insecure = False, **kwargs):
    """Pushes an image or index to a registry with `bazel run`.

    ```starlark
    oci_push(
        name = "locomotion.push",
        image = ":locomotion",
        repository = "registry.example/robots/locomotion",
        remote_tags = ["latest"],
    )
    ```

    Images are pushed by digest, then the tags are set. Blobs that the registry
    has are not sent again, and layers of a pulled base on the same registry
    are not fetched. Credentials come from docker's configuration and its
    helpers. `bazel run :locomotion.push -- --repository R --tag T` pushes to
    another repository with another tag. The output is the reference by digest.

    Args:
        name: name of the target.
        image: label of an `oci_image` or `oci_image_index`, or of a directory with an OCI layout.
        repository: the repository, without tag. Required here, in `repository_file` or on the command line.
        remote_tags: list, or label of a file with one per line: tags to set.
        repository_file: label of a file with the repository.
        insecure: whether to permit HTTP, and HTTPS with an unverified certificate. The flag `--insecure` does the same.
        **kwargs: common attributes of Bazel, such as `visibility`, `tags` and `args`.
    """
    reject_unknown("oci_push", name, kwargs, ["image", "insecure", "name", "remote_tags", "repository", "repository_file"] + EXECUTABLE)
    inline = type(remote_tags) == "list"
    oci_push_rule(
        name = name,
        image = image,
        repository = repository,
        repository_file = repository_file,
        inline_remote_tags = remote_tags if inline else None,
        insecure = insecure,
        remote_tags = None if inline else remote_tags,
        **kwargs
    )
