"""Converts an rsl_rl checkpoint to the policy directory of a parkour policy.

    python3 convert.py CHECKPOINT OUT --kind teacher|student --source TEXT

A pickle can execute code while it is loaded. This program does not unpickle arbitrary objects: checkpoint.py reads weights
and rejects everything else. Needs the packages numpy and onnx, and uses torch where it is installed. Exit codes: 0 if the
directory was written, 1 with one line on standard error if not, 2 for an invalid command line.
"""

import argparse
import hashlib
import pathlib
import sys

import numpy as np

import checkpoint
import network
from checkpoint import CheckpointError

# Prefixes of entries in "model_state_dict" that only training uses.
TRAINING = ("critic.", "std")


def select(content, part, prefix, shapes, ignored=()):
    """Returns the weights of one network: a dictionary from the names in shapes to float32 arrays.

    content is a checkpoint's, part the key of a dictionary of weights in it, prefix the part of the names in it that shapes
    leaves out. Raises CheckpointError unless all weights are there, in the right shape and finite, and no others but
    those whose names begin with one of ignored.
    """
    weights = content.get(part) if isinstance(content, dict) else None
    if not isinstance(weights, dict):
        raise CheckpointError(f"{part}: dictionary of weights not found")
    selected = {}
    for name, shape in shapes.items():
        value = weights.get(prefix + name)
        if not isinstance(value, np.ndarray):
            raise CheckpointError(f"{part}: {prefix}{name}: tensor of shape {list(shape)} not found")
        if value.shape != shape or value.dtype != np.float32:
            raise CheckpointError(f"{part}: {prefix}{name}: found {value.dtype} of shape {list(value.shape)}, expected float32 of shape {list(shape)}")
        if not np.isfinite(value).all():
            raise CheckpointError(f"{part}: {prefix}{name}: found NaN or infinity, expected finite numbers")
        selected[name] = value
    for name in weights:
        if name not in {prefix + n for n in shapes} and not str(name).startswith(ignored):
            raise CheckpointError(f"{part}: found {name}, expected only the weights of the documented network: another network computes something else")
    return selected


def convert(content, kind):
    """Returns the graphs of a policy, as network.write_policy takes them.

    content is a checkpoint's, kind "teacher" or "student". Raises CheckpointError.
    """
    estimator = network.estimator(select(content, "estimator_state_dict", "", network.ESTIMATOR))
    if kind == "teacher":
        weights = select(content, "model_state_dict", "actor.", network.ACTOR, TRAINING)
        return {"policy": network.actor(weights, from_depth=False), "estimator": estimator}
    # The checkpoint of a student has both actors: its own is "depth_actor", the teacher's is in "model_state_dict".
    weights = select(content, "depth_actor_state_dict", "", network.ACTOR)
    encoder = select(content, "depth_encoder_state_dict", "", network.DEPTH_ENCODER)
    return {"policy": network.actor(weights, from_depth=True), "estimator": estimator, "depth_encoder": network.depth_encoder(encoder)}


def main(args):
    """Runs the program and returns its exit code."""
    parser = argparse.ArgumentParser(prog="convert", description="Converts an rsl_rl checkpoint to the policy directory of a parkour policy.")
    parser.add_argument("checkpoint", type=pathlib.Path, help="checkpoint, .pt")
    parser.add_argument("out", type=pathlib.Path, help="policy directory to create")
    parser.add_argument("--kind", choices=("teacher", "student"), required=True, help="policy of the checkpoint to convert")
    parser.add_argument("--name", help="name of the policy (default: parkour_teacher or parkour_student)")
    parser.add_argument("--source", required=True, help="origin of the checkpoint, for the manifest")
    parser.add_argument("--license", default="", help="license of the weights, for the manifest")
    options = parser.parse_args(args)
    try:
        if options.out.exists():
            raise CheckpointError(f"{options.out}: already exists")
        content = checkpoint.load(options.checkpoint)
        graphs = convert(content, options.kind)
        sha256 = hashlib.sha256(options.checkpoint.read_bytes()).hexdigest()
        network.write_policy(options.out, options.name or f"parkour_{options.kind}", graphs, {
            "source": options.source, "path": f"{options.checkpoint.name} sha256 {sha256}", "license": options.license,
        })
    except (CheckpointError, OSError) as e:
        print(f"convert: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
