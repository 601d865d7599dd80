"""Builds the networks of the parkour policy as ONNX models, and writes policy directories.

Weights are a dictionary from their names in an rsl_rl checkpoint to float32 arrays. ACTOR, ESTIMATOR and DEPTH_ENCODER have
the names and shapes of each network. Needs the packages numpy and onnx.
"""

import hashlib
import json
import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Sizes of the parts of an observation: proprioception, scan, privileged states, privileged parameters, steps of history.
PROP, SCAN, EXPLICIT, LATENT, HISTORY = 53, 132, 9, 29, 10
ACTIONS = 12
OBSERVATION = PROP + SCAN + EXPLICIT + LATENT + HISTORY * PROP  # 753
SCAN_LATENT, MEMORY = 32, 512
DEPTH_HEIGHT, DEPTH_WIDTH = 58, 87


def _linear(name, inputs, outputs):
    """Returns the shapes of the weights of a fully connected layer."""
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _conv(name, inputs, outputs, *kernel):
    """Returns the shapes of the weights of a convolution."""
    return {f"{name}.weight": (outputs, inputs, *kernel), f"{name}.bias": (outputs,)}


# The actor. A checkpoint has the encoder of privileged parameters, "priv_encoder", but actor leaves it out: only training
# uses it.
ACTOR = {
    **_linear("priv_encoder.0", LATENT, 64),
    **_linear("priv_encoder.2", 64, 20),
    **_linear("scan_encoder.0", SCAN, 128),
    **_linear("scan_encoder.2", 128, 64),
    **_linear("scan_encoder.4", 64, SCAN_LATENT),
    **_linear("history_encoder.encoder.0", PROP, 30),
    **_conv("history_encoder.conv_layers.0", 30, 20, 4),
    **_conv("history_encoder.conv_layers.2", 20, 10, 2),
    **_linear("history_encoder.linear_output.0", 30, 20),
    **_linear("actor_backbone.0", PROP + SCAN_LATENT + EXPLICIT + 20, 512),
    **_linear("actor_backbone.2", 512, 256),
    **_linear("actor_backbone.4", 256, 128),
    **_linear("actor_backbone.6", 128, ACTIONS),
}

ESTIMATOR = {
    **_linear("estimator.0", PROP, 128),
    **_linear("estimator.2", 128, 64),
    **_linear("estimator.4", 64, EXPLICIT),
}

DEPTH_ENCODER = {
    **_conv("base_backbone.image_compression.0", 1, 32, 5, 5),
    **_conv("base_backbone.image_compression.3", 32, 64, 3, 3),
    **_linear("base_backbone.image_compression.6", 64 * 25 * 39, 128),
    **_linear("base_backbone.image_compression.8", 128, SCAN_LATENT),
    **_linear("combination_mlp.0", SCAN_LATENT + PROP, 128),
    **_linear("combination_mlp.2", 128, SCAN_LATENT),
    "rnn.weight_ih_l0": (3 * MEMORY, SCAN_LATENT),
    "rnn.weight_hh_l0": (3 * MEMORY, MEMORY),
    "rnn.bias_ih_l0": (3 * MEMORY,),
    "rnn.bias_hh_l0": (3 * MEMORY,),
    **_linear("output_mlp.0", MEMORY, SCAN_LATENT + 2),
}


