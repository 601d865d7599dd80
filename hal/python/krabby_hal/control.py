"""The control link to a server: its state, a stop and a reset, and its time for a client on another machine."""

from __future__ import annotations

import math
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import NamedTuple

import zmq
from dataclasses_json import DataClassJsonMixin

from .connection import SLICE_MS, Closed, Keys, NoPeer, check, connect
from .messages import ControlReply, ControlRequest, ControlStatus, Operation
from .wire import Cause, FrameError, decode_control_reply, encode_control_request

CONTROL = "tcp://127.0.0.1:6003"
"""Where a server on this machine answers requests, if it was told to."""

_MAX_REPLY_BYTES = 4096
_ATTEMPT_S = 0.25  # How long a request waits for its reply before it is made again.
_RESET_VALIDITY_NS = 1_000_000_000  # How long a reset may be on its way.

_EXCHANGES = 8  # How many requests an estimate of the time is made of.
_EVERY_S, _RETRY_S, _LEAST_S = 2.0, 0.1, 0.02  # Between estimates, after one that failed, and the least.
_DRIFT_PER_NS = 100e-6  # How much two clocks may drift apart: 50 ppm each is as bad as the crystals of computers are.
_MAX_DRIFT_NS = 1_000_000  # How far they may have drifted apart for an estimate to count: the tolerance of the server's gate.
_MAX_ROUND_TRIP_NS = 50_000_000  # Times could be wrong by half of it.


class NoReply(TimeoutError):
    """A request was sent and not answered in time. Whether the server did what it asks for is not known."""


class NoClock(RuntimeError):
    """The server's time is not known, so that neither an age can be told nor a command be stamped."""


class Refused(RuntimeError):
    """The server answered, and did not do what it was asked for."""

    def __init__(self, reply: ControlReply) -> None:
        if reply.status == ControlStatus.FAULT_LASTS:
            why = f"stopped by {reply.stopped_by}, and {reply.fault} lasts: {reply.reason}"
        elif reply.status == ControlStatus.UNKNOWN_OPERATION:
            why = "the server does not know the operation"
        elif reply.status == ControlStatus.OTHER_SESSION:
            why = "the server was started again meanwhile"
        elif reply.status == ControlStatus.EXPIRED:
            why = "it took too long on its way"
        else:
            why = f"status {reply.status}"
        super().__init__(f"refused: {why}")
        self.reply = reply
        """All that the server said."""


class Exchange(NamedTuple):
    """A reply, and when the request was sent and the reply received, in ns of the local clock."""

    reply: ControlReply
    sent_ns: int
    received_ns: int


