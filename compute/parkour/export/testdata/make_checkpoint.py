"""Writes checkpoints for tests, with the weights of the reference policies: valid ones, and some with one fault each.

    python3 make_checkpoint.py OUT [--torch]

With --torch, torch.save writes the valid ones. Otherwise this program writes zip files of the same structure.
"""

import collections
import pathlib
import pickle
import sys
import types
import zipfile

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import reference  # noqa: E402

STORAGES = {"float32": "FloatStorage", "float16": "HalfStorage", "int64": "LongStorage"}


def fake_torch():
    """Returns modules torch and torch._utils that only have the names that a pickle of torch refers to."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in STORAGES.values():
        setattr(torch, name, type(name, (), {"__module__": "torch"}))

    def _rebuild_tensor_v2():
        raise NotImplementedError

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    sys.modules |= {"torch": torch, "torch._utils": utils}
    return torch, utils


class Storage:
    """A tensor's storage: a flat array."""

    def __init__(self, array):
        self.array = array


class Pickler(pickle.Pickler):
    """Pickles arrays as torch pickles tensors. shorten makes the storages of matrices too short."""

    def __init__(self, file, torch, utils, shorten):
        super().__init__(file, protocol=2)
        self.torch, self.utils, self.shorten, self.storages = torch, utils, shorten, []

    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        self.storages.append(value.array)
        storage = getattr(self.torch, STORAGES[str(value.array.dtype)])
        return ("storage", storage, str(len(self.storages) - 1), "cpu", value.array.size)

    def reducer_override(self, value):
        if not isinstance(value, np.ndarray):
            return NotImplemented
        stride = tuple(s // value.itemsize for s in value.strides)
        size = tuple(n + (1 if self.shorten and value.ndim == 2 else 0) for n in value.shape)
        return self.utils._rebuild_tensor_v2, (Storage(value.reshape(-1)), 0, size, stride, False, collections.OrderedDict())


def save(path, content, torch, utils, shorten=False, compression=zipfile.ZIP_STORED, without=()):
    """Writes a checkpoint as torch.save does, but for the entries of the zip file in without."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        import io
        buffer = io.BytesIO()
        pickler = Pickler(buffer, torch, utils, shorten)
        pickler.dump(content)
        entries = {"data.pkl": buffer.getvalue(), "byteorder": b"little"}
        entries |= {f"data/{i}": array.tobytes() for i, array in enumerate(pickler.storages)}
        entries["version"] = b"3\n"
        for name, data in entries.items():
            if name not in without:
                archive.writestr(f"{path.stem}/{name}", data)


class Command:
    """Pickles as a call of open, which creates a file when the pickle is loaded."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return open, (str(self.file), "w")


def contents():
    """Returns the contents of a teacher's and of a student's checkpoint."""
    weights = reference.networks(np.random.default_rng(reference.SEED))
    order = collections.OrderedDict
    training = {"optimizer_state_dict": {"state": {0: {"step": 3, "exp_avg": np.ones(2, np.float32)}}, "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.999)}]},
                "iter": 7, "infos": None}
    teacher = {
        "model_state_dict": order({f"actor.{n}": w for n, w in weights["actor"].items()} | {"critic.0.weight": np.ones((2, 2), np.float32), "std": np.ones(12, np.float32)}),
        "estimator_state_dict": order(weights["estimator"]),
        **training,
    }
    student = teacher | {"depth_actor_state_dict": order(weights["actor"]), "depth_encoder_state_dict": order(weights["depth_encoder"])}
    return teacher, student


def main(out, with_torch):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    teacher, student = contents()
    if with_torch:
        import torch

        def tensors(value):
            if isinstance(value, np.ndarray):
                return torch.from_numpy(value)
            if isinstance(value, dict):
                return type(value)((k, tensors(v)) for k, v in value.items())
            return [tensors(v) for v in value] if isinstance(value, list) else value

        torch.save(tensors(teacher), out / "teacher.pt")
        torch.save(tensors(student), out / "student.pt")
        torch.save({"model_state_dict": Command(out / "ran")}, out / "command.pt")
        return
    torch, utils = fake_torch()
    save(out / "teacher.pt", teacher, torch, utils)
    save(out / "student.pt", student, torch, utils)

    def broken(name, change, **options):
        """Writes the teacher's checkpoint after change, which gets a copy of the content."""
        content = {k: v.copy() if isinstance(v, dict) else v for k, v in teacher.items()}
        change(content)
        save(out / f"{name}.pt", content, torch, utils, **options)

    first = "actor.actor_backbone.0.weight"
    model = teacher["model_state_dict"]
    not_finite = model[first].copy()
    not_finite[3, 5] = np.nan
    broken("command", lambda c: c.update(infos=Command(out / "ran")))
    broken("missing", lambda c: c["model_state_dict"].pop(first))
    broken("more", lambda c: c["model_state_dict"].update({"actor.actor_backbone.8.weight": np.ones(3, np.float32)}))
    broken("shape", lambda c: c["model_state_dict"].update({first: model[first][:, :113].copy()}))
    broken("half", lambda c: c["model_state_dict"].update({first: model[first].astype(np.float16)}))
    broken("not_finite", lambda c: c["model_state_dict"].update({first: not_finite}))
    broken("no_estimator", lambda c: c.pop("estimator_state_dict"))
    broken("beyond", lambda c: None, shorten=True)
    broken("compressed", lambda c: None, compression=zipfile.ZIP_DEFLATED)
    broken("no_storage", lambda c: None, without=("data/0",))
    broken("no_version", lambda c: None, without=("version",))
    (out / "pickle.pt").write_bytes(pickle.dumps({"iter": 1}))
    with zipfile.ZipFile(out / "garbage.pt", "w") as archive:
        archive.writestr("garbage/data.pkl", b"\x80\x02garbage")
        archive.writestr("garbage/version", b"3\n")


if __name__ == "__main__":
    main(sys.argv[1], "--torch" in sys.argv[2:])
