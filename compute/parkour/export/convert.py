"""Makes the folder of a parkour policy out of a checkpoint that rsl_rl wrote.

    python3 convert.py CHECKPOINT OUT --kind teacher|student --source TEXT

A checkpoint's file can run code when it is loaded as a pickle. It is not: checkpoint.py reads weights and refuses anything
else. Needs the packages numpy and onnx; torch is used where it is there.
"""

import argparse
import hashlib
import pathlib
import sys

import numpy as np

import checkpoint
import network
from checkpoint import Refused

# What a checkpoint has beside what is converted, of use in training only.
TRAINING = ("critic.", "std")


def take(content, part, prefix, shapes, ignored=()):
    """The weights of one network: all of them, of the right shape, and no others under its prefix."""
    weights = content.get(part) if isinstance(content, dict) else None
    if not isinstance(weights, dict):
        raise Refused(f"{part}: found none, expected a dictionary of weights")
    taken = {}
    for name, shape in shapes.items():
        value = weights.get(prefix + name)
        if not isinstance(value, np.ndarray):
            raise Refused(f"{part}: {prefix}{name}: found none, expected a tensor of shape {list(shape)}")
        if value.shape != shape or value.dtype != np.float32:
            raise Refused(f"{part}: {prefix}{name}: found {value.dtype} of shape {list(value.shape)}, expected float32 of shape {list(shape)}")
        if not np.isfinite(value).all():
            raise Refused(f"{part}: {prefix}{name}: found values that are not finite, expected numbers")
        taken[name] = value
    for name in weights:
        if name not in {prefix + n for n in shapes} and not str(name).startswith(ignored):
            raise Refused(f"{part}: found {name}, expected only the weights of the documented network: another one would compute something else")
    return taken


def convert(content, kind):
    """The graphs of the policy."""
    estimator = network.estimator(take(content, "estimator_state_dict", "", network.ESTIMATOR))
    if kind == "teacher":
        weights = take(content, "model_state_dict", "actor.", network.ACTOR, TRAINING)
        return {"policy": network.actor(weights, from_depth=False), "estimator": estimator}
    # In a student's checkpoint the actor that sees is another than the teacher's.
    weights = take(content, "depth_actor_state_dict", "", network.ACTOR)
    encoder = take(content, "depth_encoder_state_dict", "", network.DEPTH_ENCODER)
    return {"policy": network.actor(weights, from_depth=True), "estimator": estimator, "depth_encoder": network.depth_encoder(encoder)}


def main(args):
    parser = argparse.ArgumentParser(prog="convert", description="Makes the folder of a parkour policy out of a checkpoint of rsl_rl.")
    parser.add_argument("checkpoint", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path, help="folder to make")
    parser.add_argument("--kind", choices=("teacher", "student"), required=True, help="which of its policies")
    parser.add_argument("--name", help="name of the policy; parkour_teacher or parkour_student by default")
    parser.add_argument("--source", required=True, help="where the checkpoint comes from, for the manifest")
    parser.add_argument("--license", default="", help="license of the weights, for the manifest")
    options = parser.parse_args(args)
    try:
        if options.out.exists():
            raise Refused(f"{options.out}: found it there already, expected to make it")
        content = checkpoint.load(options.checkpoint)
        graphs = convert(content, options.kind)
        sha256 = hashlib.sha256(options.checkpoint.read_bytes()).hexdigest()
        network.write_policy(options.out, options.name or f"parkour_{options.kind}", graphs, {
            "source": options.source, "path": f"{options.checkpoint.name} sha256 {sha256}", "license": options.license,
        })
    except (Refused, OSError) as e:
        print(f"convert: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
