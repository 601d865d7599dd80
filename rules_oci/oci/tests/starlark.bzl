"""Tests of Starlark functions. They run when the package is loaded."""

load("//oci/private:attributes.bzl", "unknown")
load("//oci/private:image.bzl", "inline_text")
load("//oci/private:platform.bzl", "choose", "matches")
load("//oci/private:reference.bzl", "parse_image")

def _platform(name):
    parts = name.split("/")
    return {"architecture": parts[1], "os": parts[0]} | ({"variant": parts[2]} if len(parts) > 2 else {})

def _equal(what, got, want):
    if got != want:
        fail("{}: found {}, expected {}".format(what, got, want))

# internal/platform has the same cases.
_PLATFORMS = [
    ("linux/amd64", "linux/amd64", True),
    ("linux/amd64", "linux/arm64", False),
    ("linux/amd64", "windows/amd64", False),
    ("linux/arm64", "linux/arm64", True),
    ("linux/arm64", "linux/arm64/v8", True),
    ("linux/arm64/v8", "linux/arm64", True),
    ("linux/arm64/v8", "linux/arm64/v8", True),
    ("linux/arm64/v8", "linux/arm64/v9", False),
    ("linux/arm64/v9", "linux/arm64", True),
    ("linux/arm64", "linux/arm64/v9", False),
    ("linux/arm", "linux/arm/v7", True),
    ("linux/arm/v6", "linux/arm/v7", False),
    ("linux/amd64", "linux/amd64/v2", False),
]

# Platforms of the entries of an index, a wanted platform, and the entries for it.
_CHOICES = [
    (["linux/amd64", "linux/arm64/v8"], "linux/arm64", [1]),
    (["linux/amd64", "linux/arm64"], "linux/arm64/v8", [1]),
    (["linux/arm64", "linux/arm64/v8"], "linux/arm64", [0]),
    (["linux/arm/v6", "linux/arm/v7"], "linux/arm/v7", [1]),
    (["linux/arm/v6", "linux/arm/v7"], "linux/arm", [0, 1]),
    (["unknown/unknown", "linux/amd64"], "linux/amd64", [1]),
    (["linux/amd64"], "linux/s390x", []),
]

_REFERENCES = {
    "127.0.0.1:5001/one:1@sha256:ab": (False, "127.0.0.1:5001", "one", "1", "sha256:ab"),
    "debian": (False, "docker.io", "library/debian", "", ""),
    "debian:12": (False, "docker.io", "library/debian", "12", ""),
    "gcr.io/distroless/static": (False, "gcr.io", "distroless/static", "", ""),
    "http://nas.lab:5000/a/b": (True, "nas.lab:5000", "a/b", "", ""),
    "https://r.example/a@sha256:ab": (False, "r.example", "a", "", "sha256:ab"),
    "localhost/a": (False, "localhost", "a", "", ""),
    "r.example:5000/a": (False, "r.example:5000", "a", "", ""),
    "user/app": (False, "docker.io", "user/app", "", ""),
}

def check():
    """Tests platforms, references, texts of attributes and errors about unknown attributes."""
    for platform, wanted, want in _PLATFORMS:
        _equal("matches({}, {})".format(platform, wanted), matches(_platform(platform), wanted), want)
    for platforms, wanted, want in _CHOICES:
        entries = [(_platform(name), number) for number, name in enumerate(platforms)]
        _equal("choose({}, {})".format(platforms, wanted), choose(entries, wanted), want)
    for image, want in _REFERENCES.items():
        got = parse_image(image)
        _equal("parse_image({})".format(image), (got.insecure, got.registry, got.repository, got.tag, got.digest), want)
    for attribute, value, want in [
        ("env", {"A": "1", "B": "x=y"}, "A=1\nB=x=y"),
        ("env", {}, ""),
        ("cmd", ["a b", "c\nd"], "a b\nc%5Cnd"),
        ("volumes", ["/a", "/b"], "/a,/b"),
    ]:
        _equal("inline_text({})".format(attribute), inline_text(attribute, value), want)
    _equal("common attributes", unknown("oci_image", "app", ["visibility", "tags", "testonly"], ["base"]), None)
    _equal("args of an executable rule", unknown("oci_push", "app", ["args"], ["image", "args"]), None)
    _equal(
        "unknown attributes",
        unknown("oci_image", "app", ["tags", "layers", "comand"], ["name", "base"]),
        "oci_image(name = \"app\"): unknown attribute comand, layers; known: base, name, and Bazel's common attributes",
    )