class Control:
    """Asks one server for its state, for a stop and for a reset.

    Each call asks again while nobody answers, until its time is over. It may be used from several threads: one asks after
    the other, so a stop may have to wait for another request, 0.25 s where the server does not answer. ::

        with Control("tcp://robot:6003", keys=Keys.load("robot.pub", "me")) as control:
            control.e_stop()
    """

    def __init__(self, endpoint: str = CONTROL, *, keys: Keys | None = None, insecure: bool = False) -> None:
        """Connects, without waiting for the server to be there.

        Args:
            endpoint: where the server answers requests. ValueError where it is none.
            keys: encrypt and authenticate with these.
            insecure: allow an endpoint beyond this machine's loopback without keys.
        """
        check(endpoint, keys, insecure)
        self._endpoint = endpoint
        self._closed = False
        self._asking = threading.Lock()  # Of the socket and the sequence.
        self._sequence = 0
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            # As many as a server keeps for a client, in each direction.
            self._socket = connect(self._context, zmq.DEALER, endpoint, keys, _MAX_REPLY_BYTES, {zmq.SNDHWM: 4, zmq.RCVHWM: 4})
        except BaseException:
            self._context.destroy(linger=0)
            raise

    def state(self, timeout_s: float = 5.0) -> ControlReply:
        """Returns the server's session and the state of its safety gate.

        Raises:
            NoReply: the request was sent and not answered within timeout_s.
            NoPeer: no server was there within timeout_s.
            Refused: the server does not know this request.
            FrameError: what answered is no server of this version.
            Closed: this was closed.
        """
        return self._ask(Operation.CLOCK, time.monotonic() + timeout_s)

    def e_stop(self, timeout_s: float = 5.0) -> ControlReply:
        """Stops the robot: its joints are damped until a reset. Raises as ``state``.

        After an error nobody knows whether it is stopped: use the robot's own switch.
        """
        return self._ask(Operation.E_STOP, time.monotonic() + timeout_s)

    def reset(self, timeout_s: float = 5.0) -> ControlReply:
        """Ends a stop. The joints stay damped until the next good command, which a policy that still runs sends at once.

        Raises as ``state``, and Refused while a fault lasts: its ``reply.fault`` and ``reply.reason`` say which. After another
        error nobody knows whether the robot is still stopped.
        """
        deadline = time.monotonic() + timeout_s
        # Only a reset for this life of the server and of about now counts, so that none ends a stop that comes after it.
        now = self._ask(Operation.CLOCK, deadline)
        return self._ask(Operation.RESET, deadline, now.session_id, now.sent_ns + _RESET_VALIDITY_NS)

    def _ask(self, operation: Operation, deadline: float, session_id: int = 0, expires_ns: int = 0) -> ControlReply:
        """Asks again and again: all operations may be done twice."""
        unanswered: NoReply | None = None
        while True:
            try:
                reply = self._once(ControlRequest(operation, session_id=session_id, expires_ns=expires_ns), deadline).reply
            except NoReply as error:
                unanswered = error  # It may have been done, whatever comes of the next attempt.
                if time.monotonic() >= deadline:
                    raise
            except NoPeer:
                if time.monotonic() >= deadline:
                    if unanswered is not None:
                        raise unanswered from None
                    raise
            else:
                if reply.status != ControlStatus.DONE:
                    raise Refused(reply)
                return reply

    def exchange(self) -> Exchange:
        """Asks once for what every reply says, and tells when it did. Raises as ``state``, NoReply and NoPeer after 0.25 s."""
        return self._once(ControlRequest(Operation.CLOCK), math.inf)

    def _once(self, request: ControlRequest, deadline: float) -> Exchange:
        if not self._asking.acquire(timeout=-1 if deadline == math.inf else max(0.0, deadline - time.monotonic())):
            raise NoPeer(f"{self._endpoint}: the request was not sent: others took all of its time")
        try:
            deadline = min(deadline, time.monotonic() + _ATTEMPT_S)
            self._sequence += 1
            request.sequence, request.monotonic_ns = self._sequence, time.monotonic_ns()
            frame = encode_control_request(request)
            # An envelope tells the replies to earlier requests apart, as ZMQ_REQ_CORRELATE does.
            id = struct.pack("<I", self._sequence & 0xFFFFFFFF)
            if not self._wait(zmq.POLLOUT, deadline):
                raise NoPeer(f"{self._endpoint}: the request was not sent: no server is there")
            try:
                self._socket.send(id, zmq.NOBLOCK | zmq.SNDMORE)
                self._socket.send(b"", zmq.NOBLOCK | zmq.SNDMORE)
                # The message goes with its last part. Another thread may hold up Python before each call, but the time that
                # the way there seems to take must not have that in it: commands would seem to be of the future.
                sent_ns = time.monotonic_ns()
                self._socket.send(frame, zmq.NOBLOCK)
            except zmq.Again:
                raise NoPeer(f"{self._endpoint}: the request was not sent: the server is gone") from None
            while self._wait(zmq.POLLIN, deadline):
                received_ns = time.monotonic_ns()
                parts = self._socket.recv_multipart(zmq.NOBLOCK)
                if len(parts) == 3 and parts[0] == id and not parts[1]:
                    break  # Others answer an earlier request, or are none.
            else:
                raise NoReply(f"{self._endpoint}: no reply to a request to {Operation(request.operation).name} in time")
        finally:
            self._asking.release()
        reply = decode_control_reply(parts[2])
        if reply.sequence != request.sequence:
            raise FrameError(Cause.VALUE, f"found the reply to request {reply.sequence}, expected that to {request.sequence}")
        return Exchange(reply, sent_ns, received_ns)

    def _wait(self, event: int, deadline: float) -> bool:
        """Says whether the socket is ready before a deadline. The caller holds the lock."""
        while True:
            if self._closed:
                raise Closed("the client is closed")
            left_ms = (deadline - time.monotonic()) * 1000
            if self._socket.poll(max(0, min(SLICE_MS, math.ceil(left_ms))), event):
                return True
            if left_ms <= 0:
                return False

    def close(self) -> None:
        """Closes the link within 100 ms; a call in another thread then raises Closed. May be called again."""
        self._closed = True
        with self._asking:
            self._context.destroy(linger=0)

    def __enter__(self) -> Control:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


