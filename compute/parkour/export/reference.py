"""Makes policies of the parkour kind with seeded weights, and what they should see and do in an episode of 200 steps.

Trained weights are not to be had; these stand in for them wherever only the shapes matter. The observation and the networks
are computed here in numpy, in double precision and from the layout alone, and share nothing with the graphs but the weights:
that is what the Go code is held against.

    python3 reference.py OUT

writes the policies OUT/teacher and OUT/student, and OUT/golden: episode.json with the sensors' values, depth.f32 with the
images, and for each policy a file of float32, one row a step. Needs the packages numpy and onnx.
"""

import json
import pathlib
import sys

import numpy as np

import network
from network import DEFAULT_POSE_RAD, JOINT_ORDER, LEGS

STEPS, SEED = 200, 20240501
IMAGE = (60, 106)
LEG_MAJOR = [f"{leg}_{kind}_joint" for leg in LEGS for kind in ("hip", "thigh", "calf")]


def seeded(shapes, rng):
    """Weights as PyTorch would begin with, but for last layers, which are larger: outputs are then of some size, or clipped."""
    weights = {}
    for name, shape in shapes.items():
        fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else int(np.prod(shapes[name.replace("bias", "weight")][1:]))
        weights[name] = (rng.uniform(-1, 1, shape) / np.sqrt(fan_in)).astype(np.float32)
    for name, gain in (("actor_backbone.6.weight", 12), ("actor_backbone.6.bias", 60), ("output_mlp.0.weight", 8)):
        if name in weights:
            weights[name] *= gain
    return weights


def networks(rng):
    """The weights of all networks, by the name of the network."""
    return {name: seeded(shapes, rng) for name, shapes in (
        ("actor", network.ACTOR), ("estimator", network.ESTIMATOR), ("depth_encoder", network.DEPTH_ENCODER))}


# What follows is the reference: numpy only.


def elu(x):
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class Net:
    """Layers by the names of their weights, in double precision."""

    def __init__(self, weights):
        self.w = {name: value.astype(np.float64) for name, value in weights.items()}

    def linear(self, name, x):
        return self.w[name + ".weight"] @ x + self.w[name + ".bias"]

    def mlp(self, names, x):
        for name in names[:-1]:
            x = elu(self.linear(name, x))
        return self.linear(names[-1], x)

    def conv(self, name, x, stride=1):
        """A convolution of any number of dimensions: x has the channels first."""
        weight = self.w[name + ".weight"]
        axes = tuple(range(1, x.ndim))
        windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], axis=axes)
        windows = windows[(slice(None),) + (slice(None, None, stride),) * len(axes)]
        kernel_axes = list(range(1 + len(axes), 1 + 2 * len(axes)))
        out = np.tensordot(weight, windows, (list(range(1, weight.ndim)), [0] + kernel_axes))
        return out + self.w[name + ".bias"].reshape(-1, *[1] * len(axes))


def actor(net, obs, latent=None):
    prop, scan, explicit, history = obs[:53], obs[53:185], obs[185:194], obs[223:].reshape(10, 53)
    if latent is None:
        latent = np.tanh(net.mlp(["scan_encoder.0", "scan_encoder.2", "scan_encoder.4"], scan))
    each = np.stack([elu(net.linear("history_encoder.encoder.0", p)) for p in history], axis=1)
    each = elu(net.conv("history_encoder.conv_layers.0", each, stride=2))
    each = elu(net.conv("history_encoder.conv_layers.2", each))
    remembered = elu(net.linear("history_encoder.linear_output.0", each.reshape(-1)))
    return net.mlp([f"actor_backbone.{i}" for i in (0, 2, 4, 6)], np.concatenate([prop, latent, explicit, remembered]))


def estimate(net, prop):
    return net.mlp(["estimator.0", "estimator.2", "estimator.4"], prop)


def encode_depth(net, image, prop, memory):
    x = net.conv("base_backbone.image_compression.0", image[None])
    height, width = x.shape[1] // 2, x.shape[2] // 2
    x = elu(x[:, :2 * height, :2 * width].reshape(-1, height, 2, width, 2).max(axis=(2, 4)))
    x = elu(net.conv("base_backbone.image_compression.3", x)).reshape(-1)
    x = elu(net.mlp(["base_backbone.image_compression.6", "base_backbone.image_compression.8"], x))
    x = net.mlp(["combination_mlp.0", "combination_mlp.2"], np.concatenate([x, prop]))
    given = np.split(net.w["rnn.weight_ih_l0"] @ x + net.w["rnn.bias_ih_l0"], 3)
    known = np.split(net.w["rnn.weight_hh_l0"] @ memory + net.w["rnn.bias_hh_l0"], 3)
    reset, update = sigmoid(given[0] + known[0]), sigmoid(given[1] + known[1])
    memory = (1 - update) * np.tanh(given[2] + reset * known[2]) + update * memory
    return np.tanh(net.linear("output_mlp.0", memory)), memory


