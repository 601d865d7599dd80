"""Decodes the frames of a file, compares the results with those of the Go implementation, and prints a report as JSON.

Each line of the file is an object with kind, frame (base64) and reason, the reject reason, which is empty for valid frames. The
report contains the encodings of the decoded messages, for comparison by the Go test.

Usage: compare_frames.py FILE
"""

import base64
import collections
import json
import sys

import krabby_hal


def main():
    reasons, differences, encoded = collections.Counter(), [], []
    with open(sys.argv[1], encoding="utf-8") as file:
        for number, line in enumerate(file):
            case = json.loads(line)
            decode = getattr(krabby_hal, "decode_" + case["kind"])
            encode = getattr(krabby_hal, "encode_" + case["kind"])
            try:
                message = decode(base64.b64decode(case["frame"]))
            except krabby_hal.FrameError as error:
                found = error.reason.value
            else:
                found = ""
                encoded.append({"case": number, "frame": base64.b64encode(encode(message)).decode()})
            reasons[found] += 1
            if found != case["reason"]:
                differences.append({"case": number, "found": found, "expected": case["reason"]})
    print(json.dumps({"reasons": reasons, "differences": differences[:10], "encoded": encoded}))


if __name__ == "__main__":
    main()
