"""A client of version 1.0, like programs for the predecessor. It implements the documented format with pyzmq and numpy only.

Usage: v1_client.py OBSERVATIONS COMMANDS TARGET_RAD
"""

import json
import sys
import time

import numpy
import zmq

TIMEOUT_S = 30
CLOSE_RAD = 0.05  # The synthetic robot sways around its target.
NAMES = ["joint_positions", "rgb_camera_1", "rgb_camera_2", "depth_map", "confidence_map"]


def array(metadata, name, content):
    description = metadata[name]
    return numpy.frombuffer(content, dtype=description["dtype"]).reshape(description["shape"])


def command(joints, observation_timestamp_ns):
    metadata = {
        "joint_positions": {"shape": list(joints.shape), "dtype": str(joints.dtype)},
        "timestamp_ns": time.time_ns(),
        "observation_timestamp_ns": observation_timestamp_ns,
    }
    return [json.dumps(metadata).encode(), joints.tobytes()]


def receive(socket):
    """Returns the frames of a message, its metadata, and its arrays by name."""
    frames = socket.recv_multipart()
    metadata = json.loads(frames[2])
    return frames, metadata, {name: array(metadata, name, content) for name, content in zip(NAMES, frames[3:])}


def main():
    with zmq.Context() as context, context.socket(zmq.SUB) as observations, context.socket(zmq.PUSH) as commands:
        for socket in observations, commands:
            socket.linger = 0
            socket.rcvtimeo = socket.sndtimeo = TIMEOUT_S * 1000
        observations.rcvhwm, commands.sndhwm = 1, 5
        observations.subscribe(b"observation")
        observations.connect(sys.argv[1])
        commands.connect(sys.argv[2])
        target_rad = float(sys.argv[3])

        frames, metadata, arrays = receive(observations)
        report = {
            "topic": frames[0].decode(),
            "version": frames[1].decode(),
            "frames": len(frames),
            "age_s": (time.time_ns() - metadata["timestamp_ns"]) / 1e9,
            "size": [metadata["camera_height"], metadata["camera_width"]],
            "shapes": {name: list(values.shape) for name, values in arrays.items()},
            "dtypes": {name: str(values.dtype) for name, values in arrays.items()},
            "ranges": {name: [float(values.min()), float(values.max())] for name, values in arrays.items() if name != NAMES[0]},
        }

        joints = arrays["joint_positions"]
        valid = command(joints, metadata["timestamp_ns"])
        # One command for each reject reason.
        commands.send_multipart(valid[:1])  # frames
        commands.send_multipart([b"{", valid[1]])  # metadata
        commands.send_multipart(command(joints.astype(numpy.float64), 0))  # shape
        commands.send_multipart([valid[0], valid[1][:-1]])  # length
        commands.send_multipart(command(joints * numpy.float32("nan"), 0))  # not_finite

        deadline = time.monotonic() + TIMEOUT_S
        arrived = False
        while not arrived and time.monotonic() < deadline:
            _, metadata, arrays = receive(observations)
            joints = arrays["joint_positions"].copy()
            arrived = bool(abs(joints[0] - target_rad) < CLOSE_RAD)
            report.update(arrived=arrived, position_rad=float(joints[0]))
            joints[0] = target_rad
            commands.send_multipart(command(joints, metadata["timestamp_ns"]))
        print(json.dumps(report))


if __name__ == "__main__":
    main()