class _Graph:
    """Builds an ONNX graph. Methods for operators add nodes and return the name of the output."""

    def __init__(self, weights):
        self.weights, self.nodes, self.initializers = weights, [], {}

    def node(self, op, inputs, output=None, outputs=1, **attributes):
        """Adds a node. With more than one output, returns a list of names."""
        names = [output] if output else [f"{op.lower()}_{len(self.nodes)}" + (f"_{i}" if i else "") for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, name, value):
        """Adds an initializer with an array and returns its name."""
        self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def weight(self, name):
        """Adds a weight as an initializer and returns its name."""
        return self.constant(name, self.weights[name].astype(np.float32))

    def linear(self, x, name, output=None):
        """Adds a fully connected layer."""
        return self.node("Gemm", [x, self.weight(f"{name}.weight"), self.weight(f"{name}.bias")], output, transB=1)

    def conv(self, x, name, stride=1):
        """Adds a convolution without padding, of as many dimensions as its kernel has."""
        weight = self.weights[f"{name}.weight"]
        dimensions = weight.ndim - 2
        return self.node(
            "Conv", [x, self.weight(f"{name}.weight"), self.weight(f"{name}.bias")],
            kernel_shape=list(weight.shape[2:]), strides=[stride] * dimensions,
        )

    def elu(self, x):
        """Adds an ELU activation."""
        return self.node("Elu", [x])

    def mlp(self, x, names, output=None):
        """Adds fully connected layers with ELU between them."""
        for name in names[:-1]:
            x = self.elu(self.linear(x, name))
        return self.linear(x, names[-1], output)

    def slice(self, x, begin, end):
        """Adds a slice along axis 1."""
        return self.node("Slice", [x] + [
            self.constant(f"{what}_{value}", np.array([value], np.int64)) for what, value in (("at", begin), ("at", end), ("axis", 1))
        ])

    def reshape(self, x, *shape):
        """Adds a change of shape."""
        return self.node("Reshape", [x, self.constant("shape_" + "_".join(map(str, shape)), np.array(shape, np.int64))])

    def model(self, name, inputs, outputs):
        """Returns the encoded ONNX model, inputs and outputs.

        inputs and outputs are dictionaries from names to shapes. The bytes depend only on the graph.
        """
        def declare(tensors):
            return [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in tensors.items()]

        graph = helper.make_graph(self.nodes, name, declare(inputs), declare(outputs), list(self.initializers.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="krabby")
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString(deterministic=True), inputs, outputs


def actor(weights, from_depth):
    """Returns the actor, as _Graph.model does: from obs [1 753] to action [1 12].

    With from_depth, the latent of the scan is the input scan_latent [1 32], an output of the depth encoder.
    """
    g = _Graph(weights)
    end_of_scan, end_of_explicit = PROP + SCAN, PROP + SCAN + EXPLICIT
    inputs = {"obs": (1, OBSERVATION)}
    if from_depth:
        inputs["scan_latent"] = (1, SCAN_LATENT)
        scan = "scan_latent"
    else:
        scan = g.node("Tanh", [g.mlp(g.slice("obs", PROP, end_of_scan), [f"scan_encoder.{i}" for i in (0, 2, 4)])])
    history = g.reshape(g.slice("obs", OBSERVATION - HISTORY * PROP, OBSERVATION), HISTORY, PROP)
    history = g.elu(g.linear(history, "history_encoder.encoder.0"))
    history = g.reshape(g.node("Transpose", [history], perm=[1, 0]), 1, 30, HISTORY)
    history = g.elu(g.conv(history, "history_encoder.conv_layers.0", stride=2))
    history = g.elu(g.conv(history, "history_encoder.conv_layers.2"))
    history = g.elu(g.linear(g.node("Flatten", [history]), "history_encoder.linear_output.0"))
    x = g.node("Concat", [g.slice("obs", 0, PROP), scan, g.slice("obs", end_of_scan, end_of_explicit), history], axis=1)
    g.mlp(x, [f"actor_backbone.{i}" for i in (0, 2, 4, 6)], "action")
    return g.model("actor", inputs, {"action": (1, ACTIONS)})


def estimator(weights):
    """Returns the estimator, as _Graph.model does: from prop [1 53] to the privileged states, priv_explicit [1 9]."""
    g = _Graph(weights)
    g.mlp("prop", [f"estimator.{i}" for i in (0, 2, 4)], "priv_explicit")
    return g.model("estimator", {"prop": (1, PROP)}, {"priv_explicit": (1, EXPLICIT)})


def depth_encoder(weights):
    """Returns the depth encoder, as _Graph.model does.

    It computes latent_and_yaw [1 34], the latent of the scan and two yaw angles, and memory_out [1 512] from depth [1 58 87],
    prop [1 53] and memory_in [1 512], the state of its GRU.
    """
    g = _Graph(weights)
    x = g.conv(g.reshape("depth", 1, 1, DEPTH_HEIGHT, DEPTH_WIDTH), "base_backbone.image_compression.0")
    x = g.elu(g.node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2]))
    x = g.elu(g.conv(x, "base_backbone.image_compression.3"))
    x = g.elu(g.mlp(g.node("Flatten", [x]), [f"base_backbone.image_compression.{i}" for i in (6, 8)]))
    x = g.mlp(g.node("Concat", [x, "prop"], axis=1), [f"combination_mlp.{i}" for i in (0, 2)])

    def gates(name):
        """Returns a weight of the GRU in ONNX's order of gates, update, reset, new. PyTorch's is reset, update, new."""
        reset, update, new = np.split(weights[name].astype(np.float32), 3)
        return np.concatenate([update, reset, new])

    bias = np.concatenate([gates("rnn.bias_ih_l0"), gates("rnn.bias_hh_l0")])
    memory = g.reshape("memory_in", 1, 1, MEMORY)
    g.nodes.append(helper.make_node(
        "GRU",
        [
            g.reshape(x, 1, 1, SCAN_LATENT), g.constant("rnn.w", gates("rnn.weight_ih_l0")[None]),
            g.constant("rnn.r", gates("rnn.weight_hh_l0")[None]), g.constant("rnn.b", bias[None]), "", memory,
        ],
        ["", "rnn_state"], hidden_size=MEMORY, linear_before_reset=1,
    ))
    out = g.node("Reshape", ["rnn_state", g.constant("shape_memory", np.array([1, MEMORY], np.int64))], "memory_out")
    g.node("Tanh", [g.linear(out, "output_mlp.0")], "latent_and_yaw")
    return g.model(
        "depth_encoder",
        {"depth": (1, DEPTH_HEIGHT, DEPTH_WIDTH), "prop": (1, PROP), "memory_in": (1, MEMORY)},
        {"latent_and_yaw": (1, SCAN_LATENT + 2), "memory_out": (1, MEMORY)},
    )


