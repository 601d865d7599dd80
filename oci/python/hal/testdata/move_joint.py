"""Moves the first joint of a robot to a target over TCP, and prints a report as JSON.

Usage: move_joint.py OBSERVATIONS COMMANDS TARGET_RAD [SERVER_PUBLIC_KEY CLIENT_SECRET_KEY]
"""

import json
import sys
import time

import numpy
from krabby_hal import Client, JointCommand, Keys, NoObservation, NoPeer

TIMEOUT_S = 30
CLOSE_RAD = 0.05  # The synthetic robot sways around its target.
OUT_OF_RANGE_RAD, OUT_OF_RANGE_TIMES = 50.0, 3


def command(joints, first_rad):
    return JointCommand([first_rad] + [0.0] * (joints - 1), [35.0] * joints, [0.5] * joints)


def reads_without_keys(observations, commands):
    with Client(observations, commands) as client:
        try:
            return client.latest(2).sequence > 0
        except NoObservation:
            return False


def main():
    observations, commands, target_rad = sys.argv[1], sys.argv[2], float(sys.argv[3])
    keys = Keys.load(*sys.argv[4:]) if sys.argv[4:] else None
    deadline = time.monotonic() + TIMEOUT_S
    sequences, ages_s, images = [], [], 0
    with Client(observations, commands, joints=12, feet=4, keys=keys) as client:
        while True:
            observation = client.latest(TIMEOUT_S)
            sequences.append(observation.sequence)
            ages_s.append(client.age_s(observation))
            # The Go test sets each pixel to the lowest byte of the sequence.
            images += bool((observation.rgb_1.pixels == observation.rgb_1.sequence % 256).all())
            arrived = bool(abs(observation.position_rad[0] - target_rad) < CLOSE_RAD)
            if arrived or time.monotonic() > deadline:
                break
            # The other joints keep their positions.
            target_command = JointCommand(observation.position_rad.copy(), [35.0] * 12, [0.5] * 12)
            target_command.target_rad[0] = target_rad
            client.send(target_command, answers=observation, timeout_s=TIMEOUT_S)
        sent = client.health().sent
        for _ in range(OUT_OF_RANGE_TIMES):  # A command may be lost if another one replaces it while it is read.
            client.send(command(12, OUT_OF_RANGE_RAD), timeout_s=TIMEOUT_S)
            time.sleep(0.2)  # The server receives a command at each of its ticks.
        health = client.health()
        print(
            json.dumps(
                {
                    "arrived": arrived,
                    "position_rad": float(observation.position_rad[0]),
                    "session_id": observation.session_id,
                    "ascending": bool((numpy.diff(sequences) > 0).all()),
                    "shape": list(observation.rgb_1.pixels.shape),
                    "rate_hz": observation.rgb_1.rate_hz,
                    "images": images,
                    "depth": bool((observation.depth.values == 1.5).all()),
                    "observations": len(sequences),
                    "min_age_s": min(ages_s),
                    "base_velocity_known": observation.base_velocity_mps is not None,
                    "sent": sent,
                    "read_without_keys": reads_without_keys(observations, commands),
                    "health": health.to_dict(),
                }
            )
        )
    with Client(observations, "tcp://127.0.0.1:9", keys=keys) as client:
        client.latest(TIMEOUT_S)
        try:
            client.send(command(12, 0.0))
        except NoPeer:
            return
    sys.exit("a command was sent without a server")


if __name__ == "__main__":
    main()
