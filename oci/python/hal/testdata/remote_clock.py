"""Runs one action on a robot whose clock is that of another machine, and prints a report as JSON.

Usage: remote_clock.py OBSERVATIONS COMMANDS CONTROL [SERVER_PUBLIC_KEY CLIENT_SECRET_KEY] ACTION [TARGET_RAD]

Actions:
    unsynchronized: moves the first joint to the target with this machine's clock, for at most one second.
    synchronized: moves the first joint to the target with the server's clock, for at most one second if the robot is stopped.
    e_stop: stops the robot.
    reset: resets the robot.
"""

import json
import math
import sys
import time

from krabby_hal import Client, Control, JointCommand, Keys, Rejected

TIMEOUT_S = 30
ATTEMPT_S = 1
CLOSE_RAD = 0.05  # The synthetic robot sways around its target.


def move(client, target_rad, timeout_s):
    """Returns whether the joint arrived, and the minimum age of the observations, s."""
    deadline = time.monotonic() + timeout_s
    min_age_s = math.inf
    while time.monotonic() < deadline:
        observation = client.latest(TIMEOUT_S)
        min_age_s = min(min_age_s, client.age_s(observation))
        if abs(observation.position_rad[0] - target_rad) < CLOSE_RAD:
            return True, min_age_s
        command = JointCommand(observation.position_rad.copy(), [35.0] * 12, [0.5] * 12)
        command.target_rad[0] = target_rad
        client.send(command, answers=observation, timeout_s=TIMEOUT_S)
    return False, min_age_s


def main():
    observations, commands, control, *keys, action = sys.argv[1:] if sys.argv[-1] in ("e_stop", "reset") else sys.argv[1:-1]
    keys = Keys.load(*keys) if keys else None
    report = {}
    if action == "unsynchronized":
        with Client(observations, commands, joints=12, feet=4, keys=keys) as client, Control(control, keys=keys) as control:
            report["moved"], report["age_s"] = move(client, float(sys.argv[-1]), ATTEMPT_S)
            report["state"] = control.state(TIMEOUT_S).to_dict()
    else:
        with Client(observations, commands, control=control, joints=12, feet=4, keys=keys) as client:
            if action == "synchronized":
                stopped = client.state(TIMEOUT_S).state == "stopped"
                report["moved"], report["age_s"] = move(client, float(sys.argv[-1]), ATTEMPT_S if stopped else TIMEOUT_S)
                report["health"] = client.health().to_dict()
                report["state"] = client.state(TIMEOUT_S).to_dict()
            else:
                try:
                    report["state"] = getattr(client, action)(TIMEOUT_S).to_dict()
                except Rejected as error:
                    report["error"], report["state"] = str(error), error.reply.to_dict()
    print(json.dumps(report))


if __name__ == "__main__":
    main()
