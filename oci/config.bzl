"""The images of this repository, and what they have in common."""

# Kinds of base images: NVIDIA's, for a GPU, or a small root file system for the CPU of any machine.
BASES = [
    "nvidia",
    "slim",
]

# The default builds on every network, so the digests of the images are the same everywhere.
DEFAULT_BASE = "slim"

# User that robot programs run as. //oci/base:passwd names it.
USER = "10001"

# Where `.push` targets push to without `--repository`.
REGISTRY = "localhost:5000"

# Arguments of robot_image, by name of the image.
IMAGES = {
    # The robot's runtime.
    "locomotion": dict(
        architecture = "arm64",
        description = "Robot runtime: hardware abstraction layer and policy inference in one process",
        entrypoint = "//cmd/locomotion",
        policies = ["//compute/policy/go1_joystick"],
        title = "krabby-locomotion",
        zed = True,
    ),
    # The runtime on the workstation of a simulator, with the synthetic robot until Isaac Sim's backend exists.
    "isaacsim": dict(
        architecture = "amd64",
        description = "Robot runtime for simulation: hardware abstraction layer and policy inference in one process",
        entrypoint = "//cmd/locomotion",
        nvidia = "isaac_sim",
        nvidia_entrypoint = ["/isaac-sim/python.sh"],
        nvidia_user = "",  # The base's user owns the caches that Isaac Sim writes.
        policies = ["//compute/policy/go1_joystick"],
        python = "isaac",
        title = "krabby-isaacsim",
    ),
    # Test a policy before it is deployed: on a workstation, and on the robot's processor.
    "testing_x86": dict(
        architecture = "amd64",
        cmd = ["--duration=10s"],
        description = "Game loop: a policy against a synthetic robot, pass/fail",
        entrypoint = "//cmd/gameloop",
        policies = ["//compute/policy/go1_joystick"],
        purpose = "testing",
        title = "krabby-testing-x86",
    ),
    "testing_arm": dict(
        architecture = "arm64",
        cmd = ["--duration=10s"],
        description = "Game loop: a policy against a synthetic robot, pass/fail",
        entrypoint = "//cmd/gameloop",
        policies = ["//compute/policy/go1_joystick"],
        purpose = "testing",
        title = "krabby-testing-arm",
    ),
}
