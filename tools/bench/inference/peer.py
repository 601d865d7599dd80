"""Measures steps of a policy's graph with onnxruntime, or the wake-ups of a loop, as the peer of inference.

    peer.py plain|bound SECONDS MODEL GRAPH
    peer.py step SECONDS MODEL GRAPH ROBOT
    peer.py loop SECONDS PERIOD_NS

Writes a line of JSON: the version, the output of the first step, and the time of each step or the lateness of each wake-up.
"""

import json
import sys
import time

import numpy as np
import onnxruntime as ort

WARM_UP = 100


def session(model):
    """A session with the settings of compute/onnx: one thread, no spinning."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def inputs(graph):
    """The input values of all tools: a sine, and states of zero."""
    states = {state["input"] for state in graph.get("states", [])}
    arrays = {}
    for tensor in graph["inputs"]:
        size = int(np.prod(tensor["shape"]))
        values = np.sin(np.arange(size, dtype=np.float64)) * (tensor["name"] not in states)
        arrays[tensor["name"]] = values.astype(np.float32).reshape(tensor["shape"])
    return arrays


def plain(model, graph):
    """A step in the usual way: arrays in, arrays out."""
    run, arrays = session(model).run, inputs(graph)
    names = [tensor["name"] for tensor in graph["outputs"]]
    states = [(names.index(state["output"]), state["input"]) for state in graph.get("states", [])]

    def step():
        outputs = run(names, arrays)
        for output, name in states:
            arrays[name] = outputs[output]
        return outputs[0]

    return step


def bound(model, graph):
    """A step on memory that is bound once: the least Python around the library."""
    runs = session(model)
    binding, values, outputs = runs.io_binding(), {}, {}
    for name, array in inputs(graph).items():
        values[name] = ort.OrtValue.ortvalue_from_numpy(array)
        binding.bind_ortvalue_input(name, values[name])
    for tensor in graph["outputs"]:
        outputs[tensor["name"]] = ort.OrtValue.ortvalue_from_shape_and_type(tensor["shape"], np.float32)
        binding.bind_ortvalue_output(tensor["name"], outputs[tensor["name"]])
    states = [(outputs[state["output"]], values[state["input"]]) for state in graph.get("states", [])]
    first = outputs[graph["outputs"][0]["name"]]

    def step():
        runs.run_with_iobinding(binding)
        for output, value in states:
            value.update_inplace(output.numpy())
        return first

    return step


def whole(model, graph, robot):
    """A whole step of the G1's policy, from sensors to joint targets, on memory that is bound once and shared with numpy."""
    runs = session(model)
    binding = runs.io_binding()
    tensor_in, tensor_out = graph["inputs"][0], graph["outputs"][0]
    observation = np.zeros(tensor_in["shape"], np.float32)
    output = np.zeros(tensor_out["shape"], np.float32)
    # On the CPU a value of onnxruntime lies in the memory of the array.
    values = ort.OrtValue.ortvalue_from_numpy(observation), ort.OrtValue.ortvalue_from_numpy(output)
    binding.bind_ortvalue_input(tensor_in["name"], values[0])
    binding.bind_ortvalue_output(tensor_out["name"], values[1])
    sensors = {name: np.array(value) for name, value in robot.items()}
    joints, n = sensors["joints"], len(robot["joints"])
    base_velocity, angular_velocity, orientation = (sensors[k] for k in ("base_velocity", "angular_velocity", "orientation"))
    command, position, velocity = sensors["command"], sensors["position"], sensors["velocity"]
    pose, scale, action = sensors["pose"], sensors["scale"], output[0]
    row = observation[0]
    parts = np.split(row, np.cumsum([3, 3, 3, 3, n, n, n, len(robot["offsets"])]))
    phase, advance = sensors["offsets"].astype(np.float64), 2 * np.pi / robot["period_steps"]
    targets = np.zeros(len(robot["position"]))

    def step():
        w, x, y, z = orientation.tolist()
        norm = -1 / (w * w + x * x + y * y + z * z)
        parts[0][:] = base_velocity
        parts[1][:] = angular_velocity
        parts[2][:] = norm * 2 * (x * z - w * y), norm * 2 * (y * z + w * x), norm * (w * w - x * x - y * y + z * z)
        parts[3][:] = command
        np.subtract(position[joints], pose, out=parts[4], casting="same_kind")
        parts[5][:] = velocity[joints]
        parts[6][:] = action
        parts[7][:] = np.cos(phase)
        parts[8][:] = np.sin(phase)
        np.add(phase, advance, out=phase)
        phase[:] = np.remainder(phase + np.pi, 2 * np.pi) - np.pi
        runs.run_with_iobinding(binding)
        targets[joints] = pose + scale * action
        return targets

    return step


def whole_steps(step, seconds):
    """The targets of the first three steps, and the times of the steps after the warm-up."""
    first = np.concatenate([step().copy() for _ in range(3)])
    return {**steps(step, lambda targets: targets, seconds), "first": first.tolist()}


def steps(step, value, seconds):
    """The output of the first step, and the times of the steps after the warm-up."""
    first = np.asarray(value(step())).reshape(-1).tolist()
    for _ in range(WARM_UP):
        step()
    now, samples = time.perf_counter_ns, []
    end = now() + int(seconds * 1e9)
    while (began := now()) < end:
        step()
        samples.append(now() - began)
    return {"first": first, "samples_ns": samples}


def loop(period_ns, seconds):
    """The lateness of a loop that sleeps until deadlines one period apart, and the number of missed deadlines."""
    now, samples, lost = time.monotonic_ns, [], 0
    began = now()
    end, deadline = began + int(seconds * 1e9), began + period_ns
    while deadline <= end:
        time.sleep(max(0, deadline - now()) / 1e9)
        late = max(0, now() - deadline)
        samples.append(late)
        missed = late // period_ns
        lost += missed
        deadline += (missed + 1) * period_ns
    return {"lost": lost, "samples_ns": samples}


def main(mode, seconds, *args):
    if mode == "loop":
        result = loop(int(args[0]), float(seconds))
    elif mode == "plain":
        result = steps(plain(args[0], json.loads(args[1])), lambda first: first, float(seconds))
    elif mode == "bound":
        result = steps(bound(args[0], json.loads(args[1])), lambda first: first.numpy(), float(seconds))
    elif mode == "step":
        result = whole_steps(whole(args[0], *map(json.loads, args[1:])), float(seconds))
    else:
        sys.exit(f"found {mode!r}, expected plain, bound, step or loop")
    version = f"Python {sys.version.split()[0]}, onnxruntime {ort.__version__}, numpy {np.__version__}"
    print(json.dumps({"version": version, **result}))


if __name__ == "__main__":
    main(*sys.argv[1:])
