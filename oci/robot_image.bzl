"""A robot image: a base and layers, the least changed first."""

load("@bazel_skylib//rules:write_file.bzl", "write_file")
load("@rules_oci//oci:defs.bzl", "oci_image", "oci_load", "oci_push")
load("//oci/python:config.bzl", "ENV", "PYTHONS")
load("//third_party/zed:defs.bzl", "VERSIONS", "VOLUMES")
load("//tools/layer:check.bzl", "layer_check")
load("//tools/layer:layer.bzl", "layer")
load(":config.bzl", "REGISTRY", "USER")
load(":description.bzl", "image_facts", _description = "description")

def push(name, image, title):
    """Makes a target that pushes to a registry on this machine, or to `--repository`.

    Args:
      name: name of the target.
      image: the image or index.
      title: name in the registry.
    """
    oci_push(
        name = name,
        image = image,
        repository = "{}/{}".format(REGISTRY, title),
    )

def _by_base(nvidia, slim, jetpacks = {}):
    """Selects a value by the kind of base; on NVIDIA's, jetpacks can have other values by release of JetPack."""
    return select(
        {"//oci:on_jetpack_" + release: value for release, value in jetpacks.items()} | {
            "//oci:on_nvidia": nvidia,
            "//oci:on_slim": slim,
        },
        no_match_error = "--//oci:jetpack chooses among the bases of NVIDIA: add --//oci:base=nvidia",
    )

def _by_sdk(jetpacks, value, none):
    """Selects value(version) for the ZED SDK of --//third_party/zed:sdk, or else of the release of JetPack; none without an SDK."""
    return select({"//third_party/zed:sdk_" + version: value(version) for version in VERSIONS} | {
        "//oci:zed_of_jetpack_" + release: value(jetpack.zed)
        for release, jetpack in jetpacks.items()
    } | {"//conditions:default": none})

def _lines(name, nvidia, slim):
    """Makes a file of lines for the kind of base: attributes of oci_image take a file or a value, but no select of values."""
    write_file(
        name = name,
        out = name + ".txt",
        content = _by_base(nvidia = nvidia + [""], slim = slim + [""]),
    )

