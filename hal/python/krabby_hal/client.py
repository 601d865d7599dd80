"""The controller's side of the hardware abstraction layer, over TCP."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

import zmq
from dataclasses_json import DataClassJsonMixin

from .clock import Clock, ClockEstimate, NoClock
from .connection import POLL_INTERVAL_MS, Closed, Keys, NoPeer, check_security, connect
from .control import Control
from .messages import ControlReply, FieldError, JointCommand, Observation
from .wire import MAX_FRAME_BYTES, FrameError, decode_observation, encode_joint_command

OBSERVATION_ENDPOINT = "tcp://127.0.0.1:6001"
"""Default endpoint of the observations of a server on this machine."""
COMMAND_ENDPOINT = "tcp://127.0.0.1:6002"
"""Default endpoint of the commands to a server on this machine."""

_OPTIONS = {
    zmq.CONFLATE: 1,
    zmq.SNDBUF: 128 << 10,  # Small, so that messages after a stall of the network are recent.
    zmq.RCVBUF: 128 << 10,
}


class NoObservation(TimeoutError):
    """No new observation arrived in time."""


class NoSession(RuntimeError):
    """The session of the server is not known, because no observation was read yet."""


@dataclass
class Health(DataClassJsonMixin):
    """State of a client's connection, and its counters since it was created."""

    fresh: bool
    """Whether the last observation is recent enough to act on."""
    age_s: float | None
    """Age of the last observation, s; None if there was none or the server's time is not known."""
    session_id: int
    """Session of the server; 0 if it is not known yet."""
    observations: int
    """Number of valid observations that were read."""
    skipped: int
    """Number of published observations that newer ones replaced before they were read."""
    rejected: dict[str, int]
    """Number of rejected observations by reason: the value of a RejectReason, ``invalid``, ``old`` or ``clock``."""
    sent: int
    """Number of sent commands."""
    unsent: int
    """Number of commands that could not be sent."""
    clock: ClockEstimate | None = None
    """Estimate of the server's clock; None if it is missing or too old, or without a control link."""


