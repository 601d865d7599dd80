"""The control link and the server's time, held against a server of a few lines and a simulated network."""

import json
import random
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
    Refused,
)
from krabby_hal.control import Clock, Exchange

WAIT_S = 20  # Only a failure takes so long; an emulated interpreter is slow.
IN_TIME_S = 4  # What is to take much less; on a machine that is busy, too.
MS = 1_000_000
HOUR = 3600 * 1000 * MS


class Server:
    """Answers requests in a thread, by a clock that shows offset_ns more than this machine's."""

    def __init__(self, keys=None, endpoint="tcp://127.0.0.1:*", session_id=5, offset_ns=0):
        self.session_id, self.offset_ns = session_id, offset_ns
        self.requests = []
        self.change = lambda request, reply: reply  # Returns a reply, a frame, or None for none.
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


def test_a_stop_is_asked_for_and_says_what_became_of_it(server, control):
    before_ns = time.monotonic_ns()
    reply = control.e_stop(WAIT_S)
    assert (reply.status, reply.state, reply.session_id) == (ControlStatus.DONE, "stopped", 5)
    (request,) = server.requests
    assert (request.operation, request.session_id, request.expires_ns) == (Operation.E_STOP, 0, 0)
    assert before_ns <= request.monotonic_ns <= reply.received_ns <= reply.sent_ns <= time.monotonic_ns()


def test_a_reset_is_for_this_life_of_the_server_and_the_next_second_of_its_time(server, control):
    server.offset_ns = 3 * HOUR
    assert control.reset(WAIT_S).state == "damp"
    clock, reset = server.requests
    assert (clock.operation, reset.operation) == (Operation.CLOCK, Operation.RESET)
    assert reset.sequence == clock.sequence + 1 and reset.session_id == 5
    assert 0 < reset.expires_ns - (clock.monotonic_ns + 3 * HOUR) - 1000 * MS < WAIT_S * 1000 * MS


@pytest.mark.parametrize(
    "reply, want",
    [
        ({"status": 1}, "refused: the server does not know the operation"),
        ({"status": 2}, "refused: the server was started again meanwhile"),
        ({"status": 3}, "refused: it took too long on its way"),
        (
            {"status": 4, "stopped_by": "remote", "fault": "write", "reason": "the last 3 writes failed"},
            "refused: stopped by remote, and write lasts: the last 3 writes failed",
        ),
        ({"status": 255}, "refused: status 255"),
    ],
)
def test_a_refusal_says_why(server, control, reply, want):
    def refuse(request, plain):
        return plain if request.operation == Operation.CLOCK else ControlReply(**reply, state="stopped", sequence=request.sequence)

    server.change = refuse
    with pytest.raises(Refused) as error:
        control.reset(WAIT_S)
    assert str(error.value) == want and error.value.reply.status == reply["status"] and error.value.reply.state == "stopped"


@pytest.mark.parametrize("call", ["state", "e_stop", "reset"])
def test_without_a_server_nothing_is_sent_and_the_call_ends_in_time(call):
    with Control("tcp://127.0.0.1:9") as control:
        begin = time.monotonic()
        with pytest.raises(NoPeer, match="tcp://127.0.0.1:9: the request was not sent: no server is there"):
            getattr(control, call)(0.4)
        assert 0.39 < time.monotonic() - begin < IN_TIME_S


@pytest.mark.parametrize("call", ["state", "e_stop", "reset"])
def test_without_a_reply_the_call_asks_again_and_ends_in_time(server, control, call):
    server.change = lambda request, reply: None
    begin = time.monotonic()
    with pytest.raises(NoReply, match=server.endpoint):
        getattr(control, call)(0.6)
    assert 0.59 < time.monotonic() - begin < IN_TIME_S
    assert len(server.requests) >= 2
    server.change = lambda request, reply: reply
    assert control.state(WAIT_S).state == "idle"


def test_what_was_sent_may_have_been_done_even_if_the_server_then_goes(server, control):
    def leave(request, reply):
        server.closing = True
        server.socket.close()

    server.change = leave
    with pytest.raises(NoReply):  # And not NoPeer, as the attempts after the first.
        control.e_stop(0.8)
    with pytest.raises(NoPeer):
        control.e_stop(0.2)


