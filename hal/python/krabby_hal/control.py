"""The control link to a server: its state, a stop and a reset."""

from __future__ import annotations

import math
import struct
import threading
import time
from types import TracebackType
from typing import NamedTuple

import zmq

from .connection import POLL_INTERVAL_MS, Closed, Keys, NoPeer, check_security, connect
from .messages import ControlReply, ControlRequest, ControlStatus, Operation
from .wire import FrameError, RejectReason, decode_control_reply, encode_control_request

CONTROL_ENDPOINT = "tcp://127.0.0.1:6003"
"""Default endpoint of the control link of a server on this machine."""

_MAX_REPLY_BYTES = 4096
_ATTEMPT_S = 0.25  # Time to wait for a reply before the request is repeated.
_RESET_VALIDITY_NS = 1_000_000_000  # Validity of a reset after the reply that it acts on.


class NoReply(TimeoutError):
    """A request was sent, and no reply arrived in time. The server may have carried it out or not."""


class Rejected(RuntimeError):
    """The server replied that it did not carry out the request."""

    def __init__(self, reply: ControlReply) -> None:
        if reply.status == ControlStatus.FAULT_ACTIVE:
            reason = f"stopped by {reply.stopped_by}, active fault {reply.fault}: {reply.reason}"
        elif reply.status == ControlStatus.UNKNOWN_OPERATION:
            reason = "operation unknown to the server"
        elif reply.status == ControlStatus.OTHER_SESSION:
            reason = "the server was restarted meanwhile"
        elif reply.status == ControlStatus.EXPIRED:
            reason = "it expired in transit, or the robot was stopped again meanwhile"
        else:
            reason = f"status {reply.status}"
        super().__init__(f"rejected: {reason}")
        self.reply = reply
        """The reply of the server."""


class Exchange(NamedTuple):
    """A reply, and the times of sending the request and receiving the reply on the local clock, ns."""

    reply: ControlReply
    sent_ns: int
    received_ns: int


