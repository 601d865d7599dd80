"""Tests of the control link, and of a client that uses the server's time, with a minimal server."""

import json
import subprocess
import sys
import threading
import time

import pytest
import zmq

import krabby_hal
from krabby_hal import (
    Client,
    Closed,
    Control,
    ControlReply,
    ControlStatus,
    FrameError,
    Imu,
    JointCommand,
    Keys,
    NoClock,
    NoObservation,
    NoPeer,
    NoReply,
    Observation,
    Operation,
    Rejected,
)

WAIT_S = 20  # Timeout that only failures reach. An emulated interpreter is slow.
IN_TIME_S = 4  # Limit for calls that take much less on an idle machine.
MS = 1_000_000  # ns
HOUR = 3600 * 1000 * MS


class Server:
    """Minimal server of requests, in a thread. Its clock is offset_ns ahead of this machine's."""

    def __init__(self, keys=None, endpoint="tcp://127.0.0.1:*", session_id=5, offset_ns=0):
        self.session_id, self.offset_ns = session_id, offset_ns
        self.requests = []
        self.change = lambda request, reply: reply  # Returns a reply, a frame, or None.
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.ROUTER)
        self.socket.linger = 0
        if keys:
            self.socket.curve_server = 1
            self.socket.curve_publickey, self.socket.curve_secretkey = keys
        self.socket.bind(endpoint)
        self.endpoint = self.socket.last_endpoint.decode()
        self.closing = False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def now_ns(self):
        return time.monotonic_ns() + self.offset_ns

    def run(self):
        while not self.closing:
            if not self.socket.poll(10):
                continue
            *envelope, frame = self.socket.recv_multipart()
            received_ns = self.now_ns()
            request = krabby_hal.decode_control_request(frame)
            self.requests.append(request)
            state = {Operation.E_STOP: "stopped", Operation.RESET: "damp"}.get(request.operation, "idle")
            reply = ControlReply(0, state, sequence=request.sequence, session_id=self.session_id, received_ns=received_ns)
            reply = self.change(request, reply)
            if reply is not None:
                if isinstance(reply, ControlReply):
                    reply.sent_ns = self.now_ns()
                    reply = krabby_hal.encode_control_reply(reply)
                self.socket.send_multipart([*envelope, reply])

    def close(self):
        self.closing = True
        self.thread.join()
        self.context.destroy(linger=0)


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture
def control(server):
    with Control(server.endpoint) as control:
        control.state(WAIT_S)
        server.requests.clear()
        yield control


def test_e_stop(server, control):
    before_ns = time.monotonic_ns()
    reply = control.e_stop(WAIT_S)
    assert (reply.status, reply.state, reply.session_id) == (ControlStatus.DONE, "stopped", 5)
    (request,) = server.requests
    assert (request.operation, request.session_id, request.expires_ns) == (Operation.E_STOP, 0, 0)
    assert before_ns <= request.monotonic_ns <= reply.received_ns <= reply.sent_ns <= time.monotonic_ns()


def test_reset(server, control):
    server.offset_ns = 3 * HOUR
    assert control.reset(WAIT_S).state == "damp"
    clock, reset = server.requests
    assert (clock.operation, reset.operation) == (Operation.CLOCK, Operation.RESET)
    assert reset.sequence == clock.sequence + 1 and reset.session_id == 5
    assert 0 < reset.expires_ns - (clock.monotonic_ns + 3 * HOUR) - 1000 * MS < WAIT_S * 1000 * MS


