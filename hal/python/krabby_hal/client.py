"""The controller's side of the hardware abstraction layer over TCP."""

from __future__ import annotations

import ipaddress
import os
import re
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from urllib.parse import urlsplit

import zmq
from dataclasses_json import DataClassJsonMixin

from .messages import FieldError, JointCommand, Observation
from .wire import MAX_FRAME_BYTES, FrameError, decode_observation, encode_joint_command

OBSERVATIONS = "tcp://127.0.0.1:6001"
"""Where a server on this machine publishes observations."""
COMMANDS = "tcp://127.0.0.1:6002"
"""Where a server on this machine takes commands."""

_SLICE_MS = 20  # Bounds how long the lock of a socket is held, and so how late a wait notices that the client is closed.
_Z85 = re.compile(rb"[0-9a-zA-Z.:+=^!/*?&<>()\[\]{}@%$#-]{40}")


class NoObservation(TimeoutError):
    """No new observation arrived in time."""


class NoSession(RuntimeError):
    """A command was to be sent before any observation told the server's session."""


class NoPeer(ConnectionError):
    """A command was not sent: no server is at the other end."""


class Closed(RuntimeError):
    """The client was closed."""


@dataclass(frozen=True)
class Keys:
    """The keys of an encrypted connection (CURVE), each of 40 characters in Z85."""

    server_public: str
    client_public: str
    client_secret: str = field(repr=False)

    @classmethod
    def load(cls, server: str | os.PathLike[str], client: str | os.PathLike[str]) -> Keys:
        """Reads the file of the server's public key, and that of the client's secret key, which only its owner may read.

        A file has a key and nothing else. The server must have been told the client's public key.
        """
        server_public = _read_key(server, 0o022)
        client_secret = _read_key(client, 0o077)
        return cls(server_public, zmq.curve_public(client_secret.encode()).decode(), client_secret)