def robot_image(
        name,
        architecture,
        nvidia,
        python,
        purpose,
        entrypoint,
        policies,
        title,
        description,
        cmd = [],
        jetpacks = {},
        nvidia_entrypoint = None,
        nvidia_user = USER,
        zed = False):
    """Makes an image and targets to load and push it.

    The image is `name`; `name.load` loads it as `title` into the container engine of this machine, `name.push` pushes it, `name.digest`
    is a file with its digest and `name.tar` an archive for `docker load`.

    Layers, least changed first: those of the base, wheels, optionally the ZED SDK, ONNX Runtime, the policies, the program.

    Args:
      name: name of the image.
      architecture: processor of the image, as in GOARCH.
      nvidia: base with `--//oci:base=nvidia`: its name in //third_party/nvidia:lock.json.
      python: interpreter of that base: a key of PYTHONS in //oci/python:config.bzl.
      purpose: one of the purposes of that interpreter, which selects the wheels. The slim base includes Python if one of its purposes is this.
      entrypoint: program to run, installed in /usr/bin.
      policies: policies to include, as /opt/krabby/policies/<name of the target>.
      title: name of the image for people and container engines.
      description: one sentence for the image's labels.
      cmd: default arguments of the program.
      jetpacks: for a Jetson, the bases and ZED SDKs that `--//oci:jetpack` chooses from: JETPACKS of //oci:jetpack.bzl. With `none`, the base is `nvidia`.
      nvidia_entrypoint: entry point on NVIDIA's base, instead of the program.
      nvidia_user: user on NVIDIA's base; empty for that of the base.
      zed: whether to include a ZED SDK: the one of `--//third_party/zed:sdk`, by default that of the release of JetPack.
    """
    platform = "//:linux_" + architecture
    layer(
        name = name + "_onnxruntime",
        files = {"//third_party/onnxruntime:libonnxruntime": "/opt/krabby/lib/libonnxruntime.so.1"},
        platform = platform,
    )
    layer(
        name = name + "_policies",
        files = {policy: "/opt/krabby/policies/{}/".format(native.package_relative_label(policy).name) for policy in policies},
        platform = platform,
    )
    program = "/usr/bin/" + native.package_relative_label(entrypoint).name
    layer(
        name = name + "_program",
        directories = {"/workspace": "0755 {user}:{user}".format(user = USER)},
        executables = {entrypoint: program},
        platform = platform,
    )

    python_on_slim = purpose in PYTHONS["slim"].purposes
    base = _by_base(
        jetpacks = {release: "@{}_linux_{}".format(jetpack.nvidia, architecture) for release, jetpack in jetpacks.items()},
        nvidia = "@{}_linux_{}".format(nvidia, architecture),
        slim = "//oci/base:{}_{}".format("slim_python" if python_on_slim else "slim", architecture),
    )
    wheels = "//oci/python:{}_{}_{}"
    user = _by_base(nvidia = nvidia_user, slim = USER)

    image_facts(
        name = name + "_facts",
        json = json.encode(struct(
            name = title,
            description = description,
            licenses = "Apache-2.0",
            platform = "linux/" + architecture,
            nvidia = nvidia,
            jetpacks = jetpacks,
            python = {"nvidia": PYTHONS[python].version} | ({"slim": PYTHONS["slim"].version} if python_on_slim else {}),
            zed = zed,
        )),
    )
    _description(
        name = name + "_description",
        base = _by_base(nvidia = "nvidia", slim = "slim"),
        image = name + "_facts",
        layout = base,
        nvidia = _by_base(
            jetpacks = {release: jetpack.nvidia for release, jetpack in jetpacks.items()},
            nvidia = nvidia,
            slim = nvidia,
        ),
        policies = policies,
        user = user,
        zed = _by_sdk(jetpacks, lambda version: version, "none") if zed else "none",
    )
    _lines(
        name = name + "_entrypoint",
        nvidia = nvidia_entrypoint or [program],
        slim = [program],
    )
    env = ["{}={}".format(variable, value) for variable, value in ENV.items()]
    _lines(
        name = name + "_env",
        nvidia = env,
        slim = env if python_on_slim else [],
    )
    if zed:
        write_file(
            name = name + "_volumes",
            out = name + "_volumes.txt",
            content = [",".join(VOLUMES)],
        )
    layer_check(
        name = name + "_layers",
        base = base,
        tars = _by_base(
            nvidia = [wheels.format(python, architecture, purpose)],
            slim = [wheels.format("slim", architecture, purpose)] if python_on_slim else [],
        ) + (_by_sdk(jetpacks, lambda version: ["//third_party/zed:layer_" + version], []) if zed else []) + [
            name + "_onnxruntime",
            name + "_policies",
            name + "_program",
        ],
    )
    oci_image(
        name = name,
        annotations = name + "_description.annotations",
        base = base,
        cmd = cmd or None,  # An empty list replaces the base's with an empty one.
        entrypoint = name + "_entrypoint",
        env = name + "_env",
        labels = name + "_description.labels",
        tars = [name + "_layers"],
        user = user,
        visibility = ["//oci:__subpackages__"],
        volumes = _by_sdk(jetpacks, lambda version: name + "_volumes", None) if zed else None,  # An empty file makes an empty list.
        workdir = "/workspace",
    )
    oci_load(
        name = name + ".load",
        image = name,
        repo_tags = [title + ":latest"],
    )
    native.filegroup(
        name = name + ".tar",
        srcs = [name + ".load"],
        output_group = "tarball",
        tags = ["manual"],  # Cannot be built on a pulled base; use `bazel run` of .load with --tar.
    )
    push(
        name = name + ".push",
        image = name,
        title = title,
    )

def robot_images(name, images):
    """Makes several images, and a target for all of them.

    Args:
      name: name of the target.
      images: a dict from the name of an image to the other arguments of `robot_image`.
    """
    for image, arguments in images.items():
        robot_image(name = image, **arguments)
    native.filegroup(
        name = name,
        srcs = images.keys(),
    )
