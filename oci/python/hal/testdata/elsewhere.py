"""Does one thing with a robot whose clock is another machine's, and prints what came of it as JSON.

Usage: elsewhere.py OBSERVATIONS COMMANDS CONTROL [SERVER_PUBLIC_KEY CLIENT_SECRET_KEY] ACTION [TARGET_RAD]

plain moves the first joint to the target, or tries to for a second, by this machine's time; follow does by the server's,
and tries for a second where the robot is stopped. e_stop and reset are what they say.
"""

import json
import math
import sys
import time

from krabby_hal import Client, Control, JointCommand, Keys, Refused

TIMEOUT_S = 30
TRY_S = 1
CLOSE_RAD = 0.05  # The synthetic robot sways around its target.


def move(client, target_rad, timeout_s):
    """Says whether the joint arrived, and the age of the youngest observation."""
    deadline = time.monotonic() + timeout_s
    youngest_s = math.inf
    while time.monotonic() < deadline:
        observation = client.latest(TIMEOUT_S)
        youngest_s = min(youngest_s, client.age_s(observation))
        if abs(observation.position_rad[0] - target_rad) < CLOSE_RAD:
            return True, youngest_s
        wanted = JointCommand(observation.position_rad.copy(), [35.0] * 12, [0.5] * 12)
        wanted.target_rad[0] = target_rad
        client.send(wanted, answers=observation, timeout_s=TIMEOUT_S)
    return False, youngest_s


def main():
    observations, commands, control, *keys, action = sys.argv[1:] if sys.argv[-1] in ("e_stop", "reset") else sys.argv[1:-1]
    keys = Keys.load(*keys) if keys else None
    report = {}
    if action == "plain":
        with Client(observations, commands, joints=12, feet=4, keys=keys) as client, Control(control, keys=keys) as control:
            report["moved"], report["age_s"] = move(client, float(sys.argv[-1]), TRY_S)
            report["state"] = control.state(TIMEOUT_S).to_dict()
    else:
        with Client(observations, commands, control=control, joints=12, feet=4, keys=keys) as client:
            if action == "follow":
                stopped = client.state(TIMEOUT_S).state == "stopped"
                report["moved"], report["age_s"] = move(client, float(sys.argv[-1]), TRY_S if stopped else TIMEOUT_S)
                report["health"] = client.health().to_dict()
                report["state"] = client.state(TIMEOUT_S).to_dict()
            else:
                try:
                    report["state"] = getattr(client, action)(TIMEOUT_S).to_dict()
                except Refused as error:
                    report["error"], report["state"] = str(error), error.reply.to_dict()
    print(json.dumps(report))


if __name__ == "__main__":
    main()
