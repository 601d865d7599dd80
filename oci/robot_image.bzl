"""One robot image: a base, and above it what changes rarely below what changes often."""

load("@rules_oci//oci:defs.bzl", "oci_image", "oci_load", "oci_push")
load("//oci/python:config.bzl", "ENV")
load("//tools/layer:layer.bzl", "layer")

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

def robot_image(name, base, platform, entrypoint, policies, title, description, cmd = [], wheels = []):
    """Makes the image `name`, `name.load`, which loads it as `title` into the container engine of this machine, and `name.push`.

    Layers, least changed first: the base's, wheels, ONNX Runtime, the policies, the program.

    Args:
      name: name of the image.
      base: the image to build on.
      platform: platform that the programs are built for.
      entrypoint: the program to run, which goes to /usr/bin.
      policies: policies to bring along, each as /opt/krabby/policies/<name of the target>.
      title: name of the image for people and container engines.
      description: one sentence for the image's labels.
      cmd: the program's arguments, unless the container is started with others.
      wheels: layers of wheels for the base's Python, from //oci/python; none where the base has no Python.
    """
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
    program = native.package_relative_label(entrypoint).name
    layer(
        name = name + "_program",
        executables = {entrypoint: "/usr/bin/" + program},
        platform = platform,
    )
    oci_image(
        name = name,
        base = base,
        cmd = cmd,
        entrypoint = ["/usr/bin/" + program],
        env = ENV if wheels else {},
        labels = {
            "org.opencontainers.image.description": description,
            "org.opencontainers.image.licenses": "Apache-2.0",
            "org.opencontainers.image.title": title,
        },
        tars = wheels + [
            name + "_onnxruntime",
            name + "_policies",
            name + "_program",
        ],
        user = USER,
        visibility = ["//oci:__subpackages__"],
        workdir = "/workspace",
    )
    oci_load(
        name = name + ".load",
        image = name,
        repo_tags = [title + ":latest"],
    )
    push(
        name = name + ".push",
        image = name,
        title = title,
    )
