"""oci_load. The subcommand `load` of //oci/cmd/oci does the work."""

load(":attributes.bzl", "EXECUTABLE", "lines", "reject_unknown", "rlocation", "without_none")

_ATTRS = {
    "format": attr.string(default = "docker", doc = "`docker` for the format of `docker save`, `oci` for an OCI layout, which docker reads only with its containerd image store.", values = ["docker", "oci"]),
    "image": attr.label(allow_single_file = True, doc = "The `oci_image` or `oci_image_index` to load, or a directory with an OCI layout.", mandatory = True),
    "inline_repo_tags": attr.string_list(doc = "`repo_tags` without file. The macro sets it."),
    "loader": attr.label(allow_files = True, cfg = "exec", doc = "A program to use instead of the container engine on PATH. It gets the argument `load` and the archive on standard input.", executable = True),
    "repo_tags": attr.label(allow_single_file = True, doc = "A file with names for the loaded image, one `repository:tag` per line."),
    "_tool": attr.label(cfg = "exec", default = Label("//oci/cmd/oci"), doc = "The program that does the work.", executable = True),
}

def _write_params(ctx, name, path):
    """Describes the load to the program. `path` returns the path of a file."""
    tags = ctx.file.repo_tags
    params = ctx.actions.declare_file("{}/{}.json".format(ctx.label.name, name))
    ctx.actions.write(params, json.encode(without_none(
        label = str(ctx.label),
        image = path(ctx.file.image),
        format = ctx.attr.format,
        repo_tags = lines(ctx.attr.inline_repo_tags, path(tags) if tags else None),
        loader = path(ctx.executable.loader) if ctx.executable.loader else None,
    )))
    return params

def _oci_load_impl(ctx):
    inputs = [ctx.file.image] + ([ctx.file.repo_tags] if ctx.file.repo_tags else [])

    # The archive is large, so only the output group has it.
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

    # The program is a symlink to the tool. It reads the parameters beside it, at its path with ".json".
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

oci_load_rule = rule(
    implementation = _oci_load_impl,
    attrs = _ATTRS,
    doc = "Loads an image into a container engine. The macro `oci_load` also takes a list of `repo_tags`.",
    executable = True,
)

def oci_load(name, image, repo_tags = None, format = "docker", loader = None, **kwargs):
    """Loads an image into docker, podman or containerd with `bazel run`.

    ```starlark
    oci_load(
        name = "locomotion.load",
        image = ":locomotion",
        repo_tags = ["krabby-locomotion:latest"],
    )
    ```

    `bazel run :locomotion.load` uses the first of docker, podman, nerdctl and
    ctr on PATH whose daemon responds. `-- --loader COMMAND` uses another
    engine, and `-- --tar FILE` writes the archive instead of loading it. For
    an archive in a build, use the output group `tarball` with a filegroup. It
    fails on a pulled base, whose layers only `bazel run` fetches.

    Layers that the engine has are not sent again if it can report them: see
    the README.

    Args:
        name: name of the target.
        image: label of an `oci_image` or `oci_image_index`, or of a directory with an OCI layout. Of an index, `docker` loads the image for this machine's platform, or for `--platform`.
        repo_tags: list, or label of a file with one per line: names for the loaded image, `repository:tag`.
        format: `docker` or `oci`. Docker reads `oci` only with its containerd image store.
        loader: label of a program to use instead of the engine on PATH. It gets the argument `load` and the archive on standard input.
        **kwargs: common attributes of Bazel, such as `visibility`, `tags` and `args`.
    """
    reject_unknown("oci_load", name, kwargs, ["format", "image", "loader", "name", "repo_tags"] + EXECUTABLE)
    inline = type(repo_tags) == "list"
    oci_load_rule(
        name = name,
        format = format,
        image = image,
        loader = loader,
        inline_repo_tags = repo_tags if inline else None,
        repo_tags = None if inline else repo_tags,
        **kwargs
    )