def cubic(x, a=-0.5):
    x = abs(x)
    if x < 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return ((x - 5) * x + 8) * x * a - 4 * a if x < 2 else 0.0


def resampling(before, after):
    """The matrix that resamples so many values bicubically to fewer, with antialiasing."""
    scale = before / after
    matrix = np.array([[cubic((j + 0.5 - scale * (i + 0.5)) / scale) for j in range(before)] for i in range(after)])
    return matrix / matrix.sum(axis=1, keepdims=True)


def preprocess(image):
    """An image of 60x106 in m as the depth encoder wants it."""
    image = np.clip(np.nan_to_num(image.astype(np.float64), nan=2.0, posinf=2.0, neginf=0.0), 0, 2)
    return image[:-2, 4:-4] @ resampling(98, 87).T / 2.0 - 0.5


def ground(terrain, x, y):
    """Heights of the ground, bilinear between the corners of the grid, and beyond its border as at the border."""
    heights = np.array(terrain["height_m"]).reshape(terrain["rows"], terrain["columns"])
    column = np.clip((x - terrain["x_m"]) / terrain["cell_m"], 0, terrain["columns"] - 1)
    row = np.clip((y - terrain["y_m"]) / terrain["cell_m"], 0, terrain["rows"] - 1)
    c, r = np.minimum(column.astype(int), terrain["columns"] - 2), np.minimum(row.astype(int), terrain["rows"] - 2)
    u, v = column - c, row - r
    return ((1 - v) * ((1 - u) * heights[r, c] + u * heights[r, c + 1])
            + v * ((1 - u) * heights[r + 1, c] + u * heights[r + 1, c + 1]))


def scan(terrain, position, yaw):
    ahead, left = np.meshgrid(np.linspace(-0.825, 0.825, 12) + 0.375, np.linspace(-0.75, 0.75, 11))  # x varies fastest.
    x = position[0] + np.cos(yaw) * ahead - np.sin(yaw) * left
    y = position[1] + np.sin(yaw) * ahead + np.cos(yaw) * left
    return np.clip(position[2] - ground(terrain, x, y) - 0.3, -1, 1).reshape(-1)


def quaternion(roll, pitch, yaw):
    """(w, x, y, z) of a yaw, then a pitch, then a roll, each about the axis that the one before left."""
    def about(axis, angle):
        q = np.zeros(4)
        q[0], q[1 + axis] = np.cos(angle / 2), np.sin(angle / 2)
        return q

    def times(a, b):
        return np.concatenate([[a[0] * b[0] - a[1:] @ b[1:]], a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:])])

    return times(times(about(2, yaw), about(1, pitch)), about(0, roll))


