"""Measures version 1 of the wire format with pyzmq, json and numpy, as the peer of the hardware abstraction layer.

    peer.py MEASURE TRANSPORT COPY SECONDS

MEASURE is observation, age or command. TRANSPORT is inproc (two threads) or tcp (two processes). With COPY=1 pyzmq copies sent
and received messages, with COPY=0 it lends its memory. Each process writes its samples in ns as one line of JSON.
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
# The reader's period is not quite a multiple of the writer's, so that reads happen at all phases of the writer.
WRITER_NS, READER_NS = 10_000_000, 50_300_000
# Pause between two messages: a publisher with a queue of one loses a message that follows within a millisecond.
PAUSE_S = 0.002
# A message counts as lost after this time.
LOST_S = 1.0


def arrays():
    """Sensor data of one observation."""
    random = np.random.default_rng(1)
    return {
        "joint_positions": random.random(JOINTS, np.float32),
        "rgb_camera_1": random.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8),
        "rgb_camera_2": random.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8),
        "depth_map": random.random((HEIGHT, WIDTH), np.float32),
        "confidence_map": random.random((HEIGHT, WIDTH), np.float32),
    }


def now_ns():
    """The clock of both endpoints. The wire format uses the wall clock, which may be set during a run."""
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
        raise ValueError(f"found {len(frames)} frames, expected an observation of 8 frames and version 1.0")
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
        raise ValueError(f"found {len(frames)} frames, expected a command of 2 frames")
    metadata = json.loads(bytes(frames[0]))
    positions = decode_array(metadata["joint_positions"], frames[1])
    if not np.isfinite(positions).all():
        raise ValueError("the command has a value that is not finite")
    return metadata["observation_timestamp_ns"], positions


class Endpoint:
    """One end: its ZeroMQ sockets, and a socket to the other end for synchronization, which is not measured."""

    def __init__(self, context, control, copy):
        self.context, self.control, self.copy = context, control, copy
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
        self.control.setblocking(False)
        try:
            self.control.recv(1)
            return True
        except BlockingIOError:
            return False


def robot(end, measure, transport, seconds):
    sensors = arrays()
    out = end.socket(zmq.PUB, 1, transport=transport)
    incoming = end.socket(zmq.PULL, 5, transport=transport)
    end.control.sendall("\n".join([out.getsockopt_string(zmq.LAST_ENDPOINT), incoming.getsockopt_string(zmq.LAST_ENDPOINT)]).encode())
    end.control.recv(1)
    time.sleep(0.3)  # Until the subscription has arrived.
    applied = np.zeros(JOINTS, np.float32)
    start = next_ns = now_ns()
    number = 0
    end.control.settimeout(LOST_S)
    while now_ns() < start + seconds * 1e9:
        number += 1
        if measure != "age":
            time.sleep(PAUSE_S)
        sent_ns = now_ns()
        end.send(out, encode_observation(sensors, sent_ns))
        if measure == "age":
            next_ns += WRITER_NS
            time.sleep(max(0, next_ns - now_ns()) / 1e9)
            continue
        try:
            if measure == "observation":
                end.control.recv(1)
                continue
            answered_ns, positions = decode_command(end.receive(incoming))
            applied[:] = positions
        except (TimeoutError, zmq.Again):
            end.lost += 1
            continue
        if answered_ns == sent_ns and number > WARM_UP:
            end.samples.append(now_ns() - sent_ns)
    end.control.sendall(b"e")


def controller(end, measure, transport, seconds):
    observations, commands = end.control.recv(1000).decode().split("\n")
    incoming = end.socket(zmq.SUB, 1, observations)
    incoming.setsockopt(zmq.SUBSCRIBE, b"observation")
    out = end.socket(zmq.PUSH, 5, commands)
    targets = np.zeros(JOINTS, np.float32)
    end.control.sendall(b"r")
    next_ns, number = now_ns(), 0
    while True:
        if measure == "age":
            next_ns += READER_NS
            time.sleep(max(0, next_ns - now_ns()) / 1e9)
            if end.ended():
                return
        try:
            sent_ns, _ = decode_observation(end.receive(incoming))
        except zmq.Again:
            if measure != "age" and end.ended():
                return
            continue
        read_ns = now_ns()
        number += 1
        if measure == "command":
            end.send(out, encode_command(targets, sent_ns))
            continue
        if number > WARM_UP:
            end.samples.append(read_ns - sent_ns)
        if measure == "observation":
            end.control.setblocking(True)
            end.control.sendall(b"a")


def main(measure, transport, copy, seconds):
    ours, theirs = socket.socketpair()
    arguments = (measure, transport, float(seconds))
    copy = copy == "1"
    if transport == "tcp":
        child = os.fork()  # Before a context exists.
        end = Endpoint(zmq.Context(), theirs if child == 0 else ours, copy)
        (controller if child == 0 else robot)(end, *arguments)
        ends = [end]
    else:
        child = -1
        context = zmq.Context()
        ends = [Endpoint(context, ours, copy), Endpoint(context, theirs, copy)]
        thread = threading.Thread(target=controller, args=(ends[1], *arguments))
        thread.start()
        robot(ends[0], *arguments)
        thread.join()
    samples, lost = sum((e.samples for e in ends), []), sum(e.lost for e in ends)
    version = f"Python {sys.version.split()[0]}, pyzmq {zmq.__version__} (libzmq {zmq.zmq_version()}), numpy {np.__version__}"
    os.write(1, (json.dumps({"version": version, "lost": lost, "samples_ns": samples}) + "\n").encode())
    if child > 0:
        _, status = os.waitpid(child, 0)
        os._exit(os.waitstatus_to_exitcode(status))
    os._exit(0)  # Do not wait for unsent messages.


if __name__ == "__main__":
    main(*sys.argv[1:])