@pytest.mark.parametrize(
    "reply, want",
    [
        ({"status": 1}, "rejected: operation unknown to the server"),
        ({"status": 2}, "rejected: the server was restarted meanwhile"),
        ({"status": 3}, "rejected: it expired in transit, or the robot was stopped again meanwhile"),
        (
            {"status": 4, "stopped_by": "remote", "fault": "write", "reason": "the last 3 writes failed"},
            "rejected: stopped by remote, active fault write: the last 3 writes failed",
        ),
        ({"status": 255}, "rejected: status 255"),
    ],
)
def test_rejected_reset(server, control, reply, want):
    def reject(request, plain):
        return plain if request.operation == Operation.CLOCK else ControlReply(**reply, state="stopped", sequence=request.sequence)

    server.change = reject
    with pytest.raises(Rejected) as error:
        control.reset(WAIT_S)
    assert str(error.value) == want and error.value.reply.status == reply["status"] and error.value.reply.state == "stopped"


@pytest.mark.parametrize("call", ["state", "e_stop", "reset"])
def test_no_server(call):
    with Control("tcp://127.0.0.1:9") as control:
        begin = time.monotonic()
        with pytest.raises(NoPeer, match="tcp://127.0.0.1:9: the request was not sent: no server is connected"):
            getattr(control, call)(0.4)
        assert 0.39 < time.monotonic() - begin < IN_TIME_S


@pytest.mark.parametrize("call", ["state", "e_stop", "reset"])
def test_no_reply(server, control, call):
    server.change = lambda request, reply: None
    begin = time.monotonic()
    with pytest.raises(NoReply, match=server.endpoint):
        getattr(control, call)(0.6)
    assert 0.59 < time.monotonic() - begin < IN_TIME_S
    assert len(server.requests) >= 2
    server.change = lambda request, reply: reply
    assert control.state(WAIT_S).state == "idle"


def test_server_disconnects_after_request(server, control):
    def disconnect(request, reply):
        server.closing = True
        server.socket.close()

    server.change = disconnect
    with pytest.raises(NoReply):  # Not NoPeer, the error of later attempts.
        control.e_stop(0.8)
    with pytest.raises(NoPeer):
        control.e_stop(0.2)


def test_late_reply(server, control):
    def late(request, reply):
        if request.operation == Operation.E_STOP:
            time.sleep(0.3)
        return reply

    server.change = late
    for _ in range(2):
        with pytest.raises(NoReply):
            control.e_stop(0.1)
        assert control.state(WAIT_S).state == "idle"


def test_malformed_reply(server, control):
    server.change = lambda request, reply: b"KRBY"
    with pytest.raises(FrameError, match="short: found 4 bytes"):
        control.state(WAIT_S)
    server.change = lambda request, reply: ControlReply(0, "idle", sequence=request.sequence + 1)
    with pytest.raises(FrameError, match="found the reply to request 4, expected that to 3"):
        control.state(WAIT_S)


def test_server_restart():
    first = Server()
    with Control(first.endpoint) as control:
        assert control.state(WAIT_S).session_id == 5
        first.close()
        with pytest.raises((NoPeer, NoReply)):
            control.state(0.1)
        second = Server(endpoint=first.endpoint, session_id=6)
        assert control.state(WAIT_S).session_id == 6
        second.close()


def test_close_while_waiting(server):
    server.change = lambda request, reply: None
    control, raised = Control(server.endpoint), []

    def call():
        try:
            control.e_stop(WAIT_S)
        except Closed as error:
            raised.append(error)

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    begin = time.monotonic()
    control.close()
    elapsed_s = time.monotonic() - begin
    for thread in threads:
        thread.join(WAIT_S)
    assert len(raised) == 3 and elapsed_s < IN_TIME_S
    control.close()
    with pytest.raises(Closed):
        control.state()


