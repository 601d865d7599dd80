"""What the hardware abstraction layer is measured beside: version 1 of its wire format, as pyzmq, json and numpy make it plain.

    peer.py MEASURE TRANSPORT COPY SECONDS

MEASURE is observation, age or command, TRANSPORT inproc (two threads) or tcp (two processes), COPY whether pyzmq copies what
is sent and received (1) or lends its memory (0). A line of JSON
is written by each process: what it measured, in ns.
"""

import json
import os
import socket
import sys
import threading
import time

import numpy as np
import zmq

HEIGHT, WIDTH, JOINTS = 480, 640, 18
ARRAYS = ("joint_positions", "rgb_camera_1", "rgb_camera_2", "depth_map", "confidence_map")
WARM_UP = 10
# Not quite a multiple, so that the reader comes at all times between two observations.
WRITER_NS, READER_NS = 10_000_000, 50_300_000
# Between a message and the next: a publisher with a queue of one loses what comes sooner than a millisecond.
PAUSE_S = 0.002
# After so long a message counts as lost: with a queue of one, what comes too early is.
LOST_S = 1.0


def arrays():
    """What a robot's sensors gave."""
    random = np.random.default_rng(1)
    return {
        "joint_positions": random.random(JOINTS, np.float32),
        "rgb_camera_1": random.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8),
        "rgb_camera_2": random.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8),
        "depth_map": random.random((HEIGHT, WIDTH), np.float32),
        "confidence_map": random.random((HEIGHT, WIDTH), np.float32),
    }


def now_ns():
    """The time that the two sides share. The format has the wall clock's here, which may be set meanwhile."""
    return time.monotonic_ns()


def describe(array):
    return {"shape": list(array.shape), "dtype": str(array.dtype)}


def encode_observation(sensors, timestamp_ns):
    metadata = {name: describe(sensors[name]) for name in ARRAYS}
    metadata |= {"camera_height": HEIGHT, "camera_width": WIDTH, "timestamp_ns": timestamp_ns}
    return [b"observation", b"1.0", json.dumps(metadata).encode(), *(sensors[name] for name in ARRAYS)]


def decode_array(metadata, frame):
    return np.frombuffer(frame, metadata["dtype"]).reshape(metadata["shape"])


def decode_observation(frames):
    if len(frames) != 8 or bytes(frames[0]) != b"observation" or bytes(frames[1]) != b"1.0":
        raise ValueError(f"{len(frames)} frames of an observation, expected 8 of version 1.0")
    metadata = json.loads(bytes(frames[2]))
    return metadata["timestamp_ns"], {name: decode_array(metadata[name], frame) for name, frame in zip(ARRAYS, frames[3:])}


def encode_command(positions, observation_timestamp_ns):
    metadata = {
        "joint_positions": describe(positions),
        "timestamp_ns": now_ns(),
        "observation_timestamp_ns": observation_timestamp_ns,
    }
    return [json.dumps(metadata).encode(), positions]


def decode_command(frames):
    if len(frames) != 2:
        raise ValueError(f"{len(frames)} frames of a command, expected 2")
    metadata = json.loads(bytes(frames[0]))
    positions = decode_array(metadata["joint_positions"], frames[1])
    if not np.isfinite(positions).all():
        raise ValueError("a command that is not finite")
    return metadata["observation_timestamp_ns"], positions


class Side:
    """One of the two: its sockets, and a line to the other for what is not measured."""

    def __init__(self, context, line, copy):
        self.context, self.line, self.copy = context, line, copy
        self.samples, self.lost = [], 0

    def socket(self, kind, high_water, endpoint=None, transport=None):
        s = self.context.socket(kind)
        s.setsockopt(zmq.LINGER, 0)
        s.setsockopt(zmq.SNDHWM, high_water)
        s.setsockopt(zmq.RCVHWM, high_water)
        s.setsockopt(zmq.RCVTIMEO, int(LOST_S * 1000))
        if endpoint is not None:
            s.connect(endpoint)
            return s
        if transport == "tcp":
            s.bind("tcp://127.0.0.1:0")
        else:
            s.bind(f"inproc://{kind}")
        return s

    def send(self, s, frames):
        s.send_multipart(frames, copy=self.copy)

    def receive(self, s):
        frames = s.recv_multipart(copy=self.copy)
        return frames if self.copy else [f.buffer for f in frames]

    def ended(self):
        self.line.setblocking(False)
        try:
            self.line.recv(1)
            return True
        except BlockingIOError:
            return False


