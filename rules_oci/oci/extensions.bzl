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

_pull = tag_class(
    attrs = {
        "config": attr.label(doc = "A docker configuration to use instead of the user's, for its credentials."),
        "digest": attr.string(doc = "Digest of the image, or of an index over several, as `sha256:...`. What is pinned so and was fetched before needs no registry."),
        "image": attr.string(mandatory = True, doc = "Registry and repository, for example `nvcr.io/nvidia/pytorch`. Without a registry it is Docker Hub's."),
        "name": attr.string(mandatory = True, doc = "Name of the repository, and of its target."),
        "platforms": attr.string_list(doc = "Which images of an index, as `os/architecture` with or without `/variant`. Mandatory for an index, forbidden otherwise."),
        "reproducible": attr.bool(default = True, doc = "`False` silences the warning that a tag is not."),
        "tag": attr.string(doc = "A tag instead of a digest. The registry is asked for it whenever the repository is fetched, with a warning that names the digest."),
    },
    doc = """Makes an image in a registry a target, `@name`, for `oci_image(base = ...)`.

    Only its manifest and config are fetched: the target is a shallow OCI image layout, and so is what is built on it.
    `oci_load` and `oci_push` fetch its layers where their bytes are needed.

    With `platforms`, `@name_<os>_<architecture>` (and `_<variant>`) is one image, and `@name` that of the platform that is
    built for. Credentials come from docker's configuration and its helpers; most public images need none.
    """,
)

_toolchains = tag_class(
    attrs = {
        "name": attr.string(default = "oci", doc = "Ignored: there is nothing to name."),
        "crane_version": attr.string(doc = "Ignored: the tool is built from this module's source."),
        "zot_version": attr.string(doc = "Ignored: the tool is built from this module's source."),
    },
    doc = "Does nothing. The registry's rules_oci downloads its toolchains here; this module has none.",
)

def _absolute(image):
    """Names the registry where the image does not, by docker's rule."""
    first = image.split("/")[0]
    if "/" in image and ("." in first or ":" in first or first == "localhost"):
        return image
    return "docker.io/" + (image if "/" in image else "library/" + image)

def _make(pull):
    """Makes the repositories of one pull."""
    if not pull.digest and not pull.tag:
        fail("oci.pull(name = \"{}\") needs a digest, or a tag".format(pull.name))
    if ":" in pull.image.split("/")[-1] or "@" in pull.image:
        fail("oci.pull(name = \"{}\"): image is \"{}\"; give its tag and digest as the attributes of that name".format(pull.name, pull.image))

    def image(name, platform = ""):
        oci_pulled(
            name = name,
            config = pull.config,
            digest = pull.digest,
            image = _absolute(pull.image),
            platform = platform,
            tag = pull.tag,
            target = name,
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
            # Modules do not see each other's repositories, but their names share one space.
            if pull.name in made:
                fail("oci.pull(name = \"{}\") is in module {} and in {}; a name stands for one image".format(pull.name, made[pull.name], module.name))
            made[pull.name] = module.name
            _make(pull)
    return mctx.extension_metadata(reproducible = True)

oci = module_extension(
    implementation = _oci_impl,
    doc = "Pulls images, and accepts what MODULE.bazel files say to the registry's rules_oci.",
    tag_classes = {
        "pull": _pull,
        "toolchains": _toolchains,
    },
)