def test_concurrent_requests(server, control):
    wrong = []

    def request(call, want):
        for _ in range(50):
            if getattr(control, call)(WAIT_S).state != want:
                wrong.append(call)

    threads = [
        threading.Thread(target=request, args=args) for args in (("state", "idle"), ("e_stop", "stopped"), ("reset", "damp"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and len(server.requests) == 200


def test_keys():
    own, client, other = zmq.curve_keypair(), zmq.curve_keypair(), zmq.curve_keypair()
    server = Server(keys=own)
    public, secret = (key.decode() for key in client)
    with Control(server.endpoint, keys=Keys(own[0].decode(), public, secret)) as control:
        assert control.e_stop(WAIT_S).state == "stopped"
    for keys in None, Keys(other[0].decode(), public, secret):
        with Control(server.endpoint, keys=keys) as control, pytest.raises(NoPeer):
            control.e_stop(0.3)
    assert len(server.requests) == 1
    server.close()


@pytest.mark.parametrize("endpoint", ["tcp://192.0.2.1:6003", "tcp://robot:6003"])
def test_remote_endpoint_requires_keys(endpoint):
    for call in lambda: Control(endpoint), lambda: Client(control=endpoint):
        with pytest.raises(ValueError, match=f"{endpoint}: keys or insecure required"):
            call()


def until(done):
    deadline = time.monotonic() + WAIT_S
    while not done():
        assert time.monotonic() < deadline, f"not within {WAIT_S} s"
        time.sleep(0.002)


class Robot:
    """Minimal server with all three sockets, on a machine with another clock."""

    def __init__(self, session_id=5, offset_ns=3 * HOUR, endpoints=("tcp://127.0.0.1:*",) * 3):
        self.control = Server(session_id=session_id, offset_ns=offset_ns, endpoint=endpoints[2])
        self.context = zmq.Context()
        self.out, self.commands = self.context.socket(zmq.PUB), self.context.socket(zmq.PULL)
        for socket, endpoint in zip((self.out, self.commands), endpoints):
            socket.linger = 0
            socket.conflate = 1
            socket.bind(endpoint)
        self.endpoints = [socket.last_endpoint.decode() for socket in (self.out, self.commands)] + [self.control.endpoint]
        self.sequence = 0

    def connect(self, **options):
        observations, commands, control = self.endpoints
        return Client(observations, commands, **{"control": control, **options})

    def observe(self, client):
        self.sequence += 1
        values, session_id = [0.25] * 12, self.control.session_id
        o = Observation(values, values, values, [True] * 4, Imu(), sequence=self.sequence, session_id=session_id)
        o.monotonic_ns = self.control.now_ns()
        self.out.send(krabby_hal.encode_observation(o))
        time.sleep(0.005)
        return client.poll()

    def command(self):
        assert self.commands.poll(WAIT_S * 1000), "no command"
        return krabby_hal.decode_joint_command(self.commands.recv())

    def close(self):
        self.control.close()
        self.context.destroy(linger=0)


def command():
    return JointCommand([0.1] * 12, [35] * 12, [0.5] * 12)


@pytest.mark.parametrize("offset_ns", [3 * HOUR, -5 * HOUR, 0])
def test_client_with_remote_clock(offset_ns):
    robot = Robot(offset_ns=offset_ns)
    with robot.connect() as client:
        until(lambda: robot.observe(client) is not None)
        assert 0 <= client.age_s() < WAIT_S
        client.send(command(), timeout_s=WAIT_S)
        got = robot.command()
        assert abs(robot.control.now_ns() - got.monotonic_ns) < WAIT_S * 1000 * MS and got.session_id == 5
        assert got.expires_ns - got.monotonic_ns == 100 * MS
        health = client.health()
        assert 0 <= health.age_s < WAIT_S
        assert abs(health.clock.offset_ns - offset_ns) <= health.clock.bound_ns and health.clock.session_id == 5
        assert json.loads(health.to_json())["clock"]["round_trip_ns"] == health.clock.round_trip_ns > 0
        assert client.e_stop(WAIT_S).state == "stopped" and client.reset(WAIT_S).state == "damp"
        assert client.state(WAIT_S).session_id == 5
    robot.close()


def test_client_time_unknown():
    robot = Robot()
    with robot.connect(control="tcp://127.0.0.1:9") as client:
        until(lambda: robot.observe(client) or client.health().rejected.get("clock", 0) >= 3)
        assert client.health().observations == 0 and client.health().rejected.keys() == {"clock"}
        with pytest.raises(NoObservation, match="last rejected: the server's time is not known: "):
            client.latest(0.3)
    with robot.connect() as client:
        until(lambda: robot.observe(client) is not None)
        robot.control.change = lambda request, reply: None
        time.sleep(0.3)  # Ends the current synchronization.
        client._clock._estimated_ns -= 11_000 * MS
        with pytest.raises(NoClock, match="the clocks may have drifted apart"):
            client.send(command())
        with pytest.raises(NoClock):
            client.age_s()
        health = client.health()
        assert (health.fresh, health.age_s, health.clock) == (False, None, None) and (health.sent, health.unsent) == (0, 1)
        robot.control.change = lambda request, reply: reply
        until(lambda: client.health().clock is not None)
        client.send(command(), timeout_s=WAIT_S)
        assert robot.command().session_id == 5
    robot.close()


def test_client_server_restart():
    first = Robot(session_id=5, offset_ns=3 * HOUR)
    with first.connect() as client:
        until(lambda: first.observe(client) is not None)
        before = client.health().clock
        old = client._last
        first.close()
        second = Robot(session_id=6, offset_ns=-5 * HOUR, endpoints=first.endpoints)
        until(lambda: second.observe(client) is not None)
        assert client.health().session_id == client.health().clock.session_id == 6
        assert abs(before.offset_ns - client.health().clock.offset_ns - 8 * HOUR) < 50 * MS
        client.send(command(), timeout_s=WAIT_S)
        got = second.command()
        assert got.session_id == 6 and abs(second.control.now_ns() - got.monotonic_ns) < WAIT_S * 1000 * MS
        with pytest.raises(NoClock, match="found a message of session 5, expected 6"):
            client.send(command(), answers=old)
        second.close()


def test_clock_thread(monkeypatch):
    monkeypatch.setattr(krabby_hal.clock, "_INTERVAL_S", 0.05)
    robot = Robot()
    with robot.connect():
        until(lambda: len(robot.control.requests) >= 3 * 8)
    monkeypatch.setattr(krabby_hal.clock, "_INTERVAL_S", 3600)
    with robot.connect() as client:
        until(lambda: client.health().clock is not None)
        requests = len(robot.control.requests)
        robot.control.session_id = 6
        until(lambda: robot.observe(client) is not None)  # Before the interval ends.
        assert len(robot.control.requests) >= requests + 8 and client.health().session_id == 6
    robot.close()


def test_client_without_control_link():
    with Client() as client:
        for call in client.state, client.e_stop, client.reset:
            with pytest.raises(ValueError, match="no control link"):
                call()
        assert client.health().clock is None
    with pytest.raises(ValueError, match="found both control and now_ns"):
        Client(control="tcp://127.0.0.1:9", now_ns=time.monotonic_ns)
    with pytest.raises(ValueError, match="nonsense: cannot connect"):
        Client(control="nonsense")


@pytest.mark.parametrize("connected", [True, False])
def test_client_close_stops_thread(server, connected, monkeypatch):
    monkeypatch.setattr(krabby_hal.clock, "_INTERVAL_S", 3600)
    monkeypatch.setattr(krabby_hal.clock, "_RETRY_S", 3600)
    before = threading.active_count()
    client = Client(control=server.endpoint if connected else "tcp://127.0.0.1:9")
    time.sleep(0.1)
    assert threading.active_count() == before + 1
    begin = time.monotonic()
    client.close()
    assert time.monotonic() - begin < IN_TIME_S and threading.active_count() == before
    client.close()
    with pytest.raises(Closed):
        client.e_stop()


def test_program_exits_without_close(server):
    program = "import sys, time, krabby_hal; c = krabby_hal.Client(control=sys.argv[1]); time.sleep(0.2); print(c.state().state)"
    run = subprocess.run([sys.executable, "-c", program, server.endpoint], capture_output=True, text=True, timeout=WAIT_S)
    assert (run.returncode, run.stdout, run.stderr) == (0, "idle\n", "")
