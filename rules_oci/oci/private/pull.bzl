"""Repository rules of the tag `oci.pull`.

They fetch the manifest and config of an image, a few kilobytes, and no layers. Bazel's downloader does not support the token flow of
registries: the response that requires a token has its address in a header, and `rctx.download` returns no headers. So the program of
//oci/cmd/oci fetches the documents. Like gazelle's tools, it is built here with `go build`, the Go SDK of the build and the sources of
go_deps, when a document has to be fetched for the first time.

`rctx.download` then copies a document as a local file, checks its sha256 and stores it in Bazel's repository cache. The cache is read
first: a pinned image that was fetched before requires no registry, no network and no program.
"""

load("@go_host_compatible_sdk_label//:defs.bzl", "HOST_COMPATIBLE_SDK")
load(":platform.bzl", "choose", "matches", "platform_name")

# Modules of the program by import path: those of `go list -deps ./oci/cmd/oci`.
_MODULES = {
    "github.com/alecthomas/kong": Label("@com_github_alecthomas_kong//:BUILD.bazel"),
    "github.com/docker/cli": Label("@com_github_docker_cli//:BUILD.bazel"),
    "github.com/docker/docker-credential-helpers": Label("@com_github_docker_docker_credential_helpers//:BUILD.bazel"),
    "github.com/google/go-containerregistry": Label("@com_github_google_go_containerregistry//:BUILD.bazel"),
    "github.com/klauspost/compress": Label("@com_github_klauspost_compress//:BUILD.bazel"),
    "github.com/opencontainers/go-digest": Label("@com_github_opencontainers_go_digest//:BUILD.bazel"),
    "github.com/opencontainers/image-spec": Label("@com_github_opencontainers_image_spec//:BUILD.bazel"),
    "github.com/sirupsen/logrus": Label("@com_github_sirupsen_logrus//:BUILD.bazel"),
    "golang.org/x/net": Label("@org_golang_x_net//:BUILD.bazel"),
    "golang.org/x/sync": Label("@org_golang_x_sync//:BUILD.bazel"),
    "golang.org/x/sys": Label("@org_golang_x_sys//:BUILD.bazel"),
    "krabby.dev/rules_oci": Label("//:BUILD.bazel"),
}

def _oci_fetcher_impl(rctx):
    for path, root in _MODULES.items():
        rctx.symlink(rctx.path(root).dirname, "go/src/" + path)
    for folder in ["internal", "oci/cmd"]:
        rctx.watch_tree(rctx.path(Label("//:BUILD.bazel")).dirname.get_child(folder))
    rctx.report_progress("building the registry client, once")
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
        fail("building the registry client failed: " + result.stderr)
    rctx.delete("cache")
    rctx.file("BUILD.bazel", 'exports_files(["oci"])\n', executable = False)

oci_fetcher = repository_rule(
    implementation = _oci_fetcher_impl,
    doc = "The program of //oci/cmd/oci, for repository rules.",
)

def _fail(rctx, message):
    fail("oci.pull(image = \"{}\"): {}".format(rctx.attr.image, message))

def _fetch(rctx, reference, *flags):
    """Fetches a document into the file `fetched` and returns its digest."""
    environment = {}
    if rctx.attr.config:
        rctx.symlink(rctx.attr.config, "docker/config.json")
        environment["DOCKER_CONFIG"] = str(rctx.path("docker"))
    rctx.report_progress("fetching " + reference)
    command = [rctx.path(Label("@oci_fetcher//:oci")), "fetch", reference, "--output", "fetched"]  # Not an attribute, which Bazel would always build.
    if rctx.attr.insecure:
        command.append("--insecure")
    for host in rctx.attr.token_hosts:
        command += ["--token-host", host]
    result = rctx.execute(command + list(flags), environment = environment)
    if result.return_code:
        # Notes about credentials and retries may have the cause.
        _fail(rctx, result.stderr.strip())
    for note in result.stderr.splitlines():
        print(note)  # buildifier: disable=print
    return result.stdout.strip()

def _document(rctx, digest, output, *flags):
    """Returns the manifest or blob of a digest, from the repository cache or from the registry."""
    if not digest.startswith("sha256:") or len(digest) != len("sha256:") + 64:
        _fail(rctx, "found the digest {}, expected sha256: and 64 hexadecimal digits".format(digest))
    sha256 = digest[len("sha256:"):]

    # The file does not exist: a document with the sha256 comes from the cache.
    cached = rctx.download("file://{}".format(rctx.path("not-in-the-repository-cache")), output = output, sha256 = sha256, allow_fail = True)
    if not cached.success:
        _fetch(rctx, "{}@{}".format(rctx.attr.image, digest), *flags)
        _store(rctx, sha256, output)
    return _decode(rctx, digest, rctx.read(output))

def _decode(rctx, digest, text):
    document = json.decode(text, default = None)
    if type(document) != "dict":
        _fail(rctx, "{} is not a JSON object".format(digest))
    return document

