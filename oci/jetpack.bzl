"""Sets of a base of NVIDIA and a build of the ZED SDK, by the release of JetPack that both are made for."""

# `--//oci:jetpack=RELEASE` chooses. docs/versions.md shows whether a set fits and is pinned.
JETPACKS = {
    # L4T 36.4 with CUDA 12, for Jetson Orin. This base has numpy 1, as the wheels of the images.
    "6": struct(
        nvidia = "pytorch_igpu_24_12",  # In //third_party/nvidia:lock.json.
        zed = "5.1.2",  # In //third_party/zed:lock.json.
    ),
    # L4T 38.2 with CUDA 13, for Jetson Thor.
    "7": struct(
        nvidia = "pytorch_igpu",
        zed = "5.1.1-l4t38.2",
    ),
}
