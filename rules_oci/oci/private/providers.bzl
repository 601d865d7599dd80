"""Providers of the rules of this module."""

OCIImageInfo = provider(
    doc = "An image as an OCI layout.",
    fields = {
        "architecture": "CPU architecture as in GOARCH, or None if only the config of a base has it.",
        "base": "OCIImageInfo of the base, or None. A base that is a source directory has none.",
        "layers": "List of structs (file, label) of the layers that the image adds to its base, lowest first.",
        "layout": "File: the directory of the layout. Missing layers of a shallow layout are in a registry.",
        "os": "Operating system as in GOOS, or None if only the config of a base has it.",
    },
)

OCIIndexInfo = provider(
    doc = "An index over images as an OCI layout.",
    fields = {
        "images": "List of the OCIImageInfo of the images, in their order.",
        "layout": "File: the directory of the layout.",
    },
)

OCIPulledInfo = provider(
    doc = "An image in a registry, as oci.pull provides it together with OCIImageInfo.",
    fields = {
        "config": "File: the config.",
        "manifest": "File: the manifest.",
        "registry": "Registry of the image.",
        "repository": "Repository of the image.",
    },
)