# The Go2's joints in the order of the actions: type-major.
LEGS = ("FL", "FR", "RL", "RR")
JOINT_ORDER = [f"{leg}_{kind}_joint" for kind in ("hip", "thigh", "calf") for leg in LEGS]
DEFAULT_POSE_RAD = [0.1, -0.1, 0.1, -0.1, 0.8, 0.8, 1.0, 1.0, -1.5, -1.5, -1.5, -1.5]

# The terms of an observation, in order: PROP values of the proprioception, which the history has, and SCAN + EXPLICIT + LATENT that it
# has not. Scaled values are clipped to +-100, so that a clip is 100 divided by the scale.
TERMS = [
    {"term": "base_ang_vel", "clip": 400, "scale": 0.25},
    {"term": "roll_pitch", "clip": 100},
    {"term": "constant", "size": 1},
    {"term": "slot", "name": "goal_yaw", "size": 2, "zero_in_history": True},
    {"term": "constant", "size": 2},
    {"term": "velocity_command", "axes": ["vx"], "deadband": 0.2, "clip": 100},
    {"term": "slot", "name": "ground", "size": 2},
    {"term": "joint_pos_rel", "clip": 100},
    {"term": "joint_vel", "clip": 2000, "scale": 0.05},
    {"term": "last_action", "clip": 100},
    {"term": "foot_contact", "feet": list(LEGS), "offset": -0.5},
    {"term": "slot", "name": "scan", "size": SCAN, "history_steps": 0},
    {"term": "slot", "name": "privileged_state", "size": EXPLICIT, "history_steps": 0},
    {"term": "slot", "name": "privileged_parameter", "size": LATENT, "history_steps": 0},
]


def write_policy(directory, name, graphs, provenance):
    """Writes a policy directory: models and manifest.json of schema version 3.

    graphs is a dictionary from "policy", "estimator" and, for a student, "depth_encoder" to what the function of that
    network returns. provenance is a dictionary with the keys source, path and license.
    """
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    files, declared = {}, {}
    for graph, (content, inputs, outputs) in graphs.items():
        file = f"{graph}.onnx"
        (directory / file).write_bytes(content)
        files[file] = hashlib.sha256(content).hexdigest()
        declared[graph] = {
            "file": file,
            "inputs": [{"name": n, "shape": list(shape)} for n, shape in inputs.items()],
            "outputs": [{"name": n, "shape": list(shape)} for n, shape in outputs.items()],
        }
        if graph == "depth_encoder":
            declared[graph] |= {"states": [{"input": "memory_in", "output": "memory_out"}], "every_steps": 5}
    (directory / "manifest.json").write_text(json.dumps({
        "schema_version": 3,
        "name": name,
        "robot": "go2",
        "files": files,
        "joint_order": JOINT_ORDER,
        "default_pose_rad": DEFAULT_POSE_RAD,
        "gains": {"kp": 40, "kd": 1},
        "action": {"clip": 4.8, "scale": 0.25},
        "observation": {
            "size": OBSERVATION,
            "terms": TERMS,
            "history": {"steps": HISTORY, "layout": "step", "order": "oldest_first", "start": "repeat", "push": "after"},
            "provider": "parkour",
        },
        "command_ranges": {"vy_mps": [0, 0], "yaw_rate_rad_per_sec": [0, 0]},
        "control_rate_hz": 50,
        "graphs": declared,
        "provenance": provenance,
    }, indent=2) + "\n")
