"""Writes golden.json: messages of version 1.0, encoded by a Python program.

The program implements the documented format with numpy and json only. Frames are in hexadecimal. Usage:

    python3 golden.py > golden.json
"""

import json

import numpy


def describe(array):
    return {"shape": list(array.shape), "dtype": str(array.dtype)}


def main():
    joints = (numpy.arange(18) / 8 - 1).astype("<f4")
    pixels = numpy.arange(2 * 3 * 3, dtype=numpy.uint8).reshape(2, 3, 3)
    depth = numpy.linspace(0.5, 3.0, 6).astype("<f4").reshape(2, 3)
    depth[1, 2] = numpy.nan
    arrays = {
        "joint_positions": joints,
        "rgb_camera_1": pixels,
        "rgb_camera_2": 255 - pixels,
        "depth_map": depth,
        "confidence_map": numpy.ones((2, 3), "<f4"),
    }
    metadata = {name: describe(array) for name, array in arrays.items()}
    metadata.update(camera_height=2, camera_width=3, timestamp_ns=1700000000123456789)
    observation = [b"observation", b"1.0", json.dumps(metadata).encode()]
    observation += [array.tobytes() for array in arrays.values()]
    command = {
        "joint_positions": describe(joints),
        "timestamp_ns": 1700000000123456790,
        "observation_timestamp_ns": 1700000000123456789,
    }
    command = [json.dumps(command).encode(), joints.tobytes()]
    messages = {"observation": observation, "joint_command": command}
    print(json.dumps({name: [frame.hex() for frame in frames] for name, frames in messages.items()}, indent=2))


if __name__ == "__main__":
    main()