def test_a_late_reply_is_not_taken_for_that_to_the_next_request(server, control):
    def late(request, reply):
        if request.operation == Operation.E_STOP:
            time.sleep(0.3)
        return reply

    server.change = late
    for _ in range(2):
        with pytest.raises(NoReply):
            control.e_stop(0.1)
        assert control.state(WAIT_S).state == "idle"


def test_a_reply_that_is_none_is_refused(server, control):
    server.change = lambda request, reply: b"KRBY"
    with pytest.raises(FrameError, match="short: found 4 bytes"):
        control.state(WAIT_S)
    server.change = lambda request, reply: ControlReply(0, "idle", sequence=request.sequence + 1)
    with pytest.raises(FrameError, match="found the reply to request 4, expected that to 3"):
        control.state(WAIT_S)


def test_a_server_that_is_replaced_is_asked():
    first = Server()
    with Control(first.endpoint) as control:
        assert control.state(WAIT_S).session_id == 5
        first.close()
        with pytest.raises((NoPeer, NoReply)):
            control.state(0.1)
        second = Server(endpoint=first.endpoint, session_id=6)
        assert control.state(WAIT_S).session_id == 6
        second.close()


def test_closing_ends_a_call_in_another_thread(server):
    server.change = lambda request, reply: None
    control, raised = Control(server.endpoint), []

    def ask():
        try:
            control.e_stop(WAIT_S)
        except Closed as error:
            raised.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    begin = time.monotonic()
    control.close()
    took = time.monotonic() - begin
    for thread in threads:
        thread.join(WAIT_S)
    assert len(raised) == 3 and took < IN_TIME_S
    control.close()
    with pytest.raises(Closed):
        control.state()


