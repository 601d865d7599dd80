"""One robot image: a base, and above it what changes rarely below what changes often."""

load("@bazel_skylib//rules:write_file.bzl", "write_file")
load("@rules_oci//oci:defs.bzl", "oci_image", "oci_load", "oci_push")
load("//oci/python:config.bzl", "ENV", "PYTHONS")
load("//third_party/zed:defs.bzl", "ZED_LAYERS")
load("//tools/layer:layer.bzl", "layer")
load(":description.bzl", _description = "description")

# The user that robot programs run as; //oci/base:passwd names it.
USER = "10001"

def push(name, image, title):
    """Makes a target that pushes to a registry on this machine, or where `--repository` says.

    Args:
      name: name of the target.
      image: the image or index.
      title: its name in the registry.
    """
    oci_push(
        name = name,
        image = image,
        repository = "localhost:5000/" + title,
    )

def _by_base(nvidia, slim):
    return select({
        "//oci:on_nvidia": nvidia,
        "//oci:on_slim": slim,
    })

def _lines(name, nvidia, slim):
    """Makes a file of lines for each base: attributes of an oci_image take a file or a value, but not a select of values."""
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
        nvidia_entrypoint = None,
        nvidia_user = USER,
        zed = False):
    """Makes an image and what one does with it.

    The image is `name`; `name.load` loads it as `title` into the container engine of this machine, `name.push` pushes it, `name.digest`
    is a file with its digest and `name.tar` an archive for `docker load`.

    Layers, least changed first: the base's, wheels, the ZED SDK where it is wanted, ONNX Runtime, the policies, the program.

    Args:
      name: name of the image.
      architecture: processor that it is for, as GOARCH has it.
      nvidia: base to build on with `--//oci:base=nvidia`: its name in //third_party/nvidia:lock.json.
      python: which of PYTHONS in //oci/python:config.bzl that base has.
      purpose: which of its purposes, and so which wheels, the image is for. The slim base has Python for those that need it.
      entrypoint: the program to run, which goes to /usr/bin.
      policies: policies to bring along, each as /opt/krabby/policies/<name of the target>.
      title: name of the image for people and container engines.
      description: one sentence for the image's labels.
      cmd: the program's arguments, unless the container is started with others.
      nvidia_entrypoint: what to run instead on NVIDIA's base.
      nvidia_user: user there; empty for the base's own.
      zed: whether the robot has a ZED camera; --//third_party/zed:sdk says which SDK, if any.
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
        nvidia = "@{}_linux_{}".format(nvidia, architecture),
        slim = "//oci/base:{}_{}".format("slim_python" if python_on_slim else "slim", architecture),
    )
    wheels = "//oci/python:{}_{}_{}"
    user = _by_base(nvidia = nvidia_user, slim = USER)

    write_file(
        name = name + "_facts",
        out = name + ".facts.json",
        content = [json.encode(struct(
            name = title,
            description = description,
            licenses = "Apache-2.0",
            platform = "linux/" + architecture,
            nvidia = nvidia,
            python = {"nvidia": PYTHONS[python].version} | ({"slim": PYTHONS["slim"].version} if python_on_slim else {}),
            zed = zed,
        )), ""],
    )
    _description(
        name = name + "_description",
        base = _by_base(nvidia = "nvidia", slim = "slim"),
        image = name + "_facts",
        layout = base,
        policies = policies,
        user = user,
        zed = zed,
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
    oci_image(
        name = name,
        annotations = name + "_description.annotations",
        base = base,
        cmd = cmd,
        entrypoint = name + "_entrypoint",
        env = name + "_env",
        labels = name + "_description.labels",
        tars = _by_base(
            nvidia = [wheels.format(python, architecture, purpose)],
            slim = [wheels.format("slim", architecture, purpose)] if python_on_slim else [],
        ) + (ZED_LAYERS if zed else []) + [
            name + "_onnxruntime",
            name + "_policies",
            name + "_program",
        ],
        user = user,
        visibility = ["//oci:__subpackages__"],
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
        tags = ["manual"],  # On a pulled base it cannot be built, only `bazel run` as .load with --tar.
    )
    push(
        name = name + ".push",
        image = name,
        title = title,
    )
