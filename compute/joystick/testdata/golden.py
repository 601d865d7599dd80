"""Writes golden.json: what the Go1 joystick policy should see and do in 100 random states.

An implementation of its own, in numpy and PyPI's onnxruntime, against which the Go code is tested. Run it by hand when
the policy or the layout of its observation changes (it needs the packages numpy and onnxruntime):

    python3 golden.py POLICY_FOLDER > golden.json

The output depends on the policy and on the version of onnxruntime (in the last digit) only.
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
    """The matrix that turns a vector in the base frame into the world frame, from a unit quaternion (w, x, y, z)."""
    w, v = quaternion[0], quaternion[1:]
    cross = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.eye(3) + 2 * w * cross + 2 * cross @ cross


def random_state(rng, default_pose):
    """A sensor state in SI units, a command and a last action, over the whole range that a robot could meet."""
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
    """The policy's input, float32[48]."""
    down = rotation_matrix(state["orientation"]).T @ [0, 0, -1]
    return np.concatenate([
        state["base_velocity_mps"],
        state["angular_velocity_rad_per_sec"],
        down,
        state["position_rad"] - default_pose,
        state["velocity_rad_per_sec"],
        state["last_action"],
        state["command"],
    ]).astype(np.float32)


def plain(values):
    """A list that json writes with as many digits as the type has."""
    return [float(str(v)) for v in values]


def main(folder):
    folder = pathlib.Path(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    model = (folder / "policy.onnx").read_bytes()
    found, expected = hashlib.sha256(model).hexdigest(), manifest["files"]["policy.onnx"]
    if found != expected:
        sys.exit(f"{folder}/policy.onnx: sha256: found {found}, expected {expected}")
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
