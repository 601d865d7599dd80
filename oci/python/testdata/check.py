"""Uses the installed modules, and prints a report as JSON."""

import base64
import hashlib
import importlib.metadata
import json
import os
import platform
import tempfile
import threading
from dataclasses import dataclass

import krabby_hal
import numpy
import typing_extensions
import zmq
from dataclasses_json import dataclass_json


@dataclass_json
@dataclass
class JointCommand:
    names: typing_extensions.List[str]
    positions_rad: typing_extensions.List[float]


def round_trip(address):
    """Sends an array to another socket and back, and returns whether it is unchanged."""
    sent = numpy.linspace(-1, 1, 12, dtype=numpy.float32)
    with zmq.Context() as context, context.socket(zmq.PAIR) as local, context.socket(zmq.PAIR) as remote:
        for socket in local, remote:
            socket.linger, socket.rcvtimeo = 0, 20000
        if address.startswith("tcp"):
            address = f"{address}:{local.bind_to_random_port(address)}"
        else:
            local.bind(address)
        remote.connect(address)

        def echo():
            remote.send(remote.recv())

        thread = threading.Thread(target=echo)
        thread.start()
        local.send(sent.tobytes())
        received = numpy.frombuffer(local.recv(), dtype=numpy.float32)
        thread.join()
    return bool((received == sent).all())


def verify(distribution):
    """Compares the files of a distribution with its RECORD, and returns the differences."""
    problems = []
    for file in distribution.files:
        path = distribution.locate_file(file)
        if not os.path.isfile(path):
            problems.append(f"{file}: not found")
        elif file.hash is None:
            if file.name != "RECORD":
                problems.append(f"{file}: has no hash")
        else:
            content = path.read_bytes()
            digest = hashlib.new(file.hash.mode, content).digest()
            found = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            if (found, len(content)) != (file.hash.value, file.size):
                problems.append(f"{file}: has hash {found} and {len(content)} bytes")
    return problems


def hal_round_trip():
    """Encodes and decodes a command, and decodes a truncated frame."""
    command = krabby_hal.JointCommand(target_rad=[0.5, -1.25], kp=[35, 35], kd=[0.5, 0.5])
    frame = krabby_hal.encode_joint_command(command)
    rejected = None
    try:
        krabby_hal.decode_joint_command(frame[:-1])
    except krabby_hal.FrameError as error:
        rejected = error.reason.value
    return {
        "frame_bytes": len(frame),
        "target_rad": krabby_hal.decode_joint_command(frame).target_rad.tolist(),
        "rejected": rejected,
        "curve": zmq.has("curve"),
    }


def main():
    command = JointCommand(names=["hip", "knee"], positions_rad=[0.5, -1.25])
    distributions = list(importlib.metadata.distributions())
    rotation = numpy.array([[0.0, -1.0], [1.0, 0.0]])
    with tempfile.TemporaryDirectory() as directory:
        print(
            json.dumps(
                {
                    "python": platform.python_version(),
                    "machine": platform.machine(),
                    "versions": {d.metadata["Name"]: d.version for d in distributions},
                    "installers": sorted({d.read_text("INSTALLER") for d in distributions}),
                    "problems": [f"{d.metadata['Name']}: {problem}" for d in distributions for problem in verify(d)],
                    "programs": sorted(e.name for e in importlib.metadata.entry_points(group="console_scripts")),
                    "round_trips": {
                        transport: round_trip(address)
                        for transport, address in {
                            "inproc": "inproc://robot",
                            "ipc": f"ipc://{directory}/robot",
                            "tcp": "tcp://127.0.0.1",
                        }.items()
                    },
                    "inverse": (numpy.linalg.inv(rotation) @ rotation).tolist(),
                    "krabby_hal": hal_round_trip(),
                    "same_command": JointCommand.from_json(command.to_json()) == command,
                }
            )
        )


if __name__ == "__main__":
    main()
