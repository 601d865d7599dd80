"""Tests of the estimated time of a server, on a simulated network."""

import random

import pytest

from krabby_hal import ControlReply, FrameError, NoClock, NoPeer, NoReply, RejectReason
from krabby_hal.clock import Clock
from krabby_hal.control import Exchange

MS = 1_000_000  # ns
HOUR = 3600 * 1000 * MS


class Network:
    """Simulates a server with delays and a clock of its own."""

    def __init__(self, session_id=1, offset_ns=HOUR, ppm=0):
        self.local_ns, self.session_id, self.offset_ns, self.ppm = HOUR, session_id, offset_ns, ppm
        self.forward_delay = self.backward_delay = lambda: 100_000
        self.error = None
        self.change = lambda exchange: exchange
        self.clock = Clock(self.exchange, lambda: self.local_ns)

    def server_ns(self):
        return self.local_ns + self.offset_ns + int(self.local_ns * self.ppm * 1e-6)

    def exchange(self):
        if self.error is not None:
            raise self.error
        sent_ns, session_id = self.local_ns, self.session_id
        self.local_ns += self.forward_delay()
        received_ns = self.server_ns()
        self.local_ns += 20_000
        reply = ControlReply(0, "idle", session_id=session_id, received_ns=received_ns, sent_ns=self.server_ns())
        self.local_ns += self.backward_delay()
        return self.change(Exchange(reply, sent_ns, self.local_ns))

    def synchronize(self):
        self.clock.synchronize()
        return self.clock.estimate()


@pytest.mark.parametrize("offset_ns", [0, 3 * HOUR, -5 * HOUR, 1000 * HOUR])
@pytest.mark.parametrize("ppm", [0, 50, -50, 100])
def test_clock_bound(offset_ns, ppm):
    rng = random.Random(1)
    network = Network(offset_ns=offset_ns, ppm=ppm)
    network.forward_delay = lambda: int(rng.expovariate(1) * 3 * MS)
    network.backward_delay = lambda: int(rng.expovariate(1) * 0.3 * MS)
    last_ns = 0
    for _ in range(50):
        network.synchronize()
        for _ in range(20):
            network.local_ns += 100 * MS
            now_ns = network.clock.now_ns(1)
            error_ns = abs(now_ns - network.server_ns())
            # The time does not go back, and may therefore stay.
            assert error_ns <= network.clock.estimate().bound_ns + 10 or now_ns == last_ns
            assert last_ns == 0 or now_ns >= last_ns
            last_ns = now_ns
    assert network.clock.estimate().jumps == 0


def test_shortest_round_trip():
    network = Network()
    delays = iter([20 * MS, 5 * MS, 200_000, 9 * MS, 3 * MS, MS, MS, 40 * MS])
    network.forward_delay = lambda: next(delays)  # The backward delay is constant.
    estimate = network.synchronize()
    assert (estimate.round_trip_ns, estimate.offset_ns - HOUR) == (300_000, 50_000)
    assert estimate.age_ns == 54 * MS + 5 * 120_000  # The time of the exchanges after it.


def test_estimate_expires():
    network = Network()
    with pytest.raises(NoClock, match="no estimate was made yet"):
        network.clock.now_ns(1)
    network.synchronize()
    network.local_ns += 9_900 * MS
    assert abs(network.clock.now_ns(1) - network.server_ns()) <= network.clock.estimate().bound_ns
    network.clock._needed.clear()
    network.local_ns += 200 * MS
    with pytest.raises(
        NoClock, match=r"the last estimate is 10\.1\d\d s old, and the clocks may have drifted apart by more than 1 ms"
    ):
        network.clock.now_ns(1)
    assert network.clock._needed.is_set()


def slow(network):
    network.forward_delay = lambda: 51 * MS


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
        (fail(NoPeer("no server")), "no server"),
        (fail(NoReply("no reply")), "no reply"),
        (fail(FrameError(RejectReason.MAGIC, "x")), "magic: x"),
        (slow, "found a round trip of 51.1 ms in the best of 8 exchanges, expected at most 50 ms"),
        (change(sent_ns=-21_000), "no consistent exchange among 8"),
        (change(sent_ns=1000 * MS), "no consistent exchange among 8"),
        (change(status=1), "no consistent exchange among 8"),
    ],
)
def test_synchronize_error(spoil, want):
    network = Network()
    spoil(network)
    for call in network.clock.synchronize, lambda: network.clock.now_ns(1), network.clock.estimate:
        with pytest.raises(NoClock, match="the server's time is not known: .*" + want):
            call()
    network = Network()
    network.synchronize()
    spoil(network)
    with pytest.raises(NoClock):
        network.clock.synchronize()
    assert abs(network.clock.now_ns(1) - network.server_ns()) <= network.clock.estimate().bound_ns


def test_server_restart():
    network = Network(session_id=1, offset_ns=3 * HOUR)
    network.synchronize()
    with pytest.raises(NoClock, match="found a message of session 2, expected 1"):
        network.clock.now_ns(2)
    assert network.clock._needed.is_set()
    exchanges = []

    def restart(exchange):  # During synchronize, with a clock that is behind: the time goes back.
        exchanges.append(exchange)
        if len(exchanges) == 4:
            network.session_id, network.offset_ns = 2, -5 * HOUR
        return exchange

    network.change = restart
    estimate = network.synchronize()
    assert estimate.session_id == 2 and abs(estimate.offset_ns + 5 * HOUR) < MS
    assert network.clock.now_ns(2) == network.server_ns()
    with pytest.raises(NoClock):
        network.clock.now_ns(1)

    def disconnect(exchange):  # The first reply of another session invalidates the estimate.
        exchange.reply.session_id, network.error = 3, NoReply("gone")
        return exchange

    network.change = disconnect
    with pytest.raises(NoClock):
        network.clock.synchronize()
    with pytest.raises(NoClock):
        network.clock.now_ns(2)


def test_clock_jump():
    network = Network()
    network.synchronize()
    network.clock.now_ns(1)
    network.offset_ns -= 60_000 * MS  # The server's machine was suspended.
    estimate = network.synchronize()
    assert estimate.jumps == 1 and abs(network.clock.now_ns(1) - network.server_ns()) <= estimate.bound_ns
