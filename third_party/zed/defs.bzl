"""Layers of images with the ZED SDK.

```starlark
load("//third_party/zed:defs.bzl", "ZED_LAYERS")
```
"""

load("@zed//:lock.bzl", "ARCHIVES")
load("//tools/layer:layer.bzl", "layer")

# The versions that --//third_party/zed:sdk accepts.
VERSIONS = sorted(ARCHIVES)

# The layers to add to an image: the layer of the selected version, or none.
ZED_LAYERS = select({
    Label("//third_party/zed:sdk_" + version): [] if version == "none" else [Label("//third_party/zed:layer")]
    for version in VERSIONS + ["none"]
})

def zed_layer(name, archive, version, **kwargs):
    """Builds a layer with the files of the SDK that lock.json allows, at the paths of the vendor's installer, which never runs.

    Args:
      name: name of the target.
      archive: the vendor's self-extracting archive.
      version: entry of lock.json with the allowed files and their destinations.
      **kwargs: further attributes of the rule `layer`.
    """
    layer(
        name = name,
        archive = archive,
        archive_files = ARCHIVES[version]["allow"],
        archive_optional = ARCHIVES[version]["optional"],
        # The SDK stores the calibrations of cameras in this directory.
        directories = {"/usr/local/zed/settings": "0755 10001:10001"},
        # The installer uses this file name.
        files = {Label("//third_party/zed:ld.so.conf"): "/etc/ld.so.conf.d/001-zed.conf"},
        **kwargs
    )