def test_many_threads_get_their_own_replies(server, control):
    wrong = []

    def ask(call, want):
        for _ in range(50):
            if getattr(control, call)(WAIT_S).state != want:
                wrong.append(call)

    threads = [threading.Thread(target=ask, args=args) for args in (("state", "idle"), ("e_stop", "stopped"), ("reset", "damp"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and len(server.requests) == 200


def test_a_stop_needs_the_right_keys():
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
def test_beyond_this_machine_a_control_link_takes_keys_or_a_word(endpoint):
    for call in lambda: Control(endpoint), lambda: Client(control=endpoint):
        with pytest.raises(ValueError, match=f"{endpoint}: found neither keys nor insecure"):
            call()


class Network:
    """A server and the way to it, on simulated time."""

    def __init__(self, session_id=1, offset_ns=HOUR, ppm=0):
        self.local_ns, self.session_id, self.offset_ns, self.ppm = HOUR, session_id, offset_ns, ppm
        self.there = self.back = lambda: 100_000
        self.error = None
        self.change = lambda exchange: exchange
        self.clock = Clock(self.exchange, lambda: self.local_ns)

    def server_ns(self):
        return self.local_ns + self.offset_ns + int(self.local_ns * self.ppm * 1e-6)

    def exchange(self):
        if self.error is not None:
            raise self.error
        sent_ns, session_id = self.local_ns, self.session_id
        self.local_ns += self.there()
        received_ns = self.server_ns()
        self.local_ns += 20_000
        reply = ControlReply(0, "idle", session_id=session_id, received_ns=received_ns, sent_ns=self.server_ns())
        self.local_ns += self.back()
        return self.change(Exchange(reply, sent_ns, self.local_ns))

    def synchronise(self):
        self.clock.synchronise()
        return self.clock.estimate()


@pytest.mark.parametrize("offset_ns", [0, 3 * HOUR, -5 * HOUR, 1000 * HOUR])
@pytest.mark.parametrize("ppm", [0, 50, -50, 100])
def test_the_servers_time_is_right_within_the_bound_and_never_goes_back(offset_ns, ppm):
    chance = random.Random(1)
    network = Network(offset_ns=offset_ns, ppm=ppm)
    network.there = lambda: int(chance.expovariate(1) * 3 * MS)
    network.back = lambda: int(chance.expovariate(1) * 0.3 * MS)
    last_ns = 0
    for _ in range(50):
        network.synchronise()
        for _ in range(20):
            network.local_ns += 100 * MS
            now_ns = network.clock.now_ns(1)
            wrong_ns = abs(now_ns - network.server_ns())
            # The time does not go back, which may hold it at what was told before.
            assert wrong_ns <= network.clock.estimate().bound_ns + 10 or now_ns == last_ns
            assert last_ns == 0 or now_ns >= last_ns
            last_ns = now_ns
    assert network.clock.estimate().jumps == 0


def test_the_exchange_with_the_least_round_trip_counts():
    network = Network()
    ways = iter([20 * MS, 5 * MS, 200_000, 9 * MS, 3 * MS, MS, MS, 40 * MS])
    network.there = lambda: next(ways)  # The way back is always quick.
    estimate = network.synchronise()
    assert (estimate.round_trip_ns, estimate.offset_ns - HOUR) == (300_000, 50_000)
    assert estimate.age_ns == 54 * MS + 5 * 120_000  # What the others took after it.


def test_an_estimate_holds_for_ten_seconds():
    network = Network()
    with pytest.raises(NoClock, match="no estimate was made yet"):
        network.clock.now_ns(1)
    network.synchronise()
    network.local_ns += 9_900 * MS
    assert abs(network.clock.now_ns(1) - network.server_ns()) <= network.clock.estimate().bound_ns
    network.clock._missed.clear()
    network.local_ns += 200 * MS
    with pytest.raises(NoClock, match=r"the last estimate was made 10\.1\d\d s ago, in which clocks may drift apart by more than 1 ms"):
        network.clock.now_ns(1)
    assert network.clock._missed.is_set()


def slow(network):
    network.there = lambda: 51 * MS


def change(**numbers):
    def spoil(network):
        def changed(exchange):
            for name, more in numbers.items():
                setattr(exchange.reply, name, getattr(exchange.reply, name) + more)
            return exchange

        network.change = changed

    return spoil


def fail(error):
    return lambda network: setattr(network, "error", error)


@pytest.mark.parametrize(
    "spoil, want",
    [
        (fail(NoPeer("nobody is there")), "nobody is there"),
        (fail(NoReply("nobody answers")), "nobody answers"),
        (fail(FrameError(krabby_hal.Cause.MAGIC, "x")), "magic: x"),
        (slow, "found a round trip of 51.1 ms in the best of 8 exchanges, expected at most 50 ms"),
        (change(sent_ns=-21_000), "found no exchange that makes sense among 8"),
        (change(sent_ns=1000 * MS), "found no exchange that makes sense among 8"),
        (change(status=1), "found no exchange that makes sense among 8"),
    ],
)
def test_a_round_that_fails_says_why_and_what_was_known_goes_on(spoil, want):
    network = Network()
    spoil(network)
    for call in network.clock.synchronise, lambda: network.clock.now_ns(1), network.clock.estimate:
        with pytest.raises(NoClock, match="the server's time is not known: .*" + want):
            call()
    network = Network()
    network.synchronise()
    spoil(network)
    with pytest.raises(NoClock):
        network.clock.synchronise()
    assert abs(network.clock.now_ns(1) - network.server_ns()) <= network.clock.estimate().bound_ns


def test_another_life_of_the_server_needs_an_estimate_of_its_own():
    network = Network(session_id=1, offset_ns=3 * HOUR)
    network.synchronise()
    with pytest.raises(NoClock, match="found a message of session 2, expected 1"):
        network.clock.now_ns(2)
    assert network.clock._missed.is_set()
    exchanges = []

    def restart(exchange):  # In the middle of a round; its clock is behind: the time goes back.
        exchanges.append(exchange)
        if len(exchanges) == 4:
            network.session_id, network.offset_ns = 2, -5 * HOUR
        return exchange

    network.change = restart
    estimate = network.synchronise()
    assert estimate.session_id == 2 and abs(estimate.offset_ns + 5 * HOUR) < MS
    assert network.clock.now_ns(2) == network.server_ns()
    with pytest.raises(NoClock):
        network.clock.now_ns(1)

    def leave(exchange):  # A first reply of another life is enough to forget the time of the one before.
        exchange.reply.session_id, network.error = 3, NoReply("gone")
        return exchange

    network.change = leave
    with pytest.raises(NoClock):
        network.clock.synchronise()
    with pytest.raises(NoClock):
        network.clock.now_ns(2)


def test_a_clock_that_stood_still_is_not_waited_for():
    network = Network()
    network.synchronise()
    network.clock.now_ns(1)
    network.offset_ns -= 60_000 * MS  # The server's machine slept.
    estimate = network.synchronise()
    assert estimate.jumps == 1 and abs(network.clock.now_ns(1) - network.server_ns()) <= estimate.bound_ns


def until(good):
    deadline = time.monotonic() + WAIT_S
    while not good():
        assert time.monotonic() < deadline, f"not within {WAIT_S} s"
        time.sleep(0.002)


class Robot:
    """A server with all three sockets on a machine with another clock."""

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
def test_a_client_goes_by_the_time_of_a_server_on_another_machine(offset_ns):
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


def test_nothing_is_sent_on_a_time_that_is_not_known():
    robot = Robot()
    with robot.connect(control="tcp://127.0.0.1:9") as client:
        until(lambda: robot.observe(client) or client.health().refused.get("clock", 0) >= 3)
        assert client.health().observations == 0 and client.health().refused.keys() == {"clock"}
        with pytest.raises(NoObservation, match="the last one that was refused: the server's time is not known: "):
            client.latest(0.3)
    with robot.connect() as client:
        until(lambda: robot.observe(client) is not None)
        robot.control.change = lambda request, reply: None
        time.sleep(0.3)  # No round goes on that had replies.
        client._clock._at_ns -= 11_000 * MS
        with pytest.raises(NoClock, match="in which clocks may drift apart"):
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


def test_a_server_that_comes_back_with_another_clock_is_followed():
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


def test_estimates_are_made_again_and_again_and_when_one_is_missed(monkeypatch):
    monkeypatch.setattr(krabby_hal.control, "_EVERY_S", 0.05)
    robot = Robot()
    with robot.connect():
        until(lambda: len(robot.control.requests) >= 3 * 8)
    monkeypatch.setattr(krabby_hal.control, "_EVERY_S", 3600)
    with robot.connect() as client:
        until(lambda: client.health().clock is not None)
        asked = len(robot.control.requests)
        robot.control.session_id = 6
        until(lambda: robot.observe(client) is not None)  # An hour is not waited for.
        assert len(robot.control.requests) >= asked + 8 and client.health().session_id == 6
    robot.close()


def test_a_client_without_a_control_link_says_so():
    with Client() as client:
        for call in client.state, client.e_stop, client.reset:
            with pytest.raises(ValueError, match="found no control link"):
                call()
        assert client.health().clock is None
    with pytest.raises(ValueError, match="found both control and now_ns"):
        Client(control="tcp://127.0.0.1:9", now_ns=time.monotonic_ns)
    with pytest.raises(ValueError, match="nonsense: cannot connect"):
        Client(control="nonsense")


@pytest.mark.parametrize("there", [True, False])
def test_closing_a_client_ends_its_thread_at_once(server, there, monkeypatch):
    monkeypatch.setattr(krabby_hal.control, "_EVERY_S", 3600)
    monkeypatch.setattr(krabby_hal.control, "_RETRY_S", 3600)
    before = threading.active_count()
    client = Client(control=server.endpoint if there else "tcp://127.0.0.1:9")
    time.sleep(0.1)
    assert threading.active_count() == before + 1
    begin = time.monotonic()
    client.close()
    assert time.monotonic() - begin < IN_TIME_S and threading.active_count() == before
    client.close()
    with pytest.raises(Closed):
        client.e_stop()


def test_a_program_ends_that_closes_nothing(server):
    program = "import sys, time, krabby_hal; c = krabby_hal.Client(control=sys.argv[1]); time.sleep(0.2); print(c.state().state)"
    run = subprocess.run([sys.executable, "-c", program, server.endpoint], capture_output=True, text=True, timeout=WAIT_S)
    assert (run.returncode, run.stdout, run.stderr) == (0, "idle\n", "")