def robot(side, measure, transport, seconds):
    sensors = arrays()
    out = side.socket(zmq.PUB, 1, transport=transport)
    incoming = side.socket(zmq.PULL, 5, transport=transport)
    side.line.sendall("\n".join([out.getsockopt_string(zmq.LAST_ENDPOINT), incoming.getsockopt_string(zmq.LAST_ENDPOINT)]).encode())
    side.line.recv(1)
    time.sleep(0.3)  # Until the subscription is there.
    applied = np.zeros(JOINTS, np.float32)
    start = next_ns = now_ns()
    number = 0
    side.line.settimeout(LOST_S)
    while now_ns() < start + seconds * 1e9:
        number += 1
        if measure != "age":
            time.sleep(PAUSE_S)
        sent_ns = now_ns()
        side.send(out, encode_observation(sensors, sent_ns))
        if measure == "age":
            next_ns += WRITER_NS
            time.sleep(max(0, next_ns - now_ns()) / 1e9)
            continue
        try:
            if measure == "observation":
                side.line.recv(1)
                continue
            answered_ns, positions = decode_command(side.receive(incoming))
            applied[:] = positions
        except (TimeoutError, zmq.Again):
            side.lost += 1
            continue
        if answered_ns == sent_ns and number > WARM_UP:
            side.samples.append(now_ns() - sent_ns)
    side.line.sendall(b"e")


def controller(side, measure, transport, seconds):
    observations, commands = side.line.recv(1000).decode().split("\n")
    incoming = side.socket(zmq.SUB, 1, observations)
    incoming.setsockopt(zmq.SUBSCRIBE, b"observation")
    out = side.socket(zmq.PUSH, 5, commands)
    targets = np.zeros(JOINTS, np.float32)
    side.line.sendall(b"r")
    next_ns, number = now_ns(), 0
    while True:
        if measure == "age":
            next_ns += READER_NS
            time.sleep(max(0, next_ns - now_ns()) / 1e9)
            if side.ended():
                return
        try:
            sent_ns, _ = decode_observation(side.receive(incoming))
        except zmq.Again:
            if measure != "age" and side.ended():
                return
            continue
        read_ns = now_ns()
        number += 1
        if measure == "command":
            side.send(out, encode_command(targets, sent_ns))
            continue
        if number > WARM_UP:
            side.samples.append(read_ns - sent_ns)
        if measure == "observation":
            side.line.setblocking(True)
            side.line.sendall(b"a")


def main(measure, transport, copy, seconds):
    ours, theirs = socket.socketpair()
    arguments = (measure, transport, float(seconds))
    copy = copy == "1"
    if transport == "tcp":
        child = os.fork()  # Before there is a context.
        side = Side(zmq.Context(), theirs if child == 0 else ours, copy)
        (controller if child == 0 else robot)(side, *arguments)
        sides = [side]
    else:
        child = -1
        context = zmq.Context()
        sides = [Side(context, ours, copy), Side(context, theirs, copy)]
        thread = threading.Thread(target=controller, args=(sides[1], *arguments))
        thread.start()
        robot(sides[0], *arguments)
        thread.join()
    samples, lost = sum((s.samples for s in sides), []), sum(s.lost for s in sides)
    version = f"Python {sys.version.split()[0]}, pyzmq {zmq.__version__} (libzmq {zmq.zmq_version()}), numpy {np.__version__}"
    os.write(1, (json.dumps({"version": version, "lost": lost, "samples_ns": samples}) + "\n").encode())
    if child > 0:
        _, status = os.waitpid(child, 0)
        os._exit(os.waitstatus_to_exitcode(status))
    os._exit(0)  # Without waiting for what is not sent.


if __name__ == "__main__":
    main(*sys.argv[1:])