class Control:
    """Requests the state of a server, a stop or a reset.

    Each call repeats its request until there is a reply or its timeout is over. Threads may share a Control. Its requests are
    serialized: a stop may wait for another request, for up to 0.25 s if the server does not reply. ::

        with Control("tcp://robot:6003", keys=Keys.load("robot.pub", "me")) as control:
            control.e_stop()
    """

    def __init__(self, endpoint: str = CONTROL_ENDPOINT, *, keys: Keys | None = None, insecure: bool = False) -> None:
        """Connects, without waiting for the server.

        Args:
            endpoint: endpoint of the server's control link.
            keys: keys for encryption and authentication.
            insecure: allow an endpoint beyond this machine's loopback without keys.

        Raises:
            ValueError: the endpoint is invalid, or requires keys.
        """
        check_security(endpoint, keys, insecure)
        self._endpoint = endpoint
        self._closed = False
        self._lock = threading.Lock()  # Guards the socket and the sequence.
        self._sequence = 0
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            # The queue lengths are those of the server.
            self._socket = connect(self._context, zmq.DEALER, endpoint, keys, _MAX_REPLY_BYTES, {zmq.SNDHWM: 4, zmq.RCVHWM: 4})
        except BaseException:
            self._context.destroy(linger=0)
            raise

    def state(self, timeout_s: float = 5.0) -> ControlReply:
        """Returns the session of the server and the state of its safety gate.

        Raises:
            NoReply: the request was sent, and no reply arrived within timeout_s.
            NoPeer: no server was connected within timeout_s.
            Rejected: the server does not implement this request.
            FrameError: the reply is malformed.
            Closed: the control was closed.
        """
        return self._request(Operation.CLOCK, time.monotonic() + timeout_s)

    def e_stop(self, timeout_s: float = 5.0) -> ControlReply:
        """Stops the robot: its joints are damped until a reset. Raises as ``state``.

        After an error, the robot may be stopped or not. Use its hardware switch.
        """
        return self._request(Operation.E_STOP, time.monotonic() + timeout_s)

    def reset(self, timeout_s: float = 5.0) -> ControlReply:
        """Ends a stop. The joints stay damped until the next accepted command, which a running policy sends immediately.

        Raises as ``state``, and Rejected while a fault is active: ``reply.fault`` and ``reply.reason`` describe it. After other
        errors, the robot may be stopped or not.
        """
        deadline = time.monotonic() + timeout_s
        # The reset is for this session and for stops up to now: it must not end a later stop.
        now = self._request(Operation.CLOCK, deadline)
        return self._request(Operation.RESET, deadline, now.session_id, now.sent_ns + _RESET_VALIDITY_NS)

    def _request(self, operation: Operation, deadline: float, session_id: int = 0, expires_ns: int = 0) -> ControlReply:
        """Repeats a request until there is a reply. All operations are idempotent."""
        unanswered: NoReply | None = None
        while True:
            try:
                reply = self._attempt(ControlRequest(operation, session_id=session_id, expires_ns=expires_ns), deadline).reply
            except NoReply as error:
                unanswered = error  # The server may have carried it out. A later NoPeer must not hide that.
                if time.monotonic() >= deadline:
                    raise
            except NoPeer:
                if time.monotonic() >= deadline:
                    if unanswered is not None:
                        raise unanswered from None
                    raise
            else:
                if reply.status != ControlStatus.DONE:
                    raise Rejected(reply)
                return reply

    def exchange(self) -> Exchange:
        """Requests a reply once, and returns it with its times. Raises as ``state``; NoReply and NoPeer after 0.25 s."""
        return self._attempt(ControlRequest(Operation.CLOCK), math.inf)

    def _attempt(self, request: ControlRequest, deadline: float) -> Exchange:
        """Sends a request once."""
        if not self._lock.acquire(timeout=-1 if deadline == math.inf else max(0.0, deadline - time.monotonic())):
            raise NoPeer(f"{self._endpoint}: the request was not sent: timeout while waiting for other requests")
        try:
            deadline = min(deadline, time.monotonic() + _ATTEMPT_S)
            self._sequence += 1
            request.sequence, request.monotonic_ns = self._sequence, time.monotonic_ns()
            # An envelope identifies the reply, as ZMQ_REQ_CORRELATE does.
            envelope = struct.pack("<I", self._sequence & 0xFFFFFFFF)
            sent_ns = self._send(envelope, encode_control_request(request), deadline)
            while self._wait(zmq.POLLIN, deadline):
                received_ns = time.monotonic_ns()
                parts = self._socket.recv_multipart(zmq.NOBLOCK)
                if len(parts) == 3 and parts[0] == envelope and not parts[1]:
                    break  # Others are replies to earlier requests, or malformed.
            else:
                raise NoReply(f"{self._endpoint}: no reply to a request to {Operation(request.operation).name} in time")
        finally:
            self._lock.release()
        reply = decode_control_reply(parts[2])
        if reply.sequence != request.sequence:
            raise FrameError(
                RejectReason.VALUE, f"found the reply to request {reply.sequence}, expected that to {request.sequence}"
            )
        return Exchange(reply, sent_ns, received_ns)

    def _send(self, envelope: bytes, frame: bytearray, deadline: float) -> int:
        """Sends a request, and returns the local time of sending, ns. The caller holds the lock."""
        if not self._wait(zmq.POLLOUT, deadline):
            raise NoPeer(f"{self._endpoint}: the request was not sent: no server is connected")
        try:
            self._socket.send(envelope, zmq.NOBLOCK | zmq.SNDMORE)
            self._socket.send(b"", zmq.NOBLOCK | zmq.SNDMORE)
            # ZeroMQ sends the message with its last part. Python may switch threads before each call. The time is taken after the
            # other parts, because a longer forward delay would make commands appear to be in the future.
            sent_ns = time.monotonic_ns()
            self._socket.send(frame, zmq.NOBLOCK)
        except zmq.Again:
            raise NoPeer(f"{self._endpoint}: the request was not sent: the server disconnected") from None
        return sent_ns

    def _wait(self, event: int, deadline: float) -> bool:
        """Returns whether the socket is ready before a deadline. The caller holds the lock."""
        while True:
            if self._closed:
                raise Closed("the client is closed")
            left_ms = (deadline - time.monotonic()) * 1000
            if self._socket.poll(max(0, min(POLL_INTERVAL_MS, math.ceil(left_ms))), event):
                return True
            if left_ms <= 0:
                return False

    def close(self) -> None:
        """Closes the link within 100 ms. A call in another thread then raises Closed. May be called again."""
        self._closed = True
        with self._lock:
            self._context.destroy(linger=0)

    def __enter__(self) -> Control:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