class Client:
    """Reads the newest observation of one server and sends commands to it.

    The latest message wins in both directions: there are no queues here or at the server. Threads may share a Client; each
    observation is delivered to one of them. ::

        with Client() as client:
            while True:
                observation = client.latest(timeout_s=1.0)
                if client.age_s(observation) < 0.1:
                    client.send(policy(observation), answers=observation)

    Ages are differences of CLOCK_MONOTONIC, which all processes of one machine share, including those in containers. A server on
    another machine has another clock, and rejects all commands as stale or from the future. With ``control``, a thread synchronizes
    with the server's clock. Until then, observations are rejected and commands are not sent.
    """

    def __init__(
        self,
        observations: str = OBSERVATION_ENDPOINT,
        commands: str = COMMAND_ENDPOINT,
        *,
        control: str | None = None,
        joints: int | None = None,
        feet: int | None = None,
        validity_s: float = 0.1,
        max_age_s: float = 0.1,
        keys: Keys | None = None,
        insecure: bool = False,
        now_ns: Callable[[], int] | None = None,
    ) -> None:
        """Connects, without waiting for the server.

        Args:
            observations: endpoint of the server's observations.
            commands: endpoint of the server's commands.
            control: endpoint of the server's control link. It is required for a server on another machine, and for ``state``,
                ``e_stop`` and ``reset``.
            joints: number of joints of observations; by default any.
            feet: number of feet of observations; by default any.
            validity_s: time after which a sent command expires, s.
            max_age_s: maximum age of an observation for ``Health.fresh``, s.
            keys: keys for encryption and authentication.
            insecure: allow an endpoint beyond this machine's loopback without keys.
            now_ns: the server's monotonic clock, ns; by default the clock of this machine, or the synchronized one with control.

        Raises:
            ValueError: an endpoint is invalid or requires keys, or both control and now_ns are given.
        """
        if control is not None and now_ns is not None:
            raise ValueError("found both control and now_ns, expected at most one of them")
        for endpoint in observations, commands:
            check_security(endpoint, keys, insecure)
        self._joints, self._feet = joints, feet
        self._validity_ns = round(validity_s * 1e9)
        self._max_age_s = max_age_s
        self._now_ns = now_ns or time.monotonic_ns
        self._closed = False
        self._read_lock, self._write_lock = threading.Lock(), threading.Lock()  # Each guards a socket and its counters.
        self._last: Observation | None = None
        self._observations = self._skipped = self._sent = self._unsent = 0
        self._rejected: Counter[str] = Counter()
        self._last_rejection = ""
        self._control: Control | None = None
        self._clock: Clock | None = None
        self._clock_control: Control | None = None  # A separate link, so that a stop does not wait for it.
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            self._in = connect(self._context, zmq.SUB, observations, keys, MAX_FRAME_BYTES, _OPTIONS)
            self._out = connect(self._context, zmq.PUSH, commands, keys, MAX_FRAME_BYTES, _OPTIONS)
            if control is not None:
                self._control = Control(control, keys=keys, insecure=insecure)
                self._clock_control = Control(control, keys=keys, insecure=insecure)
                self._clock = Clock(self._clock_control.exchange)
                self._clock.start()
        except BaseException:
            self.close()
            raise

    def poll(self) -> Observation | None:
        """Returns the newest unread observation, or None. Does not wait.

        Rejected observations are counted by reason.
        """
        return self._read(0)

    def latest(self, timeout_s: float) -> Observation:
        """Returns the newest unread observation, and waits for one.

        Raises:
            NoObservation: none arrived within timeout_s. The message contains the last rejection.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            left_ms = (deadline - time.monotonic()) * 1000
            observation = self._read(max(0, min(POLL_INTERVAL_MS, round(left_ms))))
            if observation is not None:
                return observation
            if left_ms <= 0:
                rejection = f"; last rejected: {self._last_rejection}" if self._last_rejection else ""
                raise NoObservation(f"no new observation within {timeout_s:g} s{rejection}")

    def _read(self, wait_ms: int) -> Observation | None:
        with self._read_lock:
            if self._closed:
                raise Closed("the client is closed")
            if not self._in.poll(wait_ms):
                return None
            try:
                # Without a copy: images stay in the memory of ZeroMQ.
                frame = self._in.recv(zmq.NOBLOCK, copy=False)
            except zmq.Again:  # libzmq may lose a frame that another one replaces while it is read.
                return None
            try:
                observation = decode_observation(frame.buffer)
                observation.validate(self._joints, self._feet)
            except FrameError as error:
                self._reject(error.reason.value, error)
                return None
            except FieldError as error:
                self._reject("invalid", error)
                return None
            return observation if self._accept(observation) else None

    def _accept(self, observation: Observation) -> bool:
        """Records a valid observation, and returns whether it is new. The caller holds the lock."""
        last = self._last
        same_session = last is not None and observation.session_id == last.session_id
        if last is not None and same_session:
            if observation.sequence == last.sequence:  # The server repeats the newest observation, in case it was lost.
                return False
            if observation.sequence < last.sequence:
                self._reject("old", f"observation {observation.sequence} after {last.sequence}")
                return False
        try:
            self._time_ns(observation.session_id)
        except NoClock as error:
            self._reject("clock", error)
            return False
        if last is not None and same_session:
            self._skipped += observation.sequence - last.sequence - 1
        self._observations += 1
        self._last = observation
        return True

    def _reject(self, reason: str, detail: object) -> None:
        self._rejected[reason] += 1
        self._last_rejection = str(detail)

    def _time_ns(self, session_id: int) -> int:
        """Returns the time of the server of a session, ns. Raises NoClock."""
        return self._now_ns() if self._clock is None else self._clock.now_ns(session_id)

    def age_s(self, observation: Observation | None = None) -> float:
        """Returns the current age of an observation, by default of the last one, s.

        Raises:
            NoObservation: no observation was read yet.
            NoClock: with a control link, the server's time is not known, or the observation is of another session.
        """
        observation = observation or self._last
        if observation is None:
            raise NoObservation("no observation yet")
        return (self._time_ns(observation.session_id) - observation.monotonic_ns) / 1e9

    def send(self, command: JointCommand, answers: Observation | None = None, timeout_s: float = 0.0) -> None:
        """Sends a command. Sets its sequences, its session, its time and its expiry.

        Args:
            command: the command.
            answers: observation that the command answers; by default the last one.
            timeout_s: maximum time to wait for a connection to the server, s.

        Raises:
            NoSession: no observation was read yet.
            NoClock: with a control link, the server's time is not known, or the answered observation is of another session.
            NoPeer: no server is connected.
            FieldError: a value is not finite, a gain is negative, or the number of joints differs from that of the observation.
        """
        deadline = time.monotonic() + timeout_s
        while not self._write(command, answers):
            if time.monotonic() >= deadline:
                with self._write_lock:
                    self._unsent += 1
                raise NoPeer(f"no server received the command within {timeout_s:g} s")
            time.sleep(min(0.001, timeout_s))

    def _write(self, command: JointCommand, answers: Observation | None) -> bool:
        """Sends a command, and returns whether a server is connected."""
        with self._write_lock:
            if self._closed:
                raise Closed("the client is closed")
            answered = answers or self._last
            try:
                if answered is None:
                    raise NoSession("unknown session: no observation was read yet")
                command.validate(len(answered.position_rad))
                command.sequence = self._sent + 1
                command.session_id = answered.session_id
                command.observation_sequence = answered.sequence
                command.monotonic_ns = self._time_ns(answered.session_id)
                command.expires_ns = command.monotonic_ns + self._validity_ns
                frame = encode_joint_command(command)
            except (NoClock, NoSession, ValueError):
                self._unsent += 1
                raise
            try:
                self._out.send(frame, zmq.NOBLOCK)
            except zmq.Again:
                return False
            self._sent += 1
            return True

    def health(self) -> Health:
        """Returns the state of the connection, and the counters."""
        last = self._last
        age_s: float | None = None
        clock: ClockEstimate | None = None
        try:
            if self._clock is not None:
                clock = self._clock.estimate()
            if last is not None:
                age_s = self.age_s(last)
        except NoClock:
            pass
        return Health(
            fresh=age_s is not None and age_s <= self._max_age_s,
            age_s=age_s,
            session_id=0 if last is None else last.session_id,
            observations=self._observations,
            skipped=self._skipped,
            rejected=dict(self._rejected),
            sent=self._sent,
            unsent=self._unsent,
            clock=clock,
        )

    def state(self, timeout_s: float = 5.0) -> ControlReply:
        """Returns the session of the server and the state of its safety gate. Requires control; raises as ``Control.state``."""
        return self._control_link().state(timeout_s)

    def e_stop(self, timeout_s: float = 5.0) -> ControlReply:
        """Stops the robot: its joints are damped until a reset. Requires control; raises as ``Control.e_stop``.

        After an error, the robot may be stopped or not. Use its hardware switch.
        """
        return self._control_link().e_stop(timeout_s)

    def reset(self, timeout_s: float = 5.0) -> ControlReply:
        """Ends a stop. Raises Rejected while a fault is active. Requires control; raises as ``Control.reset``."""
        return self._control_link().reset(timeout_s)

    def _control_link(self) -> Control:
        if self._control is None:
            raise ValueError("no control link: create the client with control=")
        return self._control

    def close(self) -> None:
        """Closes the client within 100 ms. A wait in another thread then raises Closed. May be called again."""
        self._closed = True
        for control in self._clock_control, self._control:
            if control is not None:
                control.close()
        if self._clock is not None:
            self._clock.stop()
        with self._read_lock, self._write_lock:
            self._context.destroy(linger=0)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
