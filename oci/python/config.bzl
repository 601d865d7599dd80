"""The Pythons that images have, and what is installed for them."""

# Interpreters by what brings them, and what images on it are for. NVIDIA's bases are PyTorch 25.10 and Isaac Sim 5.1.
PYTHONS = {
    "isaac": struct(
        interpreter = "/isaac-sim/kit/python/bin/python3",
        purposes = ["runtime"],
        version = "3.11",
    ),
    "pytorch": struct(
        interpreter = "/usr/bin/python3.12",
        purposes = [
            "runtime",
            "testing",
        ],
        version = "3.12",
    ),
    "slim": struct(
        interpreter = "/usr/bin/python3.11",
        purposes = ["testing"],
        version = "3.11",
    ),
}

# Groups of //third_party/python:requirements.json by purpose.
GROUPS = {
    "runtime": ["runtime"],
    "testing": [
        "runtime",
        "test",
    ],
}

# Wheels that are built here.
OURS = ["//hal/python:wheel"]

# Where the wheels are, for images that have some. They come before what a base brings itself.
ENV = {
    "PATH": "/opt/krabby/python/bin:$PATH",
    # Compiled modules would carry times, and the root file system may be read-only.
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONPATH": "/opt/krabby/python/site-packages",
}
