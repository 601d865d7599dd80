"""oci_load: wiring between BUILD files and the subcommand `load` of //oci/cmd/oci."""

load(":attributes.bzl", "inline_or_file", "lines", "reject_unknown", "rlocation", "without_none")

_ATTRS = {
    "format": attr.string(default = "docker", doc = "`docker` for what `docker save` writes, `oci` for an OCI layout, which docker reads only with its containerd image store.", values = ["docker", "oci"]),
    "image": attr.label(allow_single_file = True, doc = "The `oci_image` or `oci_image_index` to load, or a directory that is an OCI image layout.", mandatory = True),
    "loader": attr.label(allow_files = True, cfg = "exec", doc = "A program to use instead of the runtime found on PATH. It is called with the argument `load` and the archive on standard input.", executable = True),
    "repo_tags": attr.string_list(doc = "Names for the loaded image, `repository:tag`."),
    "repo_tags_file": attr.label(allow_single_file = True, doc = "`repo_tags`. In a file, one a line, instead of inline."),
    "_tool": attr.label(cfg = "exec", default = Label("//oci/cmd/oci"), doc = "The program that does the work.", executable = True),
}

def _write_params(ctx, name, path):
    """Describes the load to the tool, with the paths that `path` gives to files."""
    tags = ctx.file.repo_tags_file
    params = ctx.actions.declare_file("{}/{}.json".format(ctx.label.name, name))
    ctx.actions.write(params, json.encode(without_none(
        label = str(ctx.label),
        image = path(ctx.file.image),
        format = ctx.attr.format,
        repo_tags = lines(ctx.attr.repo_tags, path(tags) if tags else None),
        loader = path(ctx.executable.loader) if ctx.executable.loader else None,
    )))
    return params

def _oci_load_impl(ctx):
    inputs = [ctx.file.image] + ([ctx.file.repo_tags_file] if ctx.file.repo_tags_file else [])

    # Large, so made only for who asks for the output group.
    tarball = ctx.actions.declare_file(ctx.label.name + "/tarball.tar")
    tarball_params = _write_params(ctx, "tarball", lambda file: file.path)
    args = ctx.actions.args()
    args.add("load")
    args.add("--offline")
    args.add("--params", tarball_params)
    args.add("--tar", tarball)
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._tool,
        inputs = inputs + [tarball_params],
        mnemonic = "OCITarball",
        outputs = [tarball],
        progress_message = "Writing image archive %{label}",
    )

    # The program is the tool itself under another name. It looks for its
    # parameters beside it, at its own path with ".json" behind, so no shell
    # script is needed to bring the two together.
    program = ctx.actions.declare_file(ctx.label.name + "/load")
    ctx.actions.symlink(is_executable = True, output = program, target_file = ctx.executable._tool)
    run_params = _write_params(ctx, "load", lambda file: rlocation(ctx, file))

    runfiles = ctx.runfiles(inputs + [run_params]).merge(ctx.attr._tool[DefaultInfo].default_runfiles)
    if ctx.attr.loader:
        runfiles = runfiles.merge(ctx.attr.loader[DefaultInfo].default_runfiles)
    return [
        DefaultInfo(executable = program, files = depset([run_params]), runfiles = runfiles),
        OutputGroupInfo(tarball = depset([tarball])),
    ]

_oci_load = rule(
    implementation = _oci_load_impl,
    attrs = _ATTRS,
    doc = "Loads an image into a container runtime. Use the macro `oci_load`.",
    executable = True,
)

def oci_load(name, image, repo_tags = None, format = "docker", loader = None, **kwargs):
    """Loads an image into docker, podman or containerd by `bazel run`.

    ```starlark
    oci_load(
        name = "locomotion.load",
        image = ":locomotion",
        repo_tags = ["krabby-locomotion:latest"],
    )
    ```

    `bazel run :locomotion.load` uses the first of docker, podman, nerdctl and
    ctr that PATH has: a runtime belongs to the machine and not to the build.
    `bazel run :locomotion.load -- --tar FILE` writes the archive and loads
    nothing; `-- --loader COMMAND` uses another runtime. To have the archive in
    a build, take the output group `tarball` with a filegroup; that fails on a
    pulled base, whose layers only `bazel run` fetches.

    What the runtime has is not sent again, as far as it can be asked and told:
    the README says what that is for each.

    Args:
        name: name of the target.
        image: label of an `oci_image` or `oci_image_index`, or of a directory that is an OCI image layout. Of an index, `docker` loads the image for this machine's platform, or for `--platform`.
        repo_tags: list, or label of a file with one a line: names for the loaded image, `repository:tag`.
        format: `docker` or `oci`. Docker reads `oci` only with its containerd image store.
        loader: label of a program to use instead of what PATH has, called with the argument `load` and the archive on standard input.
        **kwargs: Bazel's common attributes, such as `visibility` and `tags`.
    """
    reject_unknown("oci_load", name, kwargs, ["format", "image", "loader", "name", "repo_tags"])
    _oci_load(
        name = name,
        format = format,
        image = image,
        loader = loader,
        **(inline_or_file("repo_tags", repo_tags) | kwargs)
    )
