"""The repository rules behind the tag `oci.pull`.

They bring an image's manifest and config, a few kilobytes, and never a layer. Bazel's own downloader cannot ask a registry
for them: a registry says in the headers of a refusal where a token is to be had, and `rctx.download` shows no headers.
So the program of //oci/cmd/oci asks, the one that pushes and loads; like gazelle's own tools it is built here by `go
build`, with the Go SDK of the build and the sources that go_deps pins, once, and only when something has to be fetched.

What it brings goes through `rctx.download` as a local file, which checks its sha256 and keeps it in Bazel's repository
cache. That is asked first: what is pinned by digest and was here before needs no registry, no network and no program.
"""

load("@go_host_compatible_sdk_label//:defs.bzl", "HOST_COMPATIBLE_SDK")

# The program's modules, by import path: what `go list -deps ./oci/cmd/oci` names.
_MODULES = {
    "github.com/alecthomas/kong": Label("@com_github_alecthomas_kong//:BUILD.bazel"),
    "github.com/docker/cli": Label("@com_github_docker_cli//:BUILD.bazel"),
    "github.com/docker/docker-credential-helpers": Label("@com_github_docker_docker_credential_helpers//:BUILD.bazel"),
    "github.com/google/go-containerregistry": Label("@com_github_google_go_containerregistry//:BUILD.bazel"),
    "github.com/klauspost/compress": Label("@com_github_klauspost_compress//:BUILD.bazel"),
    "github.com/opencontainers/go-digest": Label("@com_github_opencontainers_go_digest//:BUILD.bazel"),
    "github.com/opencontainers/image-spec": Label("@com_github_opencontainers_image_spec//:BUILD.bazel"),
    "github.com/sirupsen/logrus": Label("@com_github_sirupsen_logrus//:BUILD.bazel"),
    "golang.org/x/sync": Label("@org_golang_x_sync//:BUILD.bazel"),
    "golang.org/x/sys": Label("@org_golang_x_sys//:BUILD.bazel"),
    "krabby.dev/rules_oci": Label("//:BUILD.bazel"),
}

def _oci_fetcher_impl(rctx):
    for path, root in _MODULES.items():
        rctx.symlink(rctx.path(root).dirname, "go/src/" + path)
    for folder in ["internal", "oci/cmd"]:
        rctx.watch_tree(rctx.path(Label("//:BUILD.bazel")).dirname.get_child(folder))
    rctx.report_progress("building the program that asks registries, once")
    result = rctx.execute(
        [rctx.path(HOST_COMPATIBLE_SDK).dirname.get_child("bin", "go"), "build", "-trimpath", "-o", "oci", "krabby.dev/rules_oci/oci/cmd/oci"],
        environment = {
            "CGO_ENABLED": "0",
            "GO111MODULE": "off",
            "GOCACHE": str(rctx.path("cache")),
            "GOENV": "off",
            "GOFLAGS": "",
            "GOPATH": str(rctx.path("go")),
            "GOROOT": str(rctx.path(HOST_COMPATIBLE_SDK).dirname),
            "GOTOOLCHAIN": "local",
        },
        timeout = 1800,
    )
    if result.return_code:
        fail("go build of the program that asks registries failed: " + result.stderr)
    rctx.delete("cache")
    rctx.file("BUILD.bazel", 'exports_files(["oci"])\n', executable = False)

oci_fetcher = repository_rule(
    implementation = _oci_fetcher_impl,
    doc = "The program of //oci/cmd/oci, for repository rules.",
)

def _ask(rctx, reference, *flags):
    """Has the program fetch one document into the file `fetched`, and returns its digest."""
    environment = {}
    if rctx.attr.config:
        rctx.symlink(rctx.attr.config, "docker/config.json")
        environment["DOCKER_CONFIG"] = str(rctx.path("docker"))
    rctx.report_progress("asking for " + reference)
    result = rctx.execute(
        # Not an attribute: Bazel would build it before it is known whether there is something to ask.
        [rctx.path(Label("@oci_fetcher//:oci")), "fetch", reference, "--output", "fetched"] + list(flags),
        environment = environment,
    )
    if result.return_code:
        # All it said, notes on credentials and busy registries among it: here they are the likely cause.
        fail("oci.pull(image = \"{}\"): {}".format(rctx.attr.image, result.stderr.strip()))
    for note in result.stderr.splitlines():
        print(note)  # buildifier: disable=print
    return result.stdout.strip()

def _document(rctx, digest, output, *flags):
    """Brings the manifest or blob of a digest, from the repository cache or from the registry."""
    if not digest.startswith("sha256:") or len(digest) != len("sha256:") + 64:
        fail("oci.pull(image = \"{}\"): {} is not a sha256".format(rctx.attr.image, digest))
    sha256 = digest[len("sha256:"):]

    # There is no such file; what has the sha256 can only come from the cache.
    cached = rctx.download("file://{}".format(rctx.path("not-in-the-repository-cache")), output = output, sha256 = sha256, allow_fail = True)
    if not cached.success:
        _ask(rctx, "{}@{}".format(rctx.attr.image, digest), *flags)
        _keep(rctx, sha256, output)
    return rctx.read(output)

def _keep(rctx, sha256, output):
    rctx.download("file://{}".format(rctx.path("fetched")), output = output, sha256 = sha256)
    rctx.delete("fetched")

def _resolve(rctx):
    """Asks what the tag names now, and says how to make that last."""
    digest = _ask(rctx, "{}:{}".format(rctx.attr.image, rctx.attr.tag))
    _keep(rctx, digest[len("sha256:"):], "resolved.json")
    if rctx.attr.warn:
        # buildifier: disable=print
        print("oci.pull(image = \"{}\", tag = \"{}\") is not reproducible: the tag may name another image tomorrow. To stay with today's, give it digest = \"{}\"".format(
            rctx.attr.image,
            rctx.attr.tag,
            digest,
        ))
    return digest

