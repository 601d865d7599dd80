"""The Go SDK, pinned by version and sha256.

The Go module proxy serves the SDK as the module golang.org/toolchain. Any version of `go` on the machine can download it.
"""

load("//third_party/bazel:fetch.bzl", "fetch", "run")

# `bazel run //tools/pin -- go` prints this version and the hashes below.
VERSION = "1.26.8"

# SHA-256 of the module's zip by GOOS-GOARCH of the machine that compiles.
ARCHIVES = {
    "linux-amd64": "30c2b1bf7dcc88d3eb0a1364e47ddd9128edb3110a30e8a0ef61cd5856b31de7",
}

def _go_archive_impl(rctx):
    platform = rctx.attr.platform
    module = "golang.org/toolchain"
    version = "v0.0.1-go{}.{}".format(VERSION, platform)

    def download():
        go = rctx.which("go")
        if not go:
            fail("{}@{}: go not found on PATH: install any version of Go, which downloads the SDK, ".format(module, version) +
                 "or put the zip file of the module into third_party/dist")
        answer = run(
            rctx,
            what = "{}@{}".format(module, version),
            arguments = ["env", "GOTOOLCHAIN=local", "GOFLAGS=", go, "mod", "download", "-json", "{}@{}".format(module, version)],
        )
        return json.decode(answer)["Zip"]

    archive = fetch(
        rctx,
        name = "go{}.{}.zip".format(VERSION, platform),
        sha256 = ARCHIVES[platform],
        download = download,
    )
    rctx.extract(archive, stripPrefix = "{}@{}".format(module, version))
    rctx.delete(archive)

    # Module zips have no executable bits.
    tools = rctx.path("pkg/tool").readdir()
    programs = rctx.path("bin").readdir() + [program for directory in tools for program in directory.readdir()]
    rctx.execute(["chmod", "+x"] + programs)
    rctx.file("ROOT", "")
    rctx.file("BUILD.bazel", 'exports_files(["ROOT"])\n', executable = False)

_go_archive = repository_rule(
    implementation = _go_archive_impl,
    doc = "One unpacked Go SDK.",
    attrs = {"platform": attr.string(mandatory = True, doc = "GOOS-GOARCH of the machine that compiles.")},
)

def _extension_impl(mctx):
    for platform in ARCHIVES:
        _go_archive(name = "go_" + platform.replace("-", "_"), platform = platform)
    return mctx.extension_metadata(reproducible = True)

go_archive = module_extension(
    implementation = _extension_impl,
    doc = "Defines a repository for each Go SDK in `ARCHIVES`, such as `@go_linux_amd64`.",
)
