"""A client of version 1.0, written from the documented format (docs/hal.md) with pyzmq and numpy alone.

It knows nothing of krabby_hal, as programs written for the predecessor do not. Usage: v1.py OBSERVATIONS COMMANDS
"""

import json
import sys
import time

import numpy
import zmq

TIMEOUT_MS = 30000


def array(metadata, name, content):
    described = metadata[name]
    return numpy.frombuffer(content, dtype=described["dtype"]).reshape(described["shape"])


def command(joints, observation_timestamp_ns):
    metadata = {
        "joint_positions": {"shape": list(joints.shape), "dtype": str(joints.dtype)},
        "timestamp_ns": time.time_ns(),
        "observation_timestamp_ns": observation_timestamp_ns,
    }
    return [json.dumps(metadata).encode(), joints.tobytes()]


def main():
    with zmq.Context() as context, context.socket(zmq.SUB) as observations, context.socket(zmq.PUSH) as commands:
        for socket in observations, commands:
            socket.linger = TIMEOUT_MS
            socket.rcvtimeo = socket.sndtimeo = TIMEOUT_MS
        observations.rcvhwm, commands.sndhwm = 1, 5
        observations.subscribe(b"observation")
        observations.connect(sys.argv[1])
        commands.connect(sys.argv[2])

        topic, version, metadata, *contents = observations.recv_multipart()
        metadata = json.loads(metadata)
        names = ["joint_positions", "rgb_camera_1", "rgb_camera_2", "depth_map", "confidence_map"]
        arrays = {name: array(metadata, name, content) for name, content in zip(names, contents)}
        print(
            json.dumps(
                {
                    "topic": topic.decode(),
                    "version": version.decode(),
                    "frames": 3 + len(contents),
                    "timestamp_ns": metadata["timestamp_ns"],
                    "size": [metadata["camera_height"], metadata["camera_width"]],
                    "shapes": {name: list(values.shape) for name, values in arrays.items()},
                    "dtypes": {name: str(values.dtype) for name, values in arrays.items()},
                    "sums": {name: float(values.sum()) for name, values in arrays.items()},
                    "joint_positions": arrays["joint_positions"].tolist(),
                }
            )
        )

        joints = numpy.linspace(-0.5, 0.5, 12, dtype=numpy.float32)
        good = command(joints, metadata["timestamp_ns"])
        commands.send_multipart(good[:1])  # frames
        commands.send_multipart([b"{", good[1]])  # metadata
        commands.send_multipart(command(joints.astype(numpy.float64), 0))  # shape
        commands.send_multipart([good[0], good[1][:-1]])  # length
        commands.send_multipart(command(joints * numpy.float32("nan"), 0))  # not_finite
        commands.send_multipart(good)


if __name__ == "__main__":
    main()