def _name(platform):
    return "/".join([platform[k] for k in ["os", "architecture", "variant"] if platform.get(k)])

def matches(platform, wanted):
    """Says whether an index's entry is for a platform.

    Args:
        platform: the entry's platform, as the index has it, a dict.
        wanted: `os/architecture` or `os/architecture/variant`.

    Returns:
        Whether it is. Without a variant any will do: an index has arm64 as `linux/arm64` or as `linux/arm64/v8`.
    """
    return wanted in (_name(platform), "{}/{}".format(platform.get("os"), platform.get("architecture")))

def _choose(rctx, index):
    """Returns the digest of the index's image for the platform."""
    entries = [m for m in index["manifests"] if m.get("platform")]
    known = ", ".join(sorted([_name(m["platform"]) for m in entries if m["platform"].get("os") != "unknown"]))
    if not rctx.attr.platform:
        fail("oci.pull(image = \"{}\"): this is an index over {}; say which are wanted with platforms = [...]".format(rctx.attr.image, known))
    chosen = [m["digest"] for m in entries if matches(m["platform"], rctx.attr.platform)]
    if len(chosen) != 1:
        fail("oci.pull(image = \"{}\"): {} images are for {}, wanted one; the index has {}".format(
            rctx.attr.image,
            len(chosen),
            rctx.attr.platform,
            known,
        ))
    return chosen[0]

def _oci_pulled_impl(rctx):
    digest = rctx.attr.digest or _resolve(rctx)
    manifest = json.decode(_document(rctx, digest, "manifest.json"))
    if "manifests" in manifest:
        manifest = json.decode(_document(rctx, _choose(rctx, manifest), "manifest.json"))
    if "config" not in manifest or "layers" not in manifest:
        fail("oci.pull(image = \"{}\"): {} is a {}, wanted an image or an index over images".format(
            rctx.attr.image,
            digest,
            manifest.get("mediaType", "document without mediaType"),
        ))
    config = json.decode(_document(rctx, manifest["config"]["digest"], "config.json", "--blob"))
    if rctx.attr.platform and not matches(config, rctx.attr.platform):
        fail("oci.pull(image = \"{}\"): the image is for {}, not for {}".format(rctx.attr.image, _name(config), rctx.attr.platform))
    registry, _, repository = rctx.attr.image.partition("/")
    rctx.file("BUILD.bazel", """\
load("{layout}", "oci_layout")

oci_layout(
    name = "{name}",
    config = "config.json",
    manifest = "manifest.json",
    registry = "{registry}",
    repository = "{repository}",
    visibility = ["//visibility:public"],
)
""".format(
        layout = Label("//oci/private:layout.bzl"),
        name = rctx.attr.target,
        registry = registry,
        repository = repository,
    ), executable = False)

oci_pulled = repository_rule(
    implementation = _oci_pulled_impl,
    doc = "Manifest and config of one image, as a shallow OCI image layout.",
    attrs = {
        "config": attr.label(doc = "A docker configuration to use instead of the user's."),
        "digest": attr.string(doc = "Digest of the image, or of an index over several."),
        "image": attr.string(mandatory = True, doc = "Registry and repository."),
        "platform": attr.string(doc = "Which image of an index, as `os/architecture` with or without `/variant`."),
        "tag": attr.string(doc = "What to ask for where there is no digest."),
        "target": attr.string(mandatory = True, doc = "Name of the target."),
        "warn": attr.bool(doc = "Whether to say that a tag is not reproducible."),
    },
    environ = ["DOCKER_CONFIG"],
)

# Bazel's names of what images call by GOARCH, with the variant where that is another processor.
_CPUS = {
    "386": "x86_32",
    "amd64": "x86_64",
    "arm": "armv7",
    "arm/v6": "armv6",
    "arm/v7": "armv7",
    "arm64": "aarch64",
    "arm64/v8": "aarch64",
    "ppc64le": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
}

def _oci_platforms_impl(rctx):
    build = []
    choices = []
    for platform, actual in rctx.attr.images.items():
        os, _, cpu = platform.partition("/")
        if cpu not in _CPUS:
            # It can be named, only not chosen by the platform that is built for.
            continue
        build.append("""\
config_setting(
    name = "{setting}",
    constraint_values = [
        "@platforms//cpu:{cpu}",
        "@platforms//os:{os}",
    ],
)
""".format(setting = actual.split(":")[-1], cpu = _CPUS[cpu], os = os))
        choices.append('            ":{}": "{}",\n'.format(actual.split(":")[-1], actual))
    build.append("""\
alias(
    name = "{name}",
    actual = select(
        {{
{choices}        }},
        no_match_error = "{name} was pulled for {platforms}, not for the platform that is built for; add it to platforms of oci.pull, or name one of {images}",
    ),
    visibility = ["//visibility:public"],
)
""".format(
        choices = "".join(choices),
        images = ", ".join([image.split("//")[0] for image in rctx.attr.images.values()]),
        name = rctx.attr.target,
        platforms = ", ".join(rctx.attr.images),
    ))
    rctx.file("BUILD.bazel", "\n".join(build), executable = False)

oci_platforms = repository_rule(
    implementation = _oci_platforms_impl,
    doc = "One name for the images of several platforms: that of the platform that is built for.",
    attrs = {
        "images": attr.string_dict(mandatory = True, doc = "Label of the image by platform."),
        "target": attr.string(mandatory = True, doc = "Name of the target."),
    },
)
