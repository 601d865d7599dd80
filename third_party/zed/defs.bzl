"""Layers of images with the ZED SDK.

```starlark
load("//third_party/zed:defs.bzl", "zed_layer")
```
"""

load("@zed//:lock.bzl", "ARCHIVES")
load("//tools/layer:layer.bzl", "layer")

# The versions that --//third_party/zed:sdk accepts.
VERSIONS = sorted(ARCHIVES)

# Directories that the SDK writes: models that it downloads and optimizes, and calibrations of cameras. They are volumes of an image.
VOLUMES = [
    "/usr/local/zed/resources",
    "/usr/local/zed/settings",
]

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
        directories = {volume: "0755 10001:10001" for volume in VOLUMES},
        # The installer uses this file name.
        files = {Label("//third_party/zed:ld.so.conf"): "/etc/ld.so.conf.d/001-zed.conf"},
        **kwargs
    )
