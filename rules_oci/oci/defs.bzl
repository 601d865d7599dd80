"""Rules to build OCI images, to load them into a container engine and to push them to a registry.

```starlark
load("@rules_oci//oci:defs.bzl", "oci_image", "oci_image_index", "oci_load", "oci_push")
```

- `oci_image` assembles an image from a base and tar files.
- `oci_image_index` assembles an index over images of several platforms.
- `oci_load` loads an image into docker, podman or containerd with `bazel run`.
- `oci_push` pushes an image or index to a registry with `bazel run`.

The rules provide `OCIImageInfo` or `OCIIndexInfo`. `oci_image_rule`, `oci_image_index_rule`, `oci_push_rule` and `oci_tarball_rule` are the rules behind the macros,
under the names that rules_oci gives them.
"""

load("//oci/private:image.bzl", _oci_image = "oci_image", _oci_image_rule = "oci_image_rule")
load("//oci/private:index.bzl", _oci_image_index = "oci_image_index", _oci_image_index_rule = "oci_image_index_rule")
load("//oci/private:load.bzl", _oci_load = "oci_load", _oci_load_rule = "oci_load_rule")
load("//oci/private:providers.bzl", _OCIImageInfo = "OCIImageInfo", _OCIIndexInfo = "OCIIndexInfo", _OCIPulledInfo = "OCIPulledInfo")
load("//oci/private:push.bzl", _oci_push = "oci_push", _oci_push_rule = "oci_push_rule")

oci_image = _oci_image
oci_image_index = _oci_image_index
oci_image_index_rule = _oci_image_index_rule
oci_image_rule = _oci_image_rule
oci_load = _oci_load
oci_push = _oci_push
oci_push_rule = _oci_push_rule
oci_tarball_rule = _oci_load_rule

OCIImageInfo = _OCIImageInfo
OCIIndexInfo = _OCIIndexInfo
OCIPulledInfo = _OCIPulledInfo
