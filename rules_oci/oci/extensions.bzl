"""The module extension `oci`: pulls base images, for MODULE.bazel files written for rules_oci.

```starlark
oci = use_extension("@rules_oci//oci:extensions.bzl", "oci")
oci.pull(
    name = "pytorch",
    digest = "sha256:42263b2424fc237b34c4fc4a91c30d603c57eed36e37d31ff6d9a4f1f801edee",
    image = "nvcr.io/nvidia/pytorch",
    platforms = ["linux/amd64", "linux/arm64"],
)
use_repo(oci, "pytorch", "pytorch_linux_amd64", "pytorch_linux_arm64")
```
"""

load("//oci/private:pull.bzl", "oci_fetcher", "oci_platforms", "oci_pulled")
load("//oci/private:reference.bzl", "parse_image")

_pull = tag_class(
    attrs = {
        "bazel_tags": attr.string_list(doc = "Tags of the targets."),
        "config": attr.label(doc = "A docker configuration to use instead of the user's, for its credentials."),
        "digest": attr.string(doc = "Digest of the image, or of an index, as `sha256:...`. A pinned image that was fetched before requires no registry."),
        "image": attr.string(doc = "Registry and repository, for example `nvcr.io/nvidia/pytorch`, optionally with `:tag` and `@digest`. Without registry it is on Docker Hub. `http://` before it permits HTTP."),
        "insecure": attr.bool(doc = "Permit HTTP, and HTTPS with an unverified certificate."),
        "name": attr.string(mandatory = True, doc = "Name of the repository, and of its target."),
        "platforms": attr.string_list(doc = "Images of an index, as `os/architecture` with or without `/variant`. Required for an index."),
        "registry": attr.string(doc = "The registry, with `repository` instead of `image`."),
        "repository": attr.string(doc = "The repository in `registry`."),
        "reproducible": attr.bool(default = True, doc = "`False` silences the warning about a tag without digest."),
        "tag": attr.string(doc = "A tag instead of a digest. The registry is queried whenever the repository is fetched, with a warning that contains the digest."),
        "www_authenticate_challenges": attr.string_dict(doc = "Challenges by registry, such as `Bearer realm=\"auth.example/token\"`. The hosts of the realms may get the credentials; the challenge itself comes from the registry."),
    },
    doc = """Makes an image in a registry a target, `@name`, for `oci_image(base = ...)`.

    Only its manifest and config are fetched: the target is a shallow OCI layout, and so are the images on it. `oci_load` and `oci_push`
    fetch the layers that they read.

    With `platforms`, `@name_<os>_<architecture>` (and `_<variant>`) is one image, and `@name` that of the target platform. Credentials come
    from docker's configuration and its helpers; most public images require none.
    """,
)

_toolchains = tag_class(
    attrs = {
        "crane_version": attr.string(doc = "No effect."),
        "name": attr.string(default = "oci", doc = "No effect."),
        "zot_version": attr.string(doc = "No effect."),
    },
    doc = "No effect. The registry's rules_oci downloads its toolchains here; this module has none.",
)

def _reference(pull):
    """Returns the parts of the reference of a pull."""
    if bool(pull.registry) != bool(pull.repository):
        fail("oci.pull(name = \"{}\"): missing {}; registry and repository belong together".format(pull.name, "registry" if pull.repository else "repository"))
    if bool(pull.image) == bool(pull.registry):
        fail("oci.pull(name = \"{}\"): expected either image or registry and repository".format(pull.name))
    parsed = parse_image(pull.image or "{}/{}".format(pull.registry, pull.repository))
    registry, repository = (parsed.registry, parsed.repository) if pull.image else (pull.registry, pull.repository)
    digest, tag = parsed.digest or pull.digest, parsed.tag or pull.tag
    if not digest and not tag:
        fail("oci.pull(name = \"{}\"): missing digest, or tag".format(pull.name))
    return struct(
        digest = digest,
        image = "{}/{}".format(registry, repository),
        insecure = pull.insecure or parsed.insecure,
        tag = tag,
    )

def _token_hosts(challenges):
    """Returns the hosts of the realms of challenges."""
    hosts = []
    for challenge in challenges.values():
        _, found, rest = challenge.partition("realm=\"")
        realm = rest.partition("\"")[0]
        if found and "{" not in realm:
            hosts.append(realm.removeprefix("https://").removeprefix("http://").split("/")[0])
    return hosts

def _make(pull):
    """Makes the repositories of one pull."""
    reference = _reference(pull)

    def image(name, platform = ""):
        oci_pulled(
            name = name,
            bazel_tags = pull.bazel_tags,
            config = pull.config,
            digest = reference.digest,
            image = reference.image,
            insecure = reference.insecure,
            platform = platform,
            tag = reference.tag,
            target = name,
            token_hosts = _token_hosts(pull.www_authenticate_challenges),
            warn = pull.reproducible,
        )
        return "@{name}//:{name}".format(name = name)

    if not pull.platforms:
        image(pull.name)
        return
    oci_platforms(
        name = pull.name,
        images = {
            platform: image("{}_{}".format(pull.name, platform.replace("/", "_")), platform)
            for platform in pull.platforms
        },
        target = pull.name,
    )

def _oci_impl(mctx):
    oci_fetcher(name = "oci_fetcher")
    made = {}
    for module in mctx.modules:
        for pull in module.tags.pull:
            # The repositories of all modules share one namespace.
            if pull.name in made:
                fail("oci.pull(name = \"{}\"): the modules {} and {} use the same name; rename one".format(pull.name, made[pull.name], module.name))
            made[pull.name] = module.name
            _make(pull)
    return mctx.extension_metadata(reproducible = True)

oci = module_extension(
    implementation = _oci_impl,
    doc = "Pulls base images. Its tags and attributes are those of the registry's rules_oci.",
    tag_classes = {
        "pull": _pull,
        "toolchains": _toolchains,
    },
)
