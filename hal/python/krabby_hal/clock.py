"""The time of a server on another machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from dataclasses_json import DataClassJsonMixin

from .connection import Closed, NoPeer
from .control import Exchange, NoReply
from .messages import ControlStatus
from .wire import FrameError

_EXCHANGES = 8  # Number of requests for an estimate.
_INTERVAL_S, _RETRY_S, _MIN_INTERVAL_S = 2.0, 0.1, 0.02  # Between estimates, after a failed one, and the minimum.
_DRIFT_PER_NS = 100e-6  # Maximum drift between two clocks: 50 ppm each, as for the worst crystals of computers.
_MAX_DRIFT_NS = 1_000_000  # Drift after which an estimate is invalid: the clock tolerance of the server's safety gate.
_MAX_ROUND_TRIP_NS = 50_000_000  # Maximum round trip of an estimate. The error is at most half of it.


class NoClock(RuntimeError):
    """The server's time is not known. It is needed for the age of an observation and the stamp of a command."""


@dataclass(frozen=True)
class ClockEstimate(DataClassJsonMixin):
    """Estimate of a server's clock."""

    session_id: int
    """Session of the server."""
    offset_ns: int
    """The server's time minus the local time, ns."""
    round_trip_ns: int
    """Round trip time of the exchange that the estimate is from, ns."""
    age_ns: int
    """Time since the exchange, ns."""
    bound_ns: int
    """Maximum error, ns: half the round trip, and the possible drift since the exchange."""
    jumps: int
    """Number of estimates of one session that contradict the previous one, because a clock stood still or jumped."""


