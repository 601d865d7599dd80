"""A robot image: a base and layers, the least changed first."""

load("@bazel_skylib//rules:write_file.bzl", "write_file")
load("@rules_oci//oci:defs.bzl", "oci_image", "oci_load", "oci_push")
load("//oci/python:config.bzl", "ENV", "PYTHONS")
load("//third_party/zed:defs.bzl", "VERSIONS", "VOLUMES")
load("//tools/layer:check.bzl", "layer_check")
load("//tools/layer:layer.bzl", "layer")
load(":config.bzl", "REGISTRY", "USER")
load(":description.bzl", "image_facts", _description = "description")
load(":jetpack.bzl", "JETPACKS")

# Bases with `--//oci:base=nvidia` by architecture: names in //third_party/nvidia:lock.json.
_NVIDIA = {
    "amd64": "pytorch",
    "arm64": "pytorch_igpu",
}

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
        {Label("//oci:on_jetpack_" + release): value for release, value in jetpacks.items()} | {
            Label("//oci:on_nvidia"): nvidia,
            Label("//oci:on_slim"): slim,
        },
        no_match_error = "--//oci:jetpack chooses among the bases of NVIDIA: add --//oci:base=nvidia",
    )

def _by_sdk(jetpacks, value, none):
    """Selects value(version) for the ZED SDK of --//third_party/zed:sdk, or else of the release of JetPack; none without an SDK."""
    return select({Label("//third_party/zed:sdk_" + version): value(version) for version in VERSIONS} | {
        Label("//oci:zed_of_jetpack_" + release): value(jetpack.zed)
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
        entrypoint,
        title,
        description,
        cmd = [],
        jetpacks = None,
        layers = [],
        licenses = "Apache-2.0",
        nvidia = None,
        nvidia_entrypoint = None,
        nvidia_user = USER,
        policies = [],
        purpose = "runtime",
        python = "pytorch",
        robots = [],
        visibility = None,
        zed = False):
    """Makes an image and targets to load and push it.

    The image is `name`; `name.load` loads it as `title` into the container engine of this machine, `name.push` pushes it, `name.digest`
    is a file with its digest and `name.tar` an archive for `docker load`. It has the slim base, or with `--@krabby//oci:base=nvidia`
    that of NVIDIA.

    Layers, least changed first: those of the base, wheels, optionally the ZED SDK, ONNX Runtime, those of `layers`, the robots and
    policies, the program.

    Args:
      name: name of the image.
      architecture: processor of the image, as in GOARCH: `arm64` or `amd64`.
      entrypoint: program to run, installed in /usr/bin.
      title: name of the image for people and container engines.
      description: one sentence for the image's labels.
      cmd: default arguments of the program.
      jetpacks: for a Jetson, the bases and ZED SDKs that `--@krabby//oci:jetpack` chooses from. The default on arm64 is JETPACKS of //oci:jetpack.bzl. With `none`, the base is `nvidia`.
      layers: further layers: targets of the rule `layer`.
      licenses: SPDX expression of the licences of the programs, for the image's labels.
      nvidia: base of NVIDIA: its name in //third_party/nvidia:lock.json. The default is PyTorch's for the architecture.
      nvidia_entrypoint: entry point on NVIDIA's base, instead of the program.
      nvidia_user: user on NVIDIA's base; empty for that of the base.
      policies: targets of the rule `policy` to include, as /opt/krabby/policies/<name of the target>.
      purpose: purpose of the interpreter, which selects the wheels: `runtime` or `testing`. The slim base includes Python for `testing`.
      python: interpreter of NVIDIA's base: a key of PYTHONS in //oci/python:config.bzl.
      robots: robot files to include, as /opt/krabby/robots/<name of the file>.
      visibility: visibility of the image.
      zed: whether to include a ZED SDK: the one of `--@krabby//third_party/zed:sdk`, by default that of the release of JetPack.
    """
    if architecture not in _NVIDIA:
        fail("robot_image {}: architecture: found {}, expected {}".format(name, repr(architecture), " or ".join(sorted(_NVIDIA))))
    nvidia = nvidia or _NVIDIA[architecture]
    if jetpacks == None:
        jetpacks = JETPACKS if architecture == "arm64" else {}
    platform = str(Label("//:linux_" + architecture))
    layer(
        name = name + "_onnxruntime",
        files = {Label("//third_party/onnxruntime:libonnxruntime"): "/opt/krabby/lib/libonnxruntime.so.1"},
        platform = platform,
    )
    layer(
        name = name + "_policies",
        files = {policy: "/opt/krabby/policies/{}/".format(native.package_relative_label(policy).name) for policy in policies} |
                {robot: "/opt/krabby/robots/" for robot in robots},
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
        jetpacks = {release: Label("@{}_linux_{}".format(jetpack.nvidia, architecture)) for release, jetpack in jetpacks.items()},
        nvidia = Label("@{}_linux_{}".format(nvidia, architecture)),
        slim = Label("//oci/base:{}_{}".format("slim_python" if python_on_slim else "slim", architecture)),
    )

    def wheels(python):
        return Label("//oci/python:{}_{}_{}".format(python, architecture, purpose))

    user = _by_base(nvidia = nvidia_user, slim = USER)

    image_facts(
        name = name + "_facts",
        json = json.encode(struct(
            name = title,
            description = description,
            licenses = licenses,
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
            nvidia = [wheels(python)],
            slim = [wheels("slim")] if python_on_slim else [],
        ) + (_by_sdk(jetpacks, lambda version: [Label("//third_party/zed:layer_" + version)], []) if zed else []) + [
            name + "_onnxruntime",
        ] + layers + [
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
        visibility = visibility,
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
        robot_image(name = image, visibility = ["//oci:__subpackages__"], **arguments)
    native.filegroup(
        name = name,
        srcs = images.keys(),
    )
