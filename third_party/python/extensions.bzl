"""Wheels from the package index that this machine's pip is configured for, pinned in lock.json.

Each entry of the lock is one repository: the unpacked wheel with the entry's build file. `bazel run //tools/pin` writes
the lock.
"""

load("//third_party/bazel:fetch.bzl", "fetch", "run")

def _wheel_impl(rctx):
    def download():
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

    # A wheel is a zip file, which Bazel tells by its name.
    wheel = fetch(rctx, name = rctx.attr.filename, sha256 = rctx.attr.sha256, download = download, output = "wheel.zip")
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
    attrs = {
        "build_file": attr.label(mandatory = True, allow_single_file = True, doc = "BUILD file of the repository."),
        "executables": attr.string_list(doc = "Paths inside the wheel that are programs."),
        "filename": attr.string(mandatory = True, doc = "File name of the wheel on the index."),
        "platforms": attr.string_list(mandatory = True, doc = "pip's platform tags that may be chosen from."),
        "project": attr.string(mandatory = True, doc = "Project name on the index."),
        "python": attr.string(mandatory = True, doc = "Python version that the wheel is for, such as 3.11."),
        "remove": attr.string_list(doc = "Paths inside the wheel that nothing needs, removed to keep sandboxes small."),
        "sha256": attr.string(mandatory = True, doc = "sha256 of the wheel."),
        "version": attr.string(mandatory = True, doc = "Version of the project."),
    },
)

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
    return mctx.extension_metadata(reproducible = True)

python = module_extension(
    implementation = _python_impl,
    doc = "Makes a repository for each wheel in lock.json.",
)
