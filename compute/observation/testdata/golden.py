"""Writes golden.json: observations and actions of the Go1 joystick policy in 100 random states.

This is an independent implementation, in numpy and PyPI's onnxruntime, which the Go code is tested against. Run it by hand
after a change of the policy or of the layout of its observation. It needs the packages numpy and onnxruntime:

    python3 golden.py POLICY_DIRECTORY > golden.json

The output depends only on the policy and, in the last digits, on the version of onnxruntime.
"""

import hashlib
import json
import pathlib
import sys

import numpy as np
import onnxruntime

CASES = 100
JOINTS = 12
SEED = 20240501


def rotation_matrix(quaternion):
    """Returns the 3x3 matrix from the base frame to the world frame for a unit quaternion (w, x, y, z)."""
    w, v = quaternion[0], quaternion[1:]
    cross = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.eye(3) + 2 * w * cross + 2 * cross @ cross


def random_state(rng, default_pose):
    """Returns a sensor state in SI units, a command and a last action, as a dictionary from names to arrays."""
    quaternion = rng.normal(size=4)
    return {
        "base_velocity_mps": rng.uniform(-2, 2, 3).round(3),
        "angular_velocity_rad_per_sec": rng.uniform(-5, 5, 3).round(3),
        "orientation": quaternion / np.linalg.norm(quaternion),
        "position_rad": (default_pose + rng.uniform(-0.8, 0.8, JOINTS)).round(3),
        "velocity_rad_per_sec": rng.uniform(-15, 15, JOINTS).round(3),
        "last_action": rng.uniform(-2, 2, JOINTS).round(3),
        "command": (rng.uniform(-1, 1, 3) * [1.5, 0.8, 6.28]).round(3),
    }


def observation(state, default_pose):
    """Returns the input of the policy, float32 of shape [48]."""
    gravity = rotation_matrix(state["orientation"]).T @ [0, 0, -1]
    return np.concatenate([
        state["base_velocity_mps"],
        state["angular_velocity_rad_per_sec"],
        gravity,
        state["position_rad"] - default_pose,
        state["velocity_rad_per_sec"],
        state["last_action"],
        state["command"],
    ]).astype(np.float32)


def plain(values):
    """Returns values as floats that json writes with the digits of their own type."""
    return [float(str(v)) for v in values]


def main(directory):
    directory = pathlib.Path(directory)
    manifest = json.loads((directory / "manifest.json").read_text())
    model = (directory / "policy.onnx").read_bytes()
    found, expected = hashlib.sha256(model).hexdigest(), manifest["files"]["policy.onnx"]
    if found != expected:
        sys.exit(f"{directory}/policy.onnx: sha256: found {found}, expected {expected}")
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    default_pose = np.array(manifest["default_pose_rad"])
    rng = np.random.default_rng(SEED)

    cases = []
    for _ in range(CASES):
        state = random_state(rng, default_pose)
        obs = observation(state, default_pose)
        (action,) = session.run([manifest["output"]["name"]], {manifest["input"]["name"]: obs[np.newaxis]})
        case = {name: plain(values) for name, values in state.items()}
        cases.append(case | {"obs": plain(obs), "action": plain(action[0])})

    print('{"policy_sha256": "%s", "cases": [' % found)
    print(",\n".join(json.dumps(case) for case in cases))
    print("]}")


if __name__ == "__main__":
    main(sys.argv[1])