def _store(rctx, sha256, output):
    rctx.download("file://{}".format(rctx.path("fetched")), output = output, sha256 = sha256)
    rctx.delete("fetched")

def _resolve(rctx):
    """Returns the current digest of the tag, with a warning about how to pin it."""
    digest = _fetch(rctx, "{}:{}".format(rctx.attr.image, rctx.attr.tag))
    _store(rctx, digest[len("sha256:"):], "resolved.json")
    if rctx.attr.warn:
        # buildifier: disable=print
        print("oci.pull(image = \"{}\", tag = \"{}\") is not reproducible, because a tag can change. Pin it: digest = \"{}\"".format(
            rctx.attr.image,
            rctx.attr.tag,
            digest,
        ))
    return digest

def _config(rctx, manifest, digest):
    if "config" not in manifest or "layers" not in manifest:
        _fail(rctx, "{} is a {}, expected an image or an index over images".format(digest, manifest.get("mediaType", "document without mediaType")))
    return _document(rctx, manifest["config"]["digest"], "config.json", "--blob")

def _entry_platform(rctx, entry):
    """Returns the platform of an entry of an index. An entry without platform has that of its config."""
    if entry.get("platform"):
        return entry["platform"]
    manifest = _document(rctx, entry["digest"], "manifest.json")
    if "config" not in manifest or "layers" not in manifest:
        return {}  # Not an image.
    return _config(rctx, manifest, entry["digest"])

def _choose(rctx, index):
    """Returns the digest of the image of the index for the platform."""
    entries = [(_entry_platform(rctx, entry), entry["digest"]) for entry in index["manifests"]]
    known = ", ".join(sorted([platform_name(platform) for platform, _ in entries if platform.get("os", "unknown") != "unknown"]))
    if not rctx.attr.platform:
        _fail(rctx, "found an index over {}; set platforms = [...]".format(known))
    chosen = choose(entries, rctx.attr.platform)
    if len(chosen) != 1:
        _fail(rctx, "found {} images for {} in the index, expected 1; the index has {}".format(len(chosen), rctx.attr.platform, known))
    return chosen[0]

def _oci_pulled_impl(rctx):
    digest = rctx.attr.digest or _resolve(rctx)
    manifest = _document(rctx, digest, "manifest.json")
    wanted = rctx.attr.platform
    if "manifests" in manifest:
        digest = _choose(rctx, manifest)
        manifest = _document(rctx, digest, "manifest.json")

        # The variant of the index counts: configs often have none.
        wanted = "/".join(wanted.split("/")[:2])
    config = _config(rctx, manifest, digest)
    if wanted and not matches(config, wanted):
        _fail(rctx, "found an image for {}, expected {}".format(platform_name(config), rctx.attr.platform))
    registry, _, repository = rctx.attr.image.partition("/")
    rctx.file("BUILD.bazel", """\
load("{layout}", "oci_layout")

oci_layout(
    name = "{name}",
    architecture = "{architecture}",
    config = "config.json",
    insecure = {insecure},
    manifest = "manifest.json",
    os = "{os}",
    registry = "{registry}",
    repository = "{repository}",
    tags = {tags},
    visibility = ["//visibility:public"],
)
""".format(
        architecture = config.get("architecture", ""),
        insecure = rctx.attr.insecure,
        layout = Label("//oci/private:layout.bzl"),
        name = rctx.attr.target,
        os = config.get("os", ""),
        registry = registry,
        repository = repository,
        tags = repr(rctx.attr.bazel_tags),
    ), executable = False)

oci_pulled = repository_rule(
    implementation = _oci_pulled_impl,
    doc = "Manifest and config of an image, as a shallow OCI layout.",
    attrs = {
        "bazel_tags": attr.string_list(doc = "Tags of the target."),
        "config": attr.label(doc = "A docker configuration to use instead of the user's."),
        "digest": attr.string(doc = "Digest of the image, or of an index."),
        "image": attr.string(mandatory = True, doc = "Registry and repository."),
        "insecure": attr.bool(doc = "Permit HTTP."),
        "platform": attr.string(doc = "Image of an index, as `os/architecture` with or without `/variant`."),
        "tag": attr.string(doc = "Tag, if there is no digest."),
        "target": attr.string(mandatory = True, doc = "Name of the target."),
        "token_hosts": attr.string_list(doc = "Hosts that may get the credentials of the registry."),
        "warn": attr.bool(doc = "Whether to warn about a tag without digest."),
    },
    environ = ["DOCKER_CONFIG"],
)

# Bazel's names of architectures, with the variant if it is another processor.
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
            # The image has a name of its own, but no target platform selects it.
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
        no_match_error = "{name} was pulled for {platforms}, not for the target platform; add it to platforms of oci.pull, or use one of {images}",
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
    doc = "A name for the image of the target platform.",
    attrs = {
        "images": attr.string_dict(mandatory = True, doc = "Label of the image by platform."),
        "target": attr.string(mandatory = True, doc = "Name of the target."),
    },
)