def _read_key(path: str | os.PathLike[str], forbidden: int) -> str:
    with open(path, "rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & forbidden:
            raise ValueError(f"key {os.fspath(path)}: found mode {mode:04o}, expected {mode & ~forbidden:04o}: others could use or change it")
        content = file.read().removesuffix(b"\n")
    if not _Z85.fullmatch(content):
        raise ValueError(f"key {os.fspath(path)}: found {len(content)} bytes that are no key, expected 40 characters of Z85")
    return content.decode()


@dataclass
class Health(DataClassJsonMixin):
    """What a client knows of its connection, and its counters since it was made."""

    fresh: bool
    """Whether the last observation is young enough to act on."""
    age_s: float | None
    """Age of the last observation, s; None where there was none."""
    session_id: int
    """The server's session, 0 where it is not known yet."""
    observations: int
    """Observations that were read and valid."""
    skipped: int
    """Observations that the server published and newer ones replaced before they were read."""
    refused: dict[str, int]
    """The other observations by cause: the value of a Cause, ``invalid`` or ``old``."""
    sent: int
    """Commands that were sent."""
    unsent: int
    """Commands that could not be sent."""


class Client:
    """Reads the newest observation of one server and sends commands to it.

    The latest wins in both directions: nothing queues, neither here nor at the server. It may be used from several threads;
    each observation goes to one of them. ::

        with Client() as client:
            while True:
                observation = client.latest(timeout_s=1.0)
                if client.age_s(observation) < 0.1:
                    client.send(policy(observation), answers=observation)

    Ages are differences of CLOCK_MONOTONIC, which all processes of one machine share, in containers too. A server on another
    machine has another one: ``now_ns`` must then tell the server's, or it refuses all commands as stale or from the future.
    """

    def __init__(
        self,
        observations: str = OBSERVATIONS,
        commands: str = COMMANDS,
        *,
        joints: int | None = None,
        feet: int | None = None,
        validity_s: float = 0.1,
        max_age_s: float = 0.1,
        keys: Keys | None = None,
        insecure: bool = False,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Connects, without waiting for the server to be there.

        Args:
            observations: endpoint where the server publishes observations.
            commands: endpoint where the server takes commands.
            joints: number of joints that observations must have; by default any.
            feet: number of feet that observations must have; by default any.
            validity_s: how long after it was sent a command expires, s.
            max_age_s: up to which age Health calls an observation fresh, s.
            keys: encrypt and authenticate with these.
            insecure: allow an endpoint beyond this machine's loopback without keys.
            now_ns: the server's monotonic clock, ns.
        """
        for endpoint in observations, commands:
            if keys is None and not insecure and not _is_local(endpoint):
                raise ValueError(f"{endpoint}: found neither keys nor insecure, expected one of them beyond loopback")
        self._joints, self._feet = joints, feet
        self._validity_ns = round(validity_s * 1e9)
        self._max_age_s = max_age_s
        self._now_ns = now_ns
        self._closed = False
        self._reading, self._writing = threading.Lock(), threading.Lock()  # Of a socket and its counters.
        self._last: Observation | None = None
        self._observations = self._skipped = self._sent = self._unsent = 0
        self._refused: Counter[str] = Counter()
        self._refusal = ""  # The last one.
        self._context = zmq.Context()
        try:
            self._in = self._connect(zmq.SUB, observations, keys)
            self._out = self._connect(zmq.PUSH, commands, keys)
        except BaseException:
            self._context.destroy(linger=0)
            raise

    def _connect(self, kind: int, endpoint: str, keys: Keys | None) -> zmq.Socket[bytes]:
        socket = self._context.socket(kind)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.CONFLATE, 1)
        socket.setsockopt(zmq.IMMEDIATE, 1)  # A command for a server that is not there must not wait for it.
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_BYTES)
        for option in zmq.SNDBUF, zmq.RCVBUF:
            socket.setsockopt(option, 128 << 10)  # Little, so that what arrives after a stall is not long past.
        socket.setsockopt(zmq.HEARTBEAT_IVL, 1000)  # So that a connection to a machine that is gone is made anew.
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 3000)
        socket.setsockopt(zmq.RECONNECT_IVL, 20)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
        socket.setsockopt(zmq.HANDSHAKE_IVL, 5000)
        if keys is not None:
            socket.setsockopt(zmq.CURVE_SERVERKEY, keys.server_public.encode())
            socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.client_public.encode())
            socket.setsockopt(zmq.CURVE_SECRETKEY, keys.client_secret.encode())
        if kind == zmq.SUB:
            socket.setsockopt(zmq.SUBSCRIBE, b"")
        try:
            socket.connect(endpoint)
        except zmq.ZMQError as error:
            raise ValueError(f"{endpoint}: cannot connect: {error}") from error
        return socket

    def poll(self) -> Observation | None:
        """Returns the newest observation that was not read yet, or None. Does not wait.

        One that is refused is counted by its cause, and as if it had not come.
        """
        return self._read(0)

    def latest(self, timeout_s: float) -> Observation:
        """Returns the newest observation that was not read yet, and waits for one. Raises NoObservation after timeout_s."""
        deadline = time.monotonic() + timeout_s
        while True:
            left_ms = (deadline - time.monotonic()) * 1000
            observation = self._read(max(0, min(_SLICE_MS, round(left_ms))))
            if observation is not None:
                return observation
            if left_ms <= 0:
                refusal = f"; the last one that was refused: {self._refusal}" if self._refusal else ""
                raise NoObservation(f"no new observation within {timeout_s:g} s{refusal}")

    def _read(self, wait_ms: int) -> Observation | None:
        with self._reading:
            if self._closed:
                raise Closed("the client is closed")
            if not self._in.poll(wait_ms):
                return None
            try:
                # Without a copy: images stay where ZeroMQ received them.
                frame = self._in.recv(zmq.NOBLOCK, copy=False)
            except zmq.Again:  # libzmq may lose a frame that the next one replaces in the very instant of reading.
                return None
            try:
                observation = decode_observation(frame.buffer)
                observation.validate(self._joints, self._feet)
            except FrameError as error:
                self._refuse(error.cause.value, error)
                return None
            except FieldError as error:
                self._refuse("invalid", error)
                return None
            last = self._last
            if last is not None and observation.session_id == last.session_id:
                if observation.sequence == last.sequence:  # A server repeats what is newest, in case it was lost.
                    return None
                if observation.sequence < last.sequence:
                    self._refuse("old", f"observation {observation.sequence} after {last.sequence}")
                    return None
                self._skipped += observation.sequence - last.sequence - 1
            self._observations += 1
            self._last = observation
            return observation

    def _refuse(self, cause: str, why: object) -> None:
        self._refused[cause] += 1
        self._refusal = str(why)

    def age_s(self, observation: Observation | None = None) -> float:
        """Returns the age of an observation, or of the last one, now, s. Raises NoObservation where there was none."""
        observation = observation or self._last
        if observation is None:
            raise NoObservation("no observation yet")
        return (self._now_ns() - observation.monotonic_ns) / 1e9

    def send(self, command: JointCommand, answers: Observation | None = None, timeout_s: float = 0.0) -> None:
        """Sends a command, which answers an observation, by default the last one.

        Fills in the sequences, the session, the time and the expiry; the rest is the caller's. Waits up to timeout_s for a
        server to be connected.

        Raises:
            NoSession: no observation was read yet.
            NoPeer: no server is connected.
            FieldError: a value is not finite, a gain negative, or the number of joints not that of the observations.
        """
        deadline = time.monotonic() + timeout_s
        while not self._write(command, answers):
            if time.monotonic() >= deadline:
                with self._writing:
                    self._unsent += 1
                raise NoPeer(f"no server took the command within {timeout_s:g} s")
            time.sleep(min(0.001, timeout_s))

    def _write(self, command: JointCommand, answers: Observation | None) -> bool:
        with self._writing:
            if self._closed:
                raise Closed("the client is closed")
            last = answers or self._last
            try:
                if last is None:
                    raise NoSession("no observation yet, so no session to send a command to")
                command.validate(len(last.position_rad))
                command.sequence = self._sent + 1
                command.session_id = last.session_id
                command.observation_sequence = last.sequence
                command.monotonic_ns = self._now_ns()
                command.expires_ns = command.monotonic_ns + self._validity_ns
                frame = encode_joint_command(command)
            except (NoSession, ValueError):
                self._unsent += 1
                raise
            try:
                self._out.send(frame, zmq.NOBLOCK)
            except zmq.Again:
                return False
            self._sent += 1
            return True

    def health(self) -> Health:
        """Returns what is known of the connection now, and the counters."""
        last = self._last
        age_s = None if last is None else self.age_s(last)
        return Health(
            fresh=age_s is not None and age_s <= self._max_age_s,
            age_s=age_s,
            session_id=0 if last is None else last.session_id,
            observations=self._observations,
            skipped=self._skipped,
            refused=dict(self._refused),
            sent=self._sent,
            unsent=self._unsent,
        )

    def close(self) -> None:
        """Closes the client within 100 ms; a wait in another thread then raises Closed. May be called again."""
        self._closed = True
        with self._reading, self._writing:
            self._context.destroy(linger=0)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _is_local(endpoint: str) -> bool:
    if not endpoint.startswith("tcp://"):
        return True
    host = urlsplit(endpoint).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
