"""Writes parkour policies with seeded random weights, and an episode with the expected observations and actions.

    python3 reference.py OUT

Trained weights are not public. These policies replace them in tests and benchmarks that depend on shapes only.

OUT gets the policy directories teacher and student, and golden:

    episode.json  sensor data of 200 steps, and the terrain
    depth.f32     depth images [40 60 106] in m, one for each 5th step
    teacher.f32   for each step the observation [753], the action [12] and the joint targets [12] in the robot's order
    student.f32   the same, and the latent of the scan [32]

The .f32 files are little-endian float32 in C order. The expected values are computed here in numpy, in double precision, from
the specification of the observation and of the networks (docs/parkour.md). They share only the weights with the ONNX models,
so the Go code is tested against an independent implementation. Needs the packages numpy and onnx.
"""

import json
import pathlib
import sys

import numpy as np

import network
from network import DEFAULT_POSE_RAD, JOINT_ORDER, LEGS

STEPS, SEED = 200, 20240501
IMAGE = (60, 106)  # Rows and columns of a depth image.
# The joints in the order of the robot.
LEG_MAJOR = [f"{leg}_{kind}_joint" for leg in LEGS for kind in ("hip", "thigh", "calf")]


def seeded(shapes, rng):
    """Returns random weights: a dictionary from the names in shapes to float32 arrays.

    They have PyTorch's initial distribution. Those of the last layers are scaled up, so that outputs are not close to zero
    and some are clipped.
    """
    weights = {}
    for name, shape in shapes.items():
        fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else int(np.prod(shapes[name.replace("bias", "weight")][1:]))
        weights[name] = (rng.uniform(-1, 1, shape) / np.sqrt(fan_in)).astype(np.float32)
    for name, gain in (("actor_backbone.6.weight", 12), ("actor_backbone.6.bias", 60), ("output_mlp.0.weight", 8)):
        if name in weights:
            weights[name] *= gain
    return weights


def networks(rng):
    """Returns the weights of all networks, by the name of the network."""
    return {name: seeded(shapes, rng) for name, shapes in (
        ("actor", network.ACTOR), ("estimator", network.ESTIMATOR), ("depth_encoder", network.DEPTH_ENCODER))}


# The independent implementation: numpy only.


def elu(x):
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class Net:
    """Computes layers of a network in double precision. Methods take the names of the layers' weights."""

    def __init__(self, weights):
        self.w = {name: value.astype(np.float64) for name, value in weights.items()}

    def linear(self, name, x):
        return self.w[name + ".weight"] @ x + self.w[name + ".bias"]

    def mlp(self, names, x):
        for name in names[:-1]:
            x = elu(self.linear(name, x))
        return self.linear(names[-1], x)

    def conv(self, name, x, stride=1):
        """Returns a convolution without padding, of any number of dimensions. x has the channels first."""
        weight = self.w[name + ".weight"]
        axes = tuple(range(1, x.ndim))
        windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], axis=axes)
        windows = windows[(slice(None),) + (slice(None, None, stride),) * len(axes)]
        kernel_axes = list(range(1 + len(axes), 1 + 2 * len(axes)))
        out = np.tensordot(weight, windows, (list(range(1, weight.ndim)), [0] + kernel_axes))
        return out + self.w[name + ".bias"].reshape(-1, *[1] * len(axes))


def actor(net, obs, latent=None):
    """Returns the action [12] for an observation [753]. latent [32] replaces that of the scan."""
    prop, scan, explicit, history = obs[:53], obs[53:185], obs[185:194], obs[223:].reshape(10, 53)
    if latent is None:
        latent = np.tanh(net.mlp(["scan_encoder.0", "scan_encoder.2", "scan_encoder.4"], scan))
    steps = np.stack([elu(net.linear("history_encoder.encoder.0", p)) for p in history], axis=1)
    steps = elu(net.conv("history_encoder.conv_layers.0", steps, stride=2))
    steps = elu(net.conv("history_encoder.conv_layers.2", steps))
    encoded = elu(net.linear("history_encoder.linear_output.0", steps.reshape(-1)))
    return net.mlp([f"actor_backbone.{i}" for i in (0, 2, 4, 6)], np.concatenate([prop, latent, explicit, encoded]))


def estimate(net, prop):
    """Returns the privileged states [9] for a proprioception [53]."""
    return net.mlp(["estimator.0", "estimator.2", "estimator.4"], prop)


def encode_depth(net, image, prop, memory):
    """Returns the latent and the yaw angles [34], and the new memory [512]. image is a result of preprocess."""
    x = net.conv("base_backbone.image_compression.0", image[None])
    height, width = x.shape[1] // 2, x.shape[2] // 2
    x = elu(x[:, :2 * height, :2 * width].reshape(-1, height, 2, width, 2).max(axis=(2, 4)))
    x = elu(net.conv("base_backbone.image_compression.3", x)).reshape(-1)
    x = elu(net.mlp(["base_backbone.image_compression.6", "base_backbone.image_compression.8"], x))
    x = net.mlp(["combination_mlp.0", "combination_mlp.2"], np.concatenate([x, prop]))
    # GRU as in PyTorch: gates reset, update, new.
    inputs = np.split(net.w["rnn.weight_ih_l0"] @ x + net.w["rnn.bias_ih_l0"], 3)
    hidden = np.split(net.w["rnn.weight_hh_l0"] @ memory + net.w["rnn.bias_hh_l0"], 3)
    reset, update = sigmoid(inputs[0] + hidden[0]), sigmoid(inputs[1] + hidden[1])
    memory = (1 - update) * np.tanh(inputs[2] + reset * hidden[2]) + update * memory
    return np.tanh(net.linear("output_mlp.0", memory)), memory