def episode(rng):
    """What the sensors say, step by step, and the ground: nothing that a robot would do, but everything that can vary."""
    waves = {name: rng.uniform(0.3, 3.0, size) for name, size in (("angle", 3), ("rate", 3), ("joint", 12), ("speed", 12), ("heading", 2))}
    phases = {name: rng.uniform(0, 2 * np.pi, len(w)) for name, w in waves.items()}
    default = dict(zip(JOINT_ORDER, DEFAULT_POSE_RAD))
    steps = []
    for i in range(STEPS):
        t = i / 50

        def wave(name, amplitude):
            return amplitude * np.sin(waves[name] * 2 * np.pi * t + phases[name])

        roll, pitch, yaw = wave("angle", np.array([0.4, 0.5, 2.5]))
        steps.append({
            "roll_rad": roll, "pitch_rad": pitch, "yaw_rad": yaw,
            "orientation": quaternion(roll, pitch, yaw).tolist(),
            "angular_velocity_rad_per_sec": wave("rate", 4.0).tolist(),
            "position_rad": (np.array([default[name] for name in LEG_MAJOR]) + wave("joint", 0.6)).tolist(),
            "velocity_rad_per_sec": wave("speed", 15.0).tolist(),
            "contacts": (rng.random(4) < 0.5).tolist(),
            "command_vx_mps": float([0.0, 0.15, 0.2, 0.21, 0.8, -0.1, -0.6][i // 10 % 7]),
            "delta_yaw_rad": float(wave("heading", 0.5)[0]), "delta_next_yaw_rad": float(wave("heading", 0.5)[1]),
            "flat": bool(i // 50 % 2),
            "base_position_m": [0.6 * t, 0.3 * np.sin(t), 0.35 + 0.05 * np.sin(5 * t)],
        })
    rows, columns = 41, 81
    height = np.where(rng.random((rows, columns)) < 0.2, rng.uniform(-1.5, 0.6, (rows, columns)), 0.02 * rng.standard_normal((rows, columns)))
    terrain = {"x_m": -1.0, "y_m": -1.2, "cell_m": 0.06, "rows": rows, "columns": columns, "height_m": height.reshape(-1).tolist()}
    down, across = np.mgrid[0:IMAGE[0], 0:IMAGE[1]]
    images = np.stack([1.2 + np.sin(0.11 * across + 0.2 * k) + 0.5 * np.cos(0.17 * down - 0.3 * k) for k in range(STEPS // 5)])
    spoilt = rng.random(images.shape)
    for value, begin in ((np.nan, 0.0), (np.inf, 0.02), (-np.inf, 0.03), (0.0, 0.04), (7.5, 0.05)):
        images[(spoilt >= begin) & (spoilt < begin + 0.01)] = value
    return steps, terrain, images.astype(np.float32)


def roll_out(weights, steps, terrain, images, student):
    """What a policy sees and does. A row is the observation, the action, the joints' targets and, for a student, the latent."""
    act, guess = Net(weights["actor"]), Net(weights["estimator"])
    see = Net(weights["depth_encoder"]) if student else None
    default = np.array(DEFAULT_POSE_RAD)
    from_robot = [LEG_MAJOR.index(name) for name in JOINT_ORDER]
    last, history, memory = np.zeros(12), None, np.zeros(512)
    yaw_pair, latent, heights = np.zeros(2), None, None
    rows = []
    for i, s in enumerate(steps):
        vx = s["command_vx_mps"]
        prop = np.zeros(53)
        prop[0:3] = 0.25 * np.array(s["angular_velocity_rad_per_sec"])
        prop[3:5] = s["roll_rad"], s["pitch_rad"]
        prop[10] = vx if abs(vx) > 0.2 else 0
        prop[11:13] = (0, 1) if s["flat"] else (1, 0)
        prop[13:25] = np.array(s["position_rad"])[from_robot] - default
        prop[25:37] = 0.05 * np.array(s["velocity_rad_per_sec"])[from_robot]
        prop[37:49] = last
        prop[49:53] = np.where(s["contacts"], 0.5, -0.5)
        prop = np.clip(prop, -100, 100)
        remembered = prop.copy()  # With [6:8] zero, as they still are.
        if history is None:
            history = [remembered] * 10
        if i % 5 == 0:
            if student:
                out, memory = encode_depth(see, preprocess(images[i // 5]), prop, memory)
                latent, yaw_pair = out[:32], 1.5 * out[32:]
            else:
                heights = scan(terrain, s["base_position_m"], s["yaw_rad"])
        prop[6:8] = yaw_pair if student else (s["delta_yaw_rad"], s["delta_next_yaw_rad"])
        obs = np.concatenate([
            prop, np.zeros(132) if student else heights, np.clip(estimate(guess, prop), -100, 100), np.zeros(29), np.concatenate(history),
        ])
        action = actor(act, obs, latent)
        target = dict(zip(JOINT_ORDER, default + 0.25 * np.clip(action, -4.8, 4.8)))
        rows.append(np.concatenate([obs, action, [target[name] for name in LEG_MAJOR], latent if student else []]))
        history = history[1:] + [remembered]
        last = action
    return np.array(rows)


def main(out):
    out = pathlib.Path(out)
    rng = np.random.default_rng(SEED)
    weights = networks(rng)
    provenance = {"source": f"weights seeded with {SEED}, trained for nothing", "path": "compute/parkour/export/reference.py", "license": "Apache-2.0"}
    estimator = network.estimator(weights["estimator"])
    network.write_policy(out / "teacher", "parkour_teacher_reference", {
        "policy": network.actor(weights["actor"], from_depth=False), "estimator": estimator,
    }, provenance)
    network.write_policy(out / "student", "parkour_student_reference", {
        "policy": network.actor(weights["actor"], from_depth=True), "estimator": estimator,
        "depth_encoder": network.depth_encoder(weights["depth_encoder"]),
    }, provenance)

    steps, terrain, images = episode(rng)
    golden = out / "golden"
    golden.mkdir(parents=True, exist_ok=True)
    (golden / "episode.json").write_text(json.dumps({"steps": steps, "terrain": terrain}))
    images.astype("<f4").tofile(golden / "depth.f32")
    for name in ("teacher", "student"):
        rows = roll_out(weights, steps, terrain, images, student=name == "student")
        rows.astype("<f4").tofile(golden / f"{name}.f32")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    main(sys.argv[1])
