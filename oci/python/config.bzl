"""Python interpreters of the images, and the wheels for them."""

# Interpreters by base, with the purposes of the images on it and the version that the wheels are locked for: an environment's in
# //third_party/python:requirements.json. NVIDIA's bases are PyTorch 24.12 and 25.10, and Isaac Sim 5.1.
PYTHONS = {
    "isaac": struct(
        interpreter = "/isaac-sim/kit/python/bin/python3",
        locked = "3.11.2",
        purposes = ["runtime"],
        version = "3.11",
    ),
    "pytorch": struct(
        interpreter = "/usr/bin/python3.12",
        locked = "3.12.3",
        purposes = [
            "runtime",
            "testing",
        ],
        version = "3.12",
    ),
    "slim": struct(
        interpreter = "/usr/bin/python3.11",
        locked = "3.11.2",
        purposes = ["testing"],
        version = "3.11",
    ),
}

# Groups of //third_party/python:requirements.json, by purpose.
GROUPS = {
    "runtime": ["runtime"],
    "testing": [
        "runtime",
        "test",
    ],
}

# Wheels that this repository builds.
FIRST_PARTY_WHEELS = ["//hal/python:wheel"]

# Environment of images with wheels. The wheels precede the packages of the base.
ENV = {
    "PATH": "/opt/krabby/python/bin:$PATH",
    # Compiled modules contain timestamps, and the root file system may be read-only.
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONPATH": "/opt/krabby/python/site-packages",
}