def cubic(x, a=-0.5):
    """Returns the kernel of bicubic interpolation at x."""
    x = abs(x)
    if x < 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return ((x - 5) * x + 8) * x * a - 4 * a if x < 2 else 0.0


def resampling(before, after):
    """Returns the matrix [after before] of a bicubic resampling to fewer values, with antialiasing."""
    scale = before / after
    matrix = np.array([[cubic((j + 0.5 - scale * (i + 0.5)) / scale) for j in range(before)] for i in range(after)])
    return matrix / matrix.sum(axis=1, keepdims=True)


def preprocess(image):
    """Returns the input of the depth encoder [58 87] for a depth image [60 106] in m."""
    image = np.clip(np.nan_to_num(image.astype(np.float64), nan=2.0, posinf=2.0, neginf=0.0), 0, 2)
    return image[:-2, 4:-4] @ resampling(98, 87).T / 2.0 - 0.5


def ground(terrain, x, y):
    """Returns heights of the terrain at x, y: bilinear between corners, and those of the border outside the grid. In m."""
    heights = np.array(terrain["height_m"]).reshape(terrain["rows"], terrain["columns"])
    column = np.clip((x - terrain["x_m"]) / terrain["cell_m"], 0, terrain["columns"] - 1)
    row = np.clip((y - terrain["y_m"]) / terrain["cell_m"], 0, terrain["rows"] - 1)
    c, r = np.minimum(column.astype(int), terrain["columns"] - 2), np.minimum(row.astype(int), terrain["rows"] - 2)
    u, v = column - c, row - r
    return ((1 - v) * ((1 - u) * heights[r, c] + u * heights[r, c + 1])
            + v * ((1 - u) * heights[r + 1, c] + u * heights[r + 1, c + 1]))


def scan(terrain, position, yaw):
    """Returns the scan [132] for a base position in m and a yaw in rad."""
    ahead, left = np.meshgrid(np.linspace(-0.825, 0.825, 12) + 0.375, np.linspace(-0.75, 0.75, 11))  # x varies fastest.
    x = position[0] + np.cos(yaw) * ahead - np.sin(yaw) * left
    y = position[1] + np.sin(yaw) * ahead + np.cos(yaw) * left
    return np.clip(position[2] - ground(terrain, x, y) - 0.3, -1, 1).reshape(-1)


def quaternion(roll, pitch, yaw):
    """Returns the quaternion (w, x, y, z) of intrinsic Z-Y'-X'' angles in rad: yaw, then pitch, then roll."""
    def about(axis, angle):
        q = np.zeros(4)
        q[0], q[1 + axis] = np.cos(angle / 2), np.sin(angle / 2)
        return q

    def times(a, b):
        return np.concatenate([[a[0] * b[0] - a[1:] @ b[1:]], a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:])])

    return times(times(about(2, yaw), about(1, pitch)), about(0, roll))


def episode(rng):
    """Returns the sensor data of each step, the terrain and the depth images [40 60 106] in m.

    The motion is not physical. All inputs vary, and images have invalid pixels.
    """
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
    invalid = rng.random(images.shape)
    for value, begin in ((np.nan, 0.0), (np.inf, 0.02), (-np.inf, 0.03), (0.0, 0.04), (7.5, 0.05)):
        images[(invalid >= begin) & (invalid < begin + 0.01)] = value
    return steps, terrain, images.astype(np.float32)


def roll_out(weights, steps, terrain, images, student):
    """Returns a row for each step: the observation, the action, the joint targets and, for a student, the latent."""
    actor_net, estimator_net = Net(weights["actor"]), Net(weights["estimator"])
    encoder_net = Net(weights["depth_encoder"]) if student else None
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
        without_yaw = prop.copy()  # The yaw angles, [6:8], are still zero.
        if history is None:
            history = [without_yaw] * 10
        if i % 5 == 0:
            if student:
                out, memory = encode_depth(encoder_net, preprocess(images[i // 5]), prop, memory)
                latent, yaw_pair = out[:32], 1.5 * out[32:]
            else:
                heights = scan(terrain, s["base_position_m"], s["yaw_rad"])
        prop[6:8] = yaw_pair if student else (s["delta_yaw_rad"], s["delta_next_yaw_rad"])
        obs = np.concatenate([
            prop, np.zeros(132) if student else heights, np.clip(estimate(estimator_net, prop), -100, 100), np.zeros(29), np.concatenate(history),
        ])
        action = actor(actor_net, obs, latent)
        target = dict(zip(JOINT_ORDER, default + 0.25 * np.clip(action, -4.8, 4.8)))
        rows.append(np.concatenate([obs, action, [target[name] for name in LEG_MAJOR], latent if student else []]))
        history = history[1:] + [without_yaw]
        last = action
    return np.array(rows)


def main(out):
    """Writes the policies and the golden values to the directory out."""
    out = pathlib.Path(out)
    rng = np.random.default_rng(SEED)
    weights = networks(rng)
    provenance = {"source": f"random weights, seed {SEED}, untrained", "path": "compute/parkour/export/reference.py", "license": "Apache-2.0"}
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
