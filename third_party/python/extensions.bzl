"""Python wheels, pinned in lock files, from the package index of this machine's pip.

lock.json pins the wheels whose files builds use. Each entry is one repository with the unpacked wheel and the entry's BUILD file.
`bazel run //tools/pin -- wheel` writes this lock file.

requirements.json has groups of requirements for Python in images, and the environments of the images. Each environment has one fully
resolved lock file, `<environment>.lock.json`, and one repository, `@wheels_<environment>`. The repository has a label for each wheel
(`@wheels_py311_arm64//:numpy`) and each group (`@wheels_py311_arm64//:runtime`) for the attribute `wheels` of `layer`.
`bazel run //tools/pin -- wheels` writes these lock files.
"""

load("//third_party/bazel:fetch.bzl", "fetch", "run")

def _download(rctx):
    """Fetches the wheel with this machine's pip, which uses pip's indexes, proxies and credentials."""
    python = rctx.which("python3")
    if not python:
        fail("{}: python3 not found on PATH: install python3 and python3-pip, which download wheels".format(rctx.attr.filename))
    run(
        rctx,
        what = rctx.attr.filename,
        arguments = [
            python,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-cache-dir",
            "--retries=1",
            "--timeout=10",
            "--no-deps",
            "--only-binary=:all:",
            "--implementation=cp",
            "--python-version=" + rctx.attr.python,
            "--dest=.",
        ] + ["--platform=" + p for p in rctx.attr.platforms] + [
            "{}=={}".format(rctx.attr.project, rctx.attr.version),
        ],
    )
    return rctx.attr.filename

_PINNED = {
    "filename": attr.string(mandatory = True, doc = "File name of the wheel on the index."),
    "platforms": attr.string_list(mandatory = True, doc = "Allowed platform tags of pip."),
    "project": attr.string(mandatory = True, doc = "Project name on the index."),
    "python": attr.string(mandatory = True, doc = "Python version of the wheel, such as `3.11`."),
    "sha256": attr.string(mandatory = True, doc = "SHA-256 of the wheel, in hex."),
    "version": attr.string(mandatory = True, doc = "Version of the project."),
}

def _wheel_impl(rctx):
    # Bazel recognizes a zip file by its extension.
    wheel = fetch(
        rctx,
        name = rctx.attr.filename,
        sha256 = rctx.attr.sha256,
        download = lambda: _download(rctx),
        output = "wheel.zip",
    )
    rctx.extract(wheel)
    rctx.delete(wheel)

    # Bazel does not restore the executable bits of wheels. Programs in a wheel's scripts are executable without being listed.
    scripts = [
        str(script)
        for data in rctx.path(".").readdir()
        if data.basename.endswith(".data") and data.get_child("scripts").exists
        for script in data.get_child("scripts").readdir()
    ]
    for path in rctx.attr.executables + scripts:
        rctx.execute(["chmod", "+x", path])
    for path in rctx.attr.remove:
        rctx.delete(path)
    rctx.symlink(rctx.attr.build_file, "BUILD.bazel")

_wheel = repository_rule(
    implementation = _wheel_impl,
    doc = "One unpacked wheel with a BUILD file of this repository.",
    attrs = _PINNED | {
        "build_file": attr.label(mandatory = True, allow_single_file = True, doc = "BUILD file of the repository."),
        "executables": attr.string_list(doc = "Paths of programs in the wheel, which become executable."),
        "remove": attr.string_list(doc = "Paths in the wheel to remove because no target uses them, which keeps sandboxes small."),
    },
)

def _wheel_file_impl(rctx):
    # The wheel keeps its file name, which contains its tags.
    fetch(rctx, name = rctx.attr.filename, sha256 = rctx.attr.sha256, download = lambda: _download(rctx))
    rctx.file("BUILD.bazel", 'exports_files(["{}"])\n'.format(rctx.attr.filename), executable = False)

_wheel_file = repository_rule(
    implementation = _wheel_file_impl,
    doc = "One wheel, as a file with its original name.",
    attrs = _PINNED,
)

def _hub_impl(rctx):
    # Public: packages of the main repository use these labels.
    lines = ['package(default_visibility = ["//visibility:public"])\n']
    for name, actual in rctx.attr.wheels.items():
        lines.append('alias(name = "{}", actual = "{}")\n'.format(name, actual))
    for name, wheels in rctx.attr.groups.items():
        lines.append('filegroup(name = "{}", srcs = {})\n'.format(name, json.encode([":" + wheel for wheel in wheels])))
    rctx.file("BUILD.bazel", "".join(lines), executable = False)

_hub = repository_rule(
    implementation = _hub_impl,
    doc = "The wheels of one environment: a label for each wheel, and a label for each group with all its wheels.",
    attrs = {
        "groups": attr.string_list_dict(mandatory = True, doc = "Names of wheels by group."),
        "wheels": attr.string_dict(mandatory = True, doc = "Labels of wheel files by name."),
    },
)

def _environment(mctx, name, environment):
    """Defines the repositories of one lock file: @wheels_<name> and one repository for each wheel, which Bazel fetches on demand."""
    wheels = json.decode(mctx.read(Label("//third_party/python:{}.lock.json".format(name))))["wheels"]
    hub, groups = {}, {}
    for project, entry in wheels.items():
        repository = "wheel_{}_{}".format(name, project)
        _wheel_file(
            name = repository,
            filename = entry["filename"],
            platforms = entry["filename"].removesuffix(".whl").split("-")[-1].split("."),
            project = project,
            python = environment["python"],
            sha256 = entry["sha256"],
            version = entry["version"],
        )
        hub[project] = "@{}//:{}".format(repository, entry["filename"])
        for group in entry["groups"]:
            groups.setdefault(group, []).append(project)
    _hub(name = "wheels_" + name, groups = groups, wheels = hub)

def _python_impl(mctx):
    for name, entry in json.decode(mctx.read(Label("//third_party/python:lock.json")))["wheels"].items():
        _wheel(
            name = name,
            build_file = Label(entry["build_file"]),
            executables = entry.get("executables", []),
            filename = entry["filename"],
            platforms = entry["platforms"],
            project = entry["project"],
            python = entry["python"],
            remove = entry.get("remove", []),
            sha256 = entry["sha256"],
            version = entry["version"],
        )
    environments = json.decode(mctx.read(Label("//third_party/python:requirements.json")))["environments"]
    for name, environment in environments.items():
        _environment(mctx, name, environment)
    return mctx.extension_metadata(reproducible = True)

python = module_extension(
    implementation = _python_impl,
    doc = "Defines a repository for each wheel in lock.json, and `@wheels_<environment>` for each environment of requirements.json.",
)