@dataclass(frozen=True)
class Estimate(DataClassJsonMixin):
    """What is known of a server's clock."""

    session_id: int
    """The life of the server that it is of."""
    offset_ns: int
    """What the server's clock shows more than the local one, ns."""
    round_trip_ns: int
    """How long the exchange took that it is from, ns."""
    age_ns: int
    """How long ago that was, ns."""
    bound_ns: int
    """How far the server's time may be from what is taken for it, ns: half the round trip, and the drift since."""
    jumps: int
    """Counts estimates of one session that contradicted the one before: one of the clocks stood still or jumped."""


class Clock:
    """Tells the time of a server on another machine.

    It asks for it 8 times in a row, sent at t1 and answered at t4 by the local clock, received at t2 and sent back at t3 by
    the server's, and believes the exchange with the least round trip (t4 - t1) - (t3 - t2). The server's clock is then ahead
    by ((t2 - t1) + (t3 - t4)) / 2, give or take half the round trip.

    An estimate holds for one session, and until the clocks may have drifted apart by 1 ms, which is 10 s. A thread makes a new
    one every 2 s, and at once where it is missed. Within a session the time does not go back, unless a clock jumped. It may be
    used from several threads.
    """

    def __init__(self, exchange: Callable[[], Exchange], local_ns: Callable[[], int] = time.monotonic_ns) -> None:
        """Knows nothing before ``synchronise`` or ``start``.

        Args:
            exchange: asks the server once, as ``Control.exchange``.
            local_ns: the clock by which exchange tells when it did, ns.
        """
        self._exchange, self._local_ns = exchange, local_ns
        self._rounds = threading.Lock()  # Held by synchronise.
        self._lock = threading.Lock()  # Of the rest.
        self._known: Estimate | None = None  # Without age and bound.
        self._at_ns = 0  # When it was made, by the local clock.
        self._told_ns: int | None = None  # What was told last, in its session.
        self._failure = "no estimate was made yet"
        self._missed, self._stopped = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="krabby_hal clock", daemon=True)

    def start(self) -> None:
        """Makes estimates in a thread from now on, until ``stop``. To be called once."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; returns at the end of the exchange that it is in. May be called again."""
        self._stopped.set()
        self._missed.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            wait_s = _EVERY_S
            try:
                self.synchronise()
            except Closed:
                return
            except NoClock:
                wait_s = _RETRY_S
            self._stopped.wait(_LEAST_S)  # Those who miss it do so at a high rate.
            self._missed.wait(wait_s - _LEAST_S)
            self._missed.clear()

    def synchronise(self) -> None:
        """Makes an estimate now.

        Raises NoClock where that fails; what was known before then holds for as long as it does, unless the server was started
        again.
        """
        with self._rounds:
            try:
                self._synchronise()
            except NoClock as error:
                with self._lock:
                    self._failure = str(error)
                raise NoClock(f"the server's time is not known: {error}") from error

    def _synchronise(self) -> None:
        best: Estimate | None = None
        best_ns = 0
        for _ in range(_EXCHANGES):
            try:
                reply, sent_ns, received_ns = self._exchange()
            except (NoPeer, NoReply, FrameError) as error:
                raise NoClock(str(error)) from error
            self._keep_only(reply.session_id)
            if best is not None and best.session_id != reply.session_id:
                best = None  # It was started again in between.
            round_trip_ns = (received_ns - sent_ns) - (reply.sent_ns - reply.received_ns)
            if reply.status != ControlStatus.DONE or reply.sent_ns < reply.received_ns or round_trip_ns < 0:
                continue  # The server took longer than it took: one of the clocks jumped.
            if best is None or round_trip_ns < best.round_trip_ns:
                offset_ns = reply.received_ns - sent_ns - round_trip_ns // 2
                best = Estimate(reply.session_id, offset_ns, round_trip_ns, age_ns=0, bound_ns=0, jumps=0)
                best_ns = received_ns
        if best is None:
            raise NoClock(f"found no exchange that makes sense among {_EXCHANGES}")
        if best.round_trip_ns > _MAX_ROUND_TRIP_NS:
            raise NoClock(
                f"found a round trip of {best.round_trip_ns / 1e6:.1f} ms in the best of {_EXCHANGES} exchanges, "
                f"expected at most {_MAX_ROUND_TRIP_NS / 1e6:.0f} ms"
            )
        self._set(best, best_ns)

    def _keep_only(self, session_id: int) -> None:
        """Forgets an estimate of another session."""
        with self._lock:
            if self._known is not None and self._known.session_id != session_id:
                self._known, self._told_ns = None, None
                self._failure = "the server was started again"

    def _set(self, estimate: Estimate, at_ns: int) -> None:
        with self._lock:
            before = self._known  # Of the same session.
            if before is not None:
                jumps = before.jumps
                apart_ns = abs(estimate.offset_ns - before.offset_ns)
                if apart_ns > _bound_ns(estimate.round_trip_ns, 0) + _bound_ns(before.round_trip_ns, at_ns - self._at_ns):
                    jumps, self._told_ns = jumps + 1, None
                estimate = replace(estimate, jumps=jumps)
            self._known, self._at_ns = estimate, at_ns

    def estimate(self) -> Estimate:
        """Returns what is known. Raises NoClock where that is not enough to tell the time."""
        with self._lock:
            return self._estimate(self._local_ns())

    def _estimate(self, local_ns: int) -> Estimate:
        known = self._known
        if known is None:
            raise NoClock(f"the server's time is not known: {self._failure}")
        age_ns = max(local_ns - self._at_ns, 0)
        if _drift_ns(age_ns) > _MAX_DRIFT_NS:
            raise NoClock(
                f"the server's time is not known: the last estimate was made {age_ns / 1e9:.3f} s ago, in which clocks may drift "
                f"apart by more than {_MAX_DRIFT_NS / 1e6:g} ms"
            )
        return replace(known, age_ns=age_ns, bound_ns=_bound_ns(known.round_trip_ns, age_ns))

    def now_ns(self, session_id: int) -> int:
        """Returns what the server's clock shows, ns, if it is that of a session.

        Raises NoClock where it is not known, or of another session; a new estimate is then made at once.
        """
        with self._lock:
            try:
                local_ns = self._local_ns()
                estimate = self._estimate(local_ns)
                if estimate.session_id != session_id:
                    raise NoClock(
                        f"the server's time is not known: found a message of session {session_id}, expected {estimate.session_id}"
                    )
            except NoClock:
                self._missed.set()
                raise
            now_ns = local_ns + estimate.offset_ns
            self._told_ns = now_ns if self._told_ns is None else max(self._told_ns, now_ns)
            return self._told_ns


def _drift_ns(age_ns: int) -> int:
    return int(age_ns * _DRIFT_PER_NS)


def _bound_ns(round_trip_ns: int, age_ns: int) -> int:
    """How far an estimate of so long ago may be off."""
    return (round_trip_ns + 1) // 2 + _drift_ns(age_ns)
