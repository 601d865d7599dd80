"""The controller's side of the hardware abstraction layer over TCP."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

import zmq
from dataclasses_json import DataClassJsonMixin

from .connection import SLICE_MS, Closed, Keys, NoPeer, check, connect
from .control import Clock, Control, Estimate, NoClock
from .messages import ControlReply, FieldError, JointCommand, Observation
from .wire import MAX_FRAME_BYTES, FrameError, decode_observation, encode_joint_command

OBSERVATIONS = "tcp://127.0.0.1:6001"
"""Where a server on this machine publishes observations."""
COMMANDS = "tcp://127.0.0.1:6002"
"""Where a server on this machine takes commands."""


class NoObservation(TimeoutError):
    """No new observation arrived in time."""


class NoSession(RuntimeError):
    """A command was to be sent before any observation told the server's session."""


@dataclass
class Health(DataClassJsonMixin):
    """What a client knows of its connection, and its counters since it was made."""

    fresh: bool
    """Whether the last observation is young enough to act on."""
    age_s: float | None
    """Age of the last observation, s; None where there was none, or where the server's time is not known."""
    session_id: int
    """The server's session, 0 where it is not known yet."""
    observations: int
    """Observations that were read and valid."""
    skipped: int
    """Observations that the server published and newer ones replaced before they were read."""
    refused: dict[str, int]
    """The other observations by cause: the value of a Cause, ``invalid``, ``old`` or ``clock``."""
    sent: int
    """Commands that were sent."""
    unsent: int
    """Commands that could not be sent."""
    clock: Estimate | None = None
    """What is known of the server's clock; None where that is too little, or without a control link."""


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
    machine has another one, and would refuse all commands as stale or from the future. With ``control`` the client asks the
    server for its time, again and again in a thread; while that is not known, observations are refused and no command is sent.
    """

    def __init__(
        self,
        observations: str = OBSERVATIONS,
        commands: str = COMMANDS,
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
        """Connects, without waiting for the server to be there.

        Args:
            observations: endpoint where the server publishes observations.
            commands: endpoint where the server takes commands.
            control: endpoint where the server answers requests; needed for a server on another machine, and for ``state``,
                ``e_stop`` and ``reset``.
            joints: number of joints that observations must have; by default any.
            feet: number of feet that observations must have; by default any.
            validity_s: how long after it was sent a command expires, s.
            max_age_s: up to which age Health calls an observation fresh, s.
            keys: encrypt and authenticate with these.
            insecure: allow an endpoint beyond this machine's loopback without keys.
            now_ns: the server's monotonic clock, ns; by default what control tells, or without it this machine's.
        """
        if control is not None and now_ns is not None:
            raise ValueError("found both control and now_ns, expected one of them to tell the server's time")
        for endpoint in observations, commands:
            check(endpoint, keys, insecure)
        self._joints, self._feet = joints, feet
        self._validity_ns = round(validity_s * 1e9)
        self._max_age_s = max_age_s
        self._now_ns = now_ns or time.monotonic_ns
        self._closed = False
        self._reading, self._writing = threading.Lock(), threading.Lock()  # Of a socket and its counters.
        self._last: Observation | None = None
        self._observations = self._skipped = self._sent = self._unsent = 0
        self._refused: Counter[str] = Counter()
        self._refusal = ""  # The last one.
        self._control: Control | None = None
        self._clock: Clock | None = None
        self._clock_control: Control | None = None  # Of its own, so that no stop waits for it.
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        options = {
            zmq.CONFLATE: 1,
            zmq.SNDBUF: 128 << 10,  # Little, so that what arrives after a stall is not long past.
            zmq.RCVBUF: 128 << 10,
        }
        try:
            self._in = connect(self._context, zmq.SUB, observations, keys, MAX_FRAME_BYTES, options)
            self._out = connect(self._context, zmq.PUSH, commands, keys, MAX_FRAME_BYTES, options)
            if control is not None:
                self._control = Control(control, keys=keys, insecure=insecure)
                self._clock_control = Control(control, keys=keys, insecure=insecure)
                self._clock = Clock(self._clock_control.exchange)
                self._clock.start()
        except BaseException:
            self.close()
            raise

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
            observation = self._read(max(0, min(SLICE_MS, round(left_ms))))
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
            try:
                self._time_ns(observation.session_id)
            except NoClock as error:
                self._refuse("clock", error)
                return None
            if last is not None and observation.session_id == last.session_id:
                self._skipped += observation.sequence - last.sequence - 1
            self._observations += 1
            self._last = observation
            return observation

    def _refuse(self, cause: str, why: object) -> None:
        self._refused[cause] += 1
        self._refusal = str(why)

    def _time_ns(self, session_id: int) -> int:
        """Returns the time of a server's life, ns, or raises NoClock."""
        return self._now_ns() if self._clock is None else self._clock.now_ns(session_id)

    def age_s(self, observation: Observation | None = None) -> float:
        """Returns the age of an observation, or of the last one, now, s.

        Raises:
            NoObservation: there was none.
            NoClock: with a control link, the server's time is not known, or the observation of another life of the server.
        """
        observation = observation or self._last
        if observation is None:
            raise NoObservation("no observation yet")
        return (self._time_ns(observation.session_id) - observation.monotonic_ns) / 1e9

    def send(self, command: JointCommand, answers: Observation | None = None, timeout_s: float = 0.0) -> None:
        """Sends a command, which answers an observation, by default the last one.

        Fills in the sequences, the session, the time and the expiry; the rest is the caller's. Waits up to timeout_s for a
        server to be connected.

        Raises:
            NoSession: no observation was read yet.
            NoClock: with a control link, the server's time is not known, or what is answered of another life of the server.
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
                command.monotonic_ns = self._time_ns(last.session_id)
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
        """Returns what is known of the connection now, and the counters."""
        last = self._last
        age_s: float | None = None
        clock: Estimate | None = None
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
            refused=dict(self._refused),
            sent=self._sent,
            unsent=self._unsent,
            clock=clock,
        )

    def state(self, timeout_s: float = 5.0) -> ControlReply:
        """Returns the server's session and the state of its safety gate. Needs a control link; raises as ``Control.state``."""
        return self._link().state(timeout_s)

    def e_stop(self, timeout_s: float = 5.0) -> ControlReply:
        """Stops the robot: its joints are damped until a reset. Needs a control link; raises as ``Control.e_stop``.

        After an error nobody knows whether it is stopped: use the robot's own switch.
        """
        return self._link().e_stop(timeout_s)

    def reset(self, timeout_s: float = 5.0) -> ControlReply:
        """Ends a stop; raises Refused while a fault lasts. Needs a control link; raises as ``Control.reset``."""
        return self._link().reset(timeout_s)

    def _link(self) -> Control:
        if self._control is None:
            raise ValueError("found no control link, expected the client to be made with one: control=")
        return self._control

    def close(self) -> None:
        """Closes the client within 100 ms; a wait in another thread then raises Closed. May be called again."""
        self._closed = True
        for control in self._clock_control, self._control:
            if control is not None:
                control.close()
        if self._clock is not None:
            self._clock.stop()
        with self._reading, self._writing:
            self._context.destroy(linger=0)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
