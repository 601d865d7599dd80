"""Rules to build OCI images and to load them into a container runtime.

```starlark
load("@rules_oci//oci:defs.bzl", "oci_image", "oci_load")
```

- `oci_image` assembles an image from a base and tar files.
- `oci_load` puts an image into docker, podman or containerd by `bazel run`.
"""

load("//oci/private:image.bzl", _oci_image = "oci_image")
load("//oci/private:load.bzl", _oci_load = "oci_load")

oci_image = _oci_image
oci_load = _oci_load
