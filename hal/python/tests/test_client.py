"""Tests of the client with a minimal server. A Go test runs it with hal/server."""

import json
import threading
import time

import numpy
import pytest
import zmq

import krabby_hal
from krabby_hal import Client, Closed, FieldError, Imu, JointCommand, Keys, NoObservation, NoPeer, NoSession, Observation

WAIT_S = 20  # Timeout that only failures reach. An emulated interpreter is slow.


def observation(sequence, session_id=5, joints=12, **change):
    values = numpy.full(joints, 0.25)
    return Observation(
        values,
        values,
        values,
        [True] * 4,
        Imu(),
        sequence=sequence,
        session_id=session_id,
        monotonic_ns=time.monotonic_ns(),
        **change,
    )


def command(joints=12):
    return JointCommand([0.1] * joints, [35] * joints, [0.5] * joints)


def corrupt():
    frame = krabby_hal.encode_observation(observation(9))
    frame[16] ^= 1  # In the sequence.
    return frame


class Server:
    """Minimal server of observations and commands."""

    def __init__(self, keys=None, ports=(0, 0)):
        self.context = zmq.Context()
        self.out, self.commands = self.context.socket(zmq.PUB), self.context.socket(zmq.PULL)
        for socket, port in zip((self.out, self.commands), ports):
            socket.linger = 0
            socket.conflate = 1
            if keys:
                socket.curve_server = 1
                socket.curve_publickey, socket.curve_secretkey = keys
            socket.bind(f"tcp://127.0.0.1:{port or '*'}")
        self.endpoints = [socket.last_endpoint.decode() for socket in (self.out, self.commands)]

    def publish(self, *messages):
        for message in messages:
            self.out.send(krabby_hal.encode_observation(message) if isinstance(message, Observation) else message)

    def until(self, client, message, done):
        """Publishes until the client has read the expected message, because a new subscriber may miss the first ones."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            self.publish(message() if callable(message) else message)
            time.sleep(0.005)
            got = client.poll()
            if done(got):
                return got
        raise AssertionError(f"not within {WAIT_S} s: {client.health()}")

    def first(self, client, **change):
        return self.until(client, lambda: observation(1, **change), lambda got: got is not None)

    def command(self):
        assert self.commands.poll(WAIT_S * 1000), "no command"
        return krabby_hal.decode_joint_command(self.commands.recv())

    def close(self):
        self.context.destroy(linger=0)


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture
def client(server):
    with Client(*server.endpoints) as client:
        yield client


def test_latest_observation_wins(server, client):
    server.first(client)
    server.publish(*(observation(n) for n in range(2, 101)))
    time.sleep(0.2)
    got = client.latest(WAIT_S)
    while got.sequence < 100:  # On a busy machine.
        got = client.latest(WAIT_S)
    assert got.position_rad.tolist() == [0.25] * 12
    health = client.health()
    assert health.skipped > 90 and health.observations + health.skipped == 100 and health.session_id == 5


def test_poll_and_age(server, client):
    with pytest.raises(NoObservation):
        client.age_s()
    assert client.health().age_s is None and not client.health().fresh
    got = server.first(client)
    assert client.poll() is None
    assert 0 <= client.age_s(got) <= client.age_s() < WAIT_S
    server.until(client, lambda: observation(2), lambda got: got is not None)
    assert client.health().fresh
    time.sleep(0.11)
    assert not client.health().fresh and client.health().age_s > 0.1


def test_latest_timeout(server, client):
    server.until(client, b"KRBY", lambda got: client.health().rejected.get("short"))
    begin = time.monotonic()
    with pytest.raises(NoObservation, match="within 0.2 s; last rejected: short: found 4 bytes"):
        client.latest(0.2)
    assert 0.19 < time.monotonic() - begin < 2


@pytest.mark.parametrize(
    "reason, message",
    [
        ("short", b"KRBY"),
        ("magic", b"observation"),
        ("checksum", corrupt()),
        ("kind", krabby_hal.encode_joint_command(command())),
        ("invalid", observation(9, base_velocity_mps=[0, 0, numpy.nan])),
        ("invalid", observation(9, joints=11)),
        ("old", observation(0)),
    ],
)
def test_rejected_observation(server, reason, message):
    with Client(*server.endpoints, joints=12, feet=4) as client:
        server.first(client)
        server.until(client, message, lambda got: client.health().rejected.get(reason))
        assert client.health().rejected.keys() == {reason}
        assert server.until(client, lambda: observation(10), lambda got: got is not None).sequence == 10


def test_repeated_observation(server, client):
    server.first(client)
    for _ in range(3):
        server.publish(observation(1))
        with pytest.raises(NoObservation):
            client.latest(timeout_s=0.2)
    assert (client.health().observations, client.health().rejected) == (1, {})


def test_new_session(server, client):
    server.first(client)
    assert server.until(client, lambda: observation(1, session_id=6), lambda got: got is not None).session_id == 6
    assert client.health().session_id == 6 and client.health().skipped == 0 and not client.health().rejected.get("old")


def test_send_stamps_command(server, client):
    with pytest.raises(NoSession):
        client.send(command())
    first = server.first(client)
    client.send(command(), timeout_s=WAIT_S)
    got = server.command()
    assert (got.sequence, got.session_id, got.observation_sequence) == (1, 5, 1)
    assert got.expires_ns - got.monotonic_ns == 100_000_000 and 0 <= time.monotonic_ns() - got.monotonic_ns < WAIT_S * 1e9
    assert got.target_rad.tolist() == [0.1] * 12 and got.feed_forward_nm is None
    server.until(client, lambda: observation(7), lambda got: got is not None)
    client.send(command())
    assert server.command().observation_sequence == 7
    client.send(command(), answers=first)
    got = server.command()
    assert (got.sequence, got.observation_sequence) == (3, 1)
    assert (client.health().sent, client.health().unsent) == (3, 1)


def test_latest_command_wins(server, client):
    server.first(client)
    client.send(command(), timeout_s=WAIT_S)
    for _ in range(99):
        client.send(command())
    time.sleep(0.2)
    got = server.command()
    while got.sequence < 100:
        got = server.command()
    assert not server.commands.poll(50)


@pytest.mark.parametrize("change", [{"target_rad": numpy.full(12, numpy.nan)}, {"kp": -numpy.ones(12)}, {"kd": numpy.ones(11)}])
def test_send_invalid_command(server, client, change):
    server.first(client)
    invalid = command()
    for name, values in change.items():
        setattr(invalid, name, values)
    with pytest.raises(FieldError):
        client.send(invalid)
    assert (client.health().sent, client.health().unsent) == (0, 1) and not server.commands.poll(50)


def test_send_without_server():
    server = Server()
    with Client(*server.endpoints) as client:
        server.first(client)
        client.send(command(), timeout_s=WAIT_S)
        server.close()
        deadline = time.monotonic() + WAIT_S
        with pytest.raises(NoPeer):
            while time.monotonic() < deadline:
                client.send(command())
                time.sleep(0.01)
        restarted = Server(ports=[endpoint.rpartition(":")[2] for endpoint in server.endpoints])
        got = restarted.until(client, lambda: observation(1, session_id=6), lambda got: got is not None)
        client.send(command(), timeout_s=WAIT_S)
        assert got.session_id == restarted.command().session_id == 6
        restarted.close()


def test_close_while_waiting(server):
    client = Client(*server.endpoints)
    raised = []

    def wait():
        try:
            client.latest(WAIT_S)
        except Closed as error:
            raised.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.05)
    begin = time.monotonic()
    client.close()
    elapsed_s = time.monotonic() - begin
    thread.join(WAIT_S)
    assert raised and elapsed_s < 1
    client.close()
    for call in client.poll, lambda: client.send(command()):
        with pytest.raises(Closed):
            call()


def test_health_json(server, client):
    server.first(client)
    health = json.loads(client.health().to_json())
    assert health["observations"] == 1 and health["rejected"].keys() <= {"old"}


@pytest.mark.parametrize("endpoint", ["tcp://192.0.2.1:6001", "tcp://robot:6001", "tcp://[2001:db8::1]:6001"])
def test_remote_endpoint_requires_keys(endpoint):
    with pytest.raises(ValueError, match="keys or insecure required beyond loopback"):
        Client(endpoint)
    Client(endpoint.replace("robot", "192.0.2.1"), insecure=True).close()


@pytest.mark.parametrize("endpoint", ["nonsense", "tcp://127.0.0.1:port"])
def test_invalid_endpoint(endpoint):
    with pytest.raises(ValueError, match=endpoint):
        Client(endpoint)


def write_keys(directory, name):
    """Writes the key files name and name.pub, like hal/bus."""
    public, secret = zmq.curve_keypair()
    for path, key, mode in (directory / name, secret, 0o600), (directory / (name + ".pub"), public, 0o644):
        path.write_bytes(key + b"\n")
        path.chmod(mode)
    return public, secret


def test_keys(tmp_path):
    server = Server(keys=write_keys(tmp_path, "server"))
    public, secret = write_keys(tmp_path, "client")
    write_keys(tmp_path, "other")
    good = Keys.load(tmp_path / "server.pub", tmp_path / "client")
    wrong = Keys.load(tmp_path / "other.pub", tmp_path / "client")
    assert good.client_public == public.decode() and secret.decode() not in repr(good)
    with Client(*server.endpoints, keys=good) as client, Client(*server.endpoints, keys=wrong) as wrong_client:
        with Client(*server.endpoints) as plain:
            server.first(client)
            client.send(command(), timeout_s=WAIT_S)
            assert server.command().sequence == 1
            time.sleep(0.3)
            server.publish(observation(2))
            for other in wrong_client, plain:
                with pytest.raises(NoObservation):
                    other.latest(0.2)
    server.close()


@pytest.mark.parametrize(
    "content, mode, want",
    [
        (b"a" * 40, 0o644, "found mode 0644, expected 0600"),
        (b"a" * 39, 0o600, "invalid key of 39 bytes, expected 40 characters of Z85"),
        (b" " * 40, 0o600, "invalid key of 40 bytes, expected 40 characters of Z85"),
        (b"public-key = x", 0o600, "invalid key of 14 bytes, expected 40 characters of Z85"),
    ],
)
def test_keys_load_error(tmp_path, content, mode, want):
    write_keys(tmp_path, "server")
    (tmp_path / "client").write_bytes(content)
    (tmp_path / "client").chmod(mode)
    with pytest.raises(ValueError, match=want):
        Keys.load(tmp_path / "server.pub", tmp_path / "client")
