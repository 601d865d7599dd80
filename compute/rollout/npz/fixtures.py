"""Writes rollouts with numpy into the given directory. TestRead_numpyFiles reads them."""

import os
import sys

import numpy as np

STEPS, JOINTS, FEET, VALUES = 5, 3, 2, 7
ISAAC_LAB = {
    "joint_position_rad": "joint_pos",
    "joint_velocity_rad_per_s": "joint_vel",
    "orientation_wxyz": "root_quat_w",
    "angular_velocity_rad_per_s": "root_ang_vel_b",
    "command": "commands",
    "observation": "obs",
    "action": "actions",
}


def arrays(dtype):
    def count(columns, first):
        # All values are exact in float16.
        return (first + np.arange(STEPS * columns).reshape(STEPS, columns) / 8).astype(dtype)

    orientation = np.zeros((STEPS, 4), dtype)
    orientation[:, 0] = 1
    return dict(
        joint_names=np.array(["hip", "thigh", "calf"]),
        joint_position_rad=count(JOINTS, 1),
        joint_velocity_rad_per_s=count(JOINTS, 2),
        orientation_wxyz=orientation,
        angular_velocity_rad_per_s=count(3, 3),
        command=count(3, 4),
        observation=count(VALUES, 5),
        action=count(JOINTS, 6),
        time_s=np.arange(STEPS) * 0.02,
    )


def main(out):
    os.makedirs(out, exist_ok=True)
    np.savez(os.path.join(out, "float32.npz"), **arrays(np.float32))
    np.savez_compressed(os.path.join(out, "float64_compressed.npz"), **arrays(np.float64))
    np.savez(os.path.join(out, "float16.npz"), **arrays(np.float16))
    np.savez(os.path.join(out, "big_endian.npz"), **arrays(np.dtype(">f4")))
    fortran = {name: np.asfortranarray(a) for name, a in arrays(np.float32).items()}
    np.savez(os.path.join(out, "fortran.npz"), **fortran)
    # As training loops write them: a dimension for environments, also of the times, and Isaac Lab's names.
    single = {name: a[:, None] if name != "joint_names" else a for name, a in arrays(np.float32).items()}
    np.savez(os.path.join(out, "one_environment.npz"), **single)
    several = {name: np.stack([a * 0 + 1, a], 1) if name != "joint_names" else a for name, a in arrays(np.float32).items()}
    several["time_s"] = arrays(np.float32)["time_s"]
    np.savez(os.path.join(out, "two_environments.npz"), **several)
    np.savez(os.path.join(out, "two_environments_fortran.npz"), **{name: np.asfortranarray(a) for name, a in several.items()})
    isaac = arrays(np.float32)
    for name, other in ISAAC_LAB.items():
        isaac[other] = isaac.pop(name)
    np.savez(os.path.join(out, "isaac_lab.npz"), **isaac)
    restarted = arrays(np.float32)
    restarted["time_s"][3:] -= restarted["time_s"][3]
    np.savez(os.path.join(out, "restarted.npz"), **restarted)
    restarted["episode_start"] = np.array([1, 0, 0, 1, 0], np.uint8)
    np.savez(os.path.join(out, "episodes.npz"), **restarted)
    optional = arrays(np.float32)
    optional["joint_names"] = np.array([b"hip", b"thigh", b"calf"])
    optional["time_ns"] = (1_700_000_000_000_000_000 + (optional.pop("time_s") * 1e9).astype(np.int64))
    optional.update(
        contacts=np.arange(STEPS * FEET).reshape(STEPS, FEET) % 2 == 0,
        foot_names=np.array(["left", "right"]),
        episode_start=np.array([1, 0, 0, 1, 0], np.uint8),
        base_velocity_m_per_s=optional["command"],
        linear_acceleration_m_per_s2=optional["command"],
        reward=np.zeros(STEPS),  # An array with another name.
    )
    np.savez(os.path.join(out, "optional.npz"), **optional)


if __name__ == "__main__":
    main(sys.argv[1])
