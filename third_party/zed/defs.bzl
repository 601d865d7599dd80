"""The ZED SDK as part of an image, and as none.

```starlark
load("//third_party/zed:defs.bzl", "ZED_LAYERS")
```
"""

load("@zed//:lock.bzl", "ARCHIVES")
load("//tools/layer:layer.bzl", "layer")

# Versions that --//third_party/zed:sdk may name.
VERSIONS = sorted(ARCHIVES)

# Tars of an image, to be added to its list: the SDK's layer, or nothing.
ZED_LAYERS = select({
    Label("//third_party/zed:sdk_" + version): [] if version == "none" else [Label("//third_party/zed:layer")]
    for version in VERSIONS + ["none"]
})

def zed_layer(name, archive, version, **kwargs):
    """Lays the SDK out as its installer would, as far as the allow-list of lock.json goes, without running it.

    Args:
      name: name of the target.
      archive: the vendor's self-extracting archive.
      version: entry of lock.json that says what of it goes where.
      **kwargs: further attributes of the rule `layer`.
    """
    layer(
        name = name,
        archive = archive,
        archive_files = ARCHIVES[version]["allow"],
        archive_optional = ARCHIVES[version]["optional"],
        # The SDK keeps there what it downloads of a camera: its calibration.
        directories = {"/usr/local/zed/settings": "0755 10001:10001"},
        # By the installer's name.
        files = {Label("//third_party/zed:ld.so.conf"): "/etc/ld.so.conf.d/001-zed.conf"},
        **kwargs
    )
