"""Reads PyTorch checkpoints without executing code in them: only tensors in dictionaries, lists and tuples are accepted.

With torch 2 or newer installed, torch.load(weights_only=True) reads the file. That of torch 1.13 rejects floats, which the
states of optimizers have. Otherwise a reader in this module does; it accepts the few classes that tensors are pickled with
and rejects all others. Needs the package numpy.
"""

import collections
import pathlib
import pickle
import zipfile

import numpy as np

MAX_BYTES = 1 << 30
"""The size of the largest checkpoint that load accepts, in bytes."""


class CheckpointError(Exception):
    """A checkpoint that is missing, malformed or has other content than weights. The message is one line."""


def load(path):
    """Returns the content of the checkpoint at path, with numpy arrays in place of tensors.

    Raises CheckpointError for a file that is missing, larger than MAX_BYTES, not in the format of torch.save (a zip file,
    since PyTorch 1.6), or has other objects than tensors, numbers, strings, dictionaries, lists and tuples.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise CheckpointError(f"{path}: no such file or directory")
    if not path.is_file():
        raise CheckpointError(f"{path}: found a directory or a device, expected a file")
    if path.stat().st_size > MAX_BYTES:
        raise CheckpointError(f"{path}: found {path.stat().st_size} bytes, expected at most {MAX_BYTES}")
    if not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path}: not a zip file, as checkpoints of PyTorch 1.6 and newer are")
    try:
        import torch
    except ImportError:
        return _read(path)
    if int(torch.__version__.partition(".")[0]) < 2:
        return _read(path)
    try:
        return _arrays(torch, torch.load(path, map_location="cpu", weights_only=True))
    except (pickle.UnpicklingError, RuntimeError, TypeError) as e:
        raise CheckpointError(f"{path}: torch found more than weights: {_line(e)}") from e


def _line(error):
    """Returns the message of an exception in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _arrays(torch, value):
    """Returns value with numpy arrays in place of tensors."""
    if isinstance(value, torch.Tensor):
        return value.detach().contiguous().numpy()
    if isinstance(value, dict):
        return {k: _arrays(torch, v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_arrays(torch, v) for v in value)
    return value


# numpy's type for each storage class of torch.
_DTYPES = {
    "FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "LongStorage": "<i8", "IntStorage": "<i4",
    "ShortStorage": "<i2", "CharStorage": "<i1", "ByteStorage": "<u1", "BoolStorage": "?",
}

# Stands for a storage class. Unlike a numpy dtype it has no attribute that a pickle could set.
_StorageType = collections.namedtuple("_StorageType", "dtype")


def _rebuild_tensor(storage, offset, size, stride, requires_grad=False, hooks=None, metadata=None):
    """Replaces torch._utils._rebuild_tensor_v2: returns a copy of a view into a storage."""
    numbers = (offset, *size, *stride)
    if len(size) != len(stride) or not all(isinstance(n, int) and n >= 0 for n in numbers):
        raise CheckpointError(f"found a tensor of size {size} and stride {stride} at {offset}, expected as many strides as sizes, all 0 or more")
    last = offset + sum((n - 1) * s for n, s in zip(size, stride))
    if all(size) and last >= len(storage):
        raise CheckpointError(f"found a tensor that ends at {last}, expected less than {len(storage)}, the size of its storage")
    strides = [s * storage.itemsize for s in stride]
    if not all(size):
        return np.zeros(size, storage.dtype)
    return np.lib.stride_tricks.as_strided(storage[offset:], size, strides).copy()


class _Unpickler(pickle.Unpickler):
    """Unpickles tensors. storages(key, dtype, count) returns the array of a storage."""

    def __init__(self, file, storages):
        super().__init__(file)
        self.storages = storages

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in _DTYPES:
            return _StorageType(np.dtype(_DTYPES[name]))
        raise CheckpointError(f"found {module}.{name}, expected only tensors in dictionaries, lists and tuples")

    def persistent_load(self, reference):
        if not (isinstance(reference, tuple) and len(reference) == 5 and reference[0] == "storage" and isinstance(reference[1], _StorageType)):
            raise CheckpointError(f"found a reference to {reference!r}, expected one to a storage")
        _, storage_type, key, _, count = reference
        return self.storages(str(key), storage_type.dtype, count)


def _read(path):
    """Returns the content of the zip file at path, without torch."""
    with zipfile.ZipFile(path) as archive:
        entries = {e.filename.partition("/")[2]: e for e in archive.infolist()}
        for entry in entries.values():
            if entry.compress_type != zipfile.ZIP_STORED:
                raise CheckpointError(f"{path}: {entry.filename}: found a compressed entry, expected an uncompressed one")
        for name in ("data.pkl", "version"):
            if name not in entries:
                raise CheckpointError(f"{path}: {name} not found in the zip file")
        if "byteorder" in entries and archive.read(entries["byteorder"]) != b"little":
            raise CheckpointError(f"{path}: byteorder: found {archive.read(entries['byteorder'])!r}, expected b'little'")

        def storages(key, dtype, count):
            entry = entries.get(f"data/{key}")
            if entry is None:
                raise CheckpointError(f"storage {key} not found in the zip file")
            if entry.file_size != count * dtype.itemsize:
                raise CheckpointError(f"storage {key}: found {entry.file_size} bytes, expected {count} of {dtype.itemsize}")
            return np.frombuffer(archive.read(entry), dtype)

        try:
            with archive.open(entries["data.pkl"]) as file:
                return _Unpickler(file, storages).load()
        except CheckpointError as e:
            raise CheckpointError(f"{path}: {e}") from e
        except Exception as e:  # A malformed pickle can raise any exception.
            raise CheckpointError(f"{path}: invalid pickle: {_line(e)}") from e
