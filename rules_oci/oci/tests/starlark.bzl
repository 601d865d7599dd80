"""What can be checked of the Starlark without a build: it fails the loading of the package."""

load("//oci/private:attributes.bzl", "unknown")
load("//oci/private:pull.bzl", "matches")

_ARM64_V8 = {"architecture": "arm64", "os": "linux", "variant": "v8"}
_AMD64 = {"architecture": "amd64", "os": "linux"}

def _equal(what, got, want):
    if got != want:
        fail("{} is {}, want {}".format(what, got, want))

def check():
    """Checks which platforms match, and what is said of attributes that nobody knows."""
    for platform, wanted, want in [
        (_AMD64, "linux/amd64", True),
        (_AMD64, "linux/arm64", False),
        (_AMD64, "windows/amd64", False),
        (_ARM64_V8, "linux/arm64", True),
        (_ARM64_V8, "linux/arm64/v8", True),
        (_ARM64_V8, "linux/arm64/v9", False),
    ]:
        _equal("matches({}, {})".format(platform, wanted), matches(platform, wanted), want)
    _equal("what is said of Bazel's attributes", unknown("oci_image", "app", ["visibility", "tags", "testonly"], ["base"]), None)
    _equal(
        "what is said of unknown ones",
        unknown("oci_image", "app", ["tags", "layers", "comand"], ["name", "base"]),
        "oci_image(name = \"app\") has no attribute comand, layers; it knows base, name and Bazel's common attributes",
    )
