"""Decodes the frames of a file, and prints where it does not agree with the Go side as JSON.

Each line of the file is an object: kind, frame (base64) and cause, which is empty for a good frame.
Good frames are encoded again and printed, for the Go side to compare.
"""

import base64
import collections
import json
import sys

import krabby_hal


def main():
    causes, disagreements, again = collections.Counter(), [], []
    with open(sys.argv[1], encoding="utf-8") as file:
        for number, line in enumerate(file):
            case = json.loads(line)
            decode = getattr(krabby_hal, "decode_" + case["kind"])
            encode = getattr(krabby_hal, "encode_" + case["kind"])
            try:
                message = decode(base64.b64decode(case["frame"]))
            except krabby_hal.FrameError as error:
                found = error.cause.value
            else:
                found = ""
                again.append({"case": number, "frame": base64.b64encode(encode(message)).decode()})
            causes[found] += 1
            if found != case["cause"]:
                disagreements.append({"case": number, "found": found, "expected": case["cause"]})
    print(json.dumps({"causes": causes, "disagreements": disagreements[:10], "again": again}))


if __name__ == "__main__":
    main()