class Clock:
    """Estimates the time of a server on another machine.

    It requests the server's time 8 times, and uses the exchange with the shortest round trip: the request was sent at t1 and the
    reply received at t4 on the local clock; the request was received at t2 and the reply sent at t3 on the server's clock. The
    server's clock is ahead by ((t2 - t1) + (t3 - t4)) / 2 ± half the round trip (t4 - t1) - (t3 - t2).

    An estimate is valid for one session, and until the clocks may have drifted apart by 1 ms, which is for 10 s. A thread estimates
    every 2 s, and immediately if an estimate is missing. The time of a session does not go back, unless a clock jumps. Threads may
    share a Clock.
    """

    def __init__(self, exchange: Callable[[], Exchange], local_ns: Callable[[], int] = time.monotonic_ns) -> None:
        """Has no estimate before ``synchronize`` or ``start``.

        Args:
            exchange: requests a reply once, like ``Control.exchange``.
            local_ns: the local clock of exchange, ns.
        """
        self._exchange, self._local_ns = exchange, local_ns
        self._sync_lock = threading.Lock()  # Serializes synchronize.
        self._lock = threading.Lock()  # Guards the fields below.
        self._estimate: ClockEstimate | None = None  # Without age and bound.
        self._estimated_ns = 0  # Local time of the estimate.
        self._last_ns: int | None = None  # Last returned time of the session.
        self._failure = "no estimate was made yet"
        self._needed, self._stopped = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="krabby_hal clock", daemon=True)

    def start(self) -> None:
        """Starts a thread that estimates the time until ``stop``. Call it once."""
        self._thread.start()

    def stop(self) -> None:
        """Stops the thread, after its current exchange. May be called again."""
        self._stopped.set()
        self._needed.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            wait_s = _INTERVAL_S
            try:
                self.synchronize()
            except Closed:
                return
            except NoClock:
                wait_s = _RETRY_S
            self._stopped.wait(_MIN_INTERVAL_S)  # Callers without an estimate ask at a high rate.
            self._needed.wait(wait_s - _MIN_INTERVAL_S)
            self._needed.clear()

    def synchronize(self) -> None:
        """Estimates the server's time now.

        Raises:
            NoClock: the estimate failed. The previous one stays valid, unless the server was restarted.
        """
        with self._sync_lock:
            try:
                self._synchronize()
            except NoClock as error:
                with self._lock:
                    self._failure = str(error)
                raise NoClock(f"the server's time is not known: {error}") from error

    def _synchronize(self) -> None:
        best: ClockEstimate | None = None
        best_ns = 0
        for _ in range(_EXCHANGES):
            try:
                reply, sent_ns, received_ns = self._exchange()
            except (NoPeer, NoReply, FrameError) as error:
                raise NoClock(str(error)) from error
            self._invalidate_unless(reply.session_id)
            if best is not None and best.session_id != reply.session_id:
                best = None  # The server was restarted since the last exchange.
            round_trip_ns = (received_ns - sent_ns) - (reply.sent_ns - reply.received_ns)
            if reply.status != ControlStatus.DONE or reply.sent_ns < reply.received_ns or round_trip_ns < 0:
                continue  # One of the clocks jumped.
            if best is None or round_trip_ns < best.round_trip_ns:
                offset_ns = reply.received_ns - sent_ns - round_trip_ns // 2
                best = ClockEstimate(reply.session_id, offset_ns, round_trip_ns, age_ns=0, bound_ns=0, jumps=0)
                best_ns = received_ns
        if best is None:
            raise NoClock(f"no consistent exchange among {_EXCHANGES}")
        if best.round_trip_ns > _MAX_ROUND_TRIP_NS:
            raise NoClock(
                f"found a round trip of {best.round_trip_ns / 1e6:.1f} ms in the best of {_EXCHANGES} exchanges, "
                f"expected at most {_MAX_ROUND_TRIP_NS / 1e6:.0f} ms"
            )
        self._set(best, best_ns)

    def _invalidate_unless(self, session_id: int) -> None:
        """Invalidates the estimate if it is of another session."""
        with self._lock:
            if self._estimate is not None and self._estimate.session_id != session_id:
                self._estimate, self._last_ns = None, None
                self._failure = "the server was restarted"

    def _set(self, estimate: ClockEstimate, estimated_ns: int) -> None:
        """Sets the estimate, which was made at a local time."""
        with self._lock:
            previous = self._estimate  # Of the same session.
            if previous is not None:
                jumps = previous.jumps
                difference_ns = abs(estimate.offset_ns - previous.offset_ns)
                previous_bound_ns = _bound_ns(previous.round_trip_ns, estimated_ns - self._estimated_ns)
                if difference_ns > _bound_ns(estimate.round_trip_ns, 0) + previous_bound_ns:
                    jumps, self._last_ns = jumps + 1, None
                estimate = replace(estimate, jumps=jumps)
            self._estimate, self._estimated_ns = estimate, estimated_ns

    def estimate(self) -> ClockEstimate:
        """Returns the current estimate.

        Raises:
            NoClock: the estimate is missing or too old.
        """
        with self._lock:
            return self._estimate_at(self._local_ns())

    def _estimate_at(self, local_ns: int) -> ClockEstimate:
        """Returns the estimate at a local time. The caller holds the lock."""
        estimate = self._estimate
        if estimate is None:
            raise NoClock(f"the server's time is not known: {self._failure}")
        age_ns = max(local_ns - self._estimated_ns, 0)
        if _drift_ns(age_ns) > _MAX_DRIFT_NS:
            raise NoClock(
                f"the server's time is not known: the last estimate is {age_ns / 1e9:.3f} s old, and the clocks may have drifted "
                f"apart by more than {_MAX_DRIFT_NS / 1e6:g} ms"
            )
        return replace(estimate, age_ns=age_ns, bound_ns=_bound_ns(estimate.round_trip_ns, age_ns))

    def now_ns(self, session_id: int) -> int:
        """Returns the estimated time of the server of a session, ns.

        Raises:
            NoClock: the estimate is missing, too old, or of another session. A new estimate is then made immediately.
        """
        with self._lock:
            try:
                local_ns = self._local_ns()
                estimate = self._estimate_at(local_ns)
                if estimate.session_id != session_id:
                    raise NoClock(
                        f"the server's time is not known: found a message of session {session_id}, expected {estimate.session_id}"
                    )
            except NoClock:
                self._needed.set()
                raise
            now_ns = local_ns + estimate.offset_ns
            self._last_ns = now_ns if self._last_ns is None else max(self._last_ns, now_ns)
            return self._last_ns


def _drift_ns(age_ns: int) -> int:
    return int(age_ns * _DRIFT_PER_NS)


def _bound_ns(round_trip_ns: int, age_ns: int) -> int:
    """Returns the maximum error of an estimate at an age."""
    return (round_trip_ns + 1) // 2 + _drift_ns(age_ns)
