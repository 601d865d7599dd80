"""Reads checkpoints as torch.save writes them, and only what a checkpoint of weights has to have: nothing in one is run.

Where torch 2 is there, it reads, with weights_only (that of torch 1.13 knows no floats, which optimizers have). Else a reader of our own does, for tensors in dictionaries, lists
and tuples; it knows the few names that those are made of and refuses every other. Needs the package numpy.
"""

import collections
import pathlib
import pickle
import zipfile

import numpy as np

MAX_BYTES = 1 << 30


class Refused(Exception):
    """What the checkpoint is or has that it must not."""


def load(path):
    """The checkpoint's content, with arrays for tensors."""
    path = pathlib.Path(path)
    if not path.is_file():
        raise Refused(f"{path}: found no such file, expected a checkpoint")
    if path.stat().st_size > MAX_BYTES:
        raise Refused(f"{path}: found {path.stat().st_size} bytes, expected at most {MAX_BYTES}")
    if not zipfile.is_zipfile(path):
        raise Refused(f"{path}: found no zip file, expected a checkpoint of PyTorch 1.6 or newer")
    try:
        import torch
    except ImportError:
        return _read(path)
    if int(torch.__version__.partition(".")[0]) < 2:
        return _read(path)
    try:
        return _arrays(torch, torch.load(path, map_location="cpu", weights_only=True))
    except (pickle.UnpicklingError, RuntimeError, TypeError) as e:
        raise Refused(f"{path}: torch found more than weights: {_line(e)}") from e


def _line(error):
    return " ".join(str(error).split()) or type(error).__name__


def _arrays(torch, value):
    if isinstance(value, torch.Tensor):
        return value.detach().contiguous().numpy()
    if isinstance(value, dict):
        return {k: _arrays(torch, v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_arrays(torch, v) for v in value)
    return value


# The storages of torch by their names, as numpy's types.
_TYPES = {
    "FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "LongStorage": "<i8", "IntStorage": "<i4",
    "ShortStorage": "<i2", "CharStorage": "<i1", "ByteStorage": "<u1", "BoolStorage": "?",
}

# A kind of storage. Unlike numpy's types it has nothing that a pickle could set.
_Kind = collections.namedtuple("_Kind", "dtype")


def _tensor(storage, offset, size, stride, requires_grad=False, hooks=None, metadata=None):
    """What torch makes a tensor of: a view into a storage, here copied out of it."""
    numbers = (offset, *size, *stride)
    if len(size) != len(stride) or not all(isinstance(n, int) and n >= 0 for n in numbers):
        raise Refused(f"found a tensor of size {size} and stride {stride} at {offset}, expected numbers of one length")
    last = offset + sum((n - 1) * s for n, s in zip(size, stride))
    if all(size) and last >= len(storage):
        raise Refused(f"found a tensor that ends at {last}, expected less than {len(storage)}, the size of its storage")
    strides = [s * storage.itemsize for s in stride]
    if not all(size):
        return np.zeros(size, storage.dtype)
    return np.lib.stride_tricks.as_strided(storage[offset:], size, strides).copy()


class _Unpickler(pickle.Unpickler):
    def __init__(self, file, storages):
        super().__init__(file)
        self.storages = storages

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in _TYPES:
            return _Kind(np.dtype(_TYPES[name]))
        raise Refused(f"found {module}.{name}, expected only tensors in dictionaries, lists and tuples")

    def persistent_load(self, reference):
        if not (isinstance(reference, tuple) and len(reference) == 5 and reference[0] == "storage" and isinstance(reference[1], _Kind)):
            raise Refused(f"found a reference to {reference!r}, expected one to a storage")
        _, kind, key, _, count = reference
        return self.storages(str(key), kind.dtype, count)


def _read(path):
    with zipfile.ZipFile(path) as archive:
        entries = {e.filename.partition("/")[2]: e for e in archive.infolist()}
        for entry in entries.values():
            if entry.compress_type != zipfile.ZIP_STORED:
                raise Refused(f"{path}: {entry.filename}: found a compressed entry, expected it as torch.save stores it")
        for name in ("data.pkl", "version"):
            if name not in entries:
                raise Refused(f"{path}: found no {name}, expected a checkpoint as torch.save writes it")
        if "byteorder" in entries and archive.read(entries["byteorder"]) != b"little":
            raise Refused(f"{path}: byteorder: found {archive.read(entries['byteorder'])!r}, expected b'little'")

        def storages(key, dtype, count):
            entry = entries.get(f"data/{key}")
            if entry is None or entry.file_size != count * dtype.itemsize:
                raise Refused(f"storage {key}: found {entry and entry.file_size} bytes, expected {count} of {dtype.itemsize}")
            return np.frombuffer(archive.read(entry), dtype)

        try:
            with archive.open(entries["data.pkl"]) as file:
                return _Unpickler(file, storages).load()
        except Refused as e:
            raise Refused(f"{path}: {e}") from e
        except Exception as e:  # Whatever a broken pickle leads to.
            raise Refused(f"{path}: found a pickle that cannot be read ({_line(e)}), expected one as torch.save writes it") from e
