"""Wheels from the package index that this machine's pip is configured for, pinned in locks.

lock.json has what builds take apart: each entry is one repository, the unpacked wheel with the entry's build file.
`bazel run //tools/pin -- wheel` writes it.

requirements.json has what Python in an image needs, in groups, and the environments that images have. Each environment
has a lock, <environment>.lock.json, with all wheels that these requirements lead to there, and a repository,
@wheels_<environment>, with a label for each wheel (@wheels_py311_arm64//:numpy) and each group (@wheels_py311_arm64//:runtime)
for the attribute `wheels` of `layer`. `bazel run //tools/pin -- wheels` writes the locks.
"""

load("//third_party/bazel:fetch.bzl", "fetch", "run")

def _download(rctx):
    """Fetches the wheel with this machine's pip, and with it pip's indexes, proxies and credentials."""
    python = rctx.which("python3")
    if not python:
        fail("{}: python3 is not on PATH; wheels are fetched with 'python3 -m pip'".format(rctx.attr.filename))
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
    "platforms": attr.string_list(mandatory = True, doc = "pip's platform tags that may be chosen from."),
    "project": attr.string(mandatory = True, doc = "Project name on the index."),
    "python": attr.string(mandatory = True, doc = "Python version that the wheel is for, such as 3.11."),
    "sha256": attr.string(mandatory = True, doc = "sha256 of the wheel."),
    "version": attr.string(mandatory = True, doc = "Version of the project."),
}

def _wheel_impl(rctx):
    # A wheel is a zip file, which Bazel tells by its name.
    wheel = fetch(
        rctx,
        name = rctx.attr.filename,
        sha256 = rctx.attr.sha256,
        download = lambda: _download(rctx),
        output = "wheel.zip",
    )
    rctx.extract(wheel)
    rctx.delete(wheel)

    # Zip entries written by pip's tools carry no executable bits that Bazel keeps.
    for path in rctx.attr.executables:
        rctx.execute(["chmod", "+x", path])
    for path in rctx.attr.remove:
        rctx.delete(path)
    rctx.symlink(rctx.attr.build_file, "BUILD.bazel")

_wheel = repository_rule(
    implementation = _wheel_impl,
    doc = "One unpacked wheel.",
    attrs = _PINNED | {
        "build_file": attr.label(mandatory = True, allow_single_file = True, doc = "BUILD file of the repository."),
        "executables": attr.string_list(doc = "Paths inside the wheel that are programs."),
        "remove": attr.string_list(doc = "Paths inside the wheel that nothing needs, removed to keep sandboxes small."),
    },
)

def _wheel_file_impl(rctx):
    # Its name is part of a wheel: the tags are nowhere else.
    fetch(rctx, name = rctx.attr.filename, sha256 = rctx.attr.sha256, download = lambda: _download(rctx))
    rctx.file("BUILD.bazel", 'exports_files(["{}"])\n'.format(rctx.attr.filename), executable = False)

_wheel_file = repository_rule(
    implementation = _wheel_file_impl,
    doc = "One wheel as it is, under its own name.",
    attrs = _PINNED,
)

def _hub_impl(rctx):
    lines = ['package(default_visibility = ["//visibility:public"])\n']
    for name, actual in rctx.attr.wheels.items():
        lines.append('alias(name = "{}", actual = "{}")\n'.format(name, actual))
    for name, wheels in rctx.attr.groups.items():
        lines.append('filegroup(name = "{}", srcs = {})\n'.format(name, json.encode([":" + wheel for wheel in wheels])))
    rctx.file("BUILD.bazel", "".join(lines), executable = False)

_hub = repository_rule(
    implementation = _hub_impl,
    doc = "The wheels of one environment: a label for each, and for each group one with all that it needs.",
    attrs = {
        "groups": attr.string_list_dict(mandatory = True, doc = "Names of wheels by group."),
        "wheels": attr.string_dict(mandatory = True, doc = "Label of the wheel's file by name."),
    },
)

def _environment(mctx, name, environment):
    """Makes the repositories of one lock: @wheels_<name>, and one for each wheel, which is fetched when a build needs it."""
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
    doc = "Makes a repository for each wheel in lock.json, and @wheels_<environment> for each environment of requirements.json.",
)
