"""Rules to build OCI images, to load them into a container runtime and to push them to a registry.

```starlark
load("@rules_oci//oci:defs.bzl", "oci_image", "oci_image_index", "oci_load", "oci_push")
```

- `oci_image` assembles an image from a base and tar files.
- `oci_image_index` assembles an index over images of several platforms.
- `oci_load` puts an image into docker, podman or containerd by `bazel run`.
- `oci_push` sends an image or index to a registry by `bazel run`.
"""

load("//oci/private:image.bzl", _oci_image = "oci_image")
load("//oci/private:index.bzl", _oci_image_index = "oci_image_index")
load("//oci/private:load.bzl", _oci_load = "oci_load")
load("//oci/private:push.bzl", _oci_push = "oci_push")

oci_image = _oci_image
oci_image_index = _oci_image_index
oci_load = _oci_load
oci_push = _oci_push
