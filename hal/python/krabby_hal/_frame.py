"""Frames of the wire format: headers, tables and sections. Module ``wire`` converts between them and messages."""

from __future__ import annotations

import enum
import math
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy
import numpy.typing

from ._crc32c import Buffer, crc32c
from .messages import MAX_CONTROL_NAME_BYTES, MAX_CONTROL_REASON_BYTES, MAX_FEET, MAX_IMAGE_PIXELS, MAX_IMAGE_SIDE, MAX_JOINTS

MAJOR = 2
MINOR = 0
MAX_SECTIONS = 32
MAX_FRAME_BYTES = 2 * (3 + 4) * MAX_IMAGE_PIXELS + (1 << 16)
"""Maximum size of a decoded frame: four of the largest images, and room for the rest."""

HEADER_BYTES = 64
ENTRY_BYTES = 64
_ALIGNMENT = 64
_MAGIC = b"KRBY"
_HEADER = struct.Struct("<4sBBBBIIQQqqQQ")
_ENTRY = struct.Struct("<HBBIII3IIQqdQ")


class RejectReason(str, enum.Enum):
    """Reason for rejecting a frame. The value is a key of counters.

    A decoder checks the header first, in this order up to CHECKSUM, and then each entry with its section.
    """

    SHORT = "short"
    """The frame is shorter than a header."""
    MAGIC = "magic"
    """The frame does not begin with the magic number."""
    VERSION = "version"
    """The major version is not supported."""
    KIND = "kind"
    """The frame contains another kind of message."""
    LENGTH = "length"
    """The frame does not have the length in its header or of its sections, or is larger than MAX_FRAME_BYTES."""
    CHECKSUM = "checksum"
    """The header, the table or a section is corrupt."""
    SECTION = "section"
    """A section is missing, duplicate, out of order or unknown in this minor version, or there are too many."""
    SHAPE = "shape"
    """A section has wrong elements or dimensions, or an encoder was given arrays of different lengths."""
    LAYOUT = "layout"
    """A section is not at its offset."""
    RESERVED = "reserved"
    """A reserved field or padding is not 0."""
    VALUE = "value"
    """A contact is neither 0 nor 1, or a text is not printable ASCII."""


class FrameError(ValueError):
    """A frame is malformed, or a message cannot be encoded."""

    def __init__(self, reason: RejectReason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        """Reason for rejecting the frame or message."""


class Kind(enum.IntEnum):
    """Kind of message. The numbers are part of the wire format."""

    OBSERVATION = 1
    JOINT_COMMAND = 2
    NAVIGATION_COMMAND = 3
    CONTROL_REQUEST = 4
    CONTROL_REPLY = 5


# Elements by their number in the table.
_U8, _F32, _F64 = 1, 2, 3
_TYPES: dict[int, numpy.dtype[Any]] = {_U8: numpy.dtype("u1"), _F32: numpy.dtype("<f4"), _F64: numpy.dtype("<f8")}


class Spec(NamedTuple):
    """Specification of a section: its element, and the bounds of each dimension."""

    id: int
    name: str
    element: int
    min: tuple[int, ...]
    max: tuple[int, ...]
    required: bool
    image: bool = False  # Has a stamp and no checksum.


def _joints(id: int, name: str, required: bool = True) -> Spec:
    return Spec(id, name, _F64, (0,), (MAX_JOINTS,), required)


def _vector(id: int, name: str, count: int, required: bool = True) -> Spec:
    return Spec(id, name, _F64, (count,), (count,), required)


def _image(id: int, name: str, element: int, *channels: int) -> Spec:
    side = MAX_IMAGE_SIDE
    return Spec(id, name, element, (1, 1, *channels), (side, side, *channels), False, True)


def _number(id: int, name: str) -> Spec:
    return Spec(id, name, _U8, (1,), (1,), True)


def _text(id: int, name: str, max_bytes: int, required: bool = False) -> Spec:
    return Spec(id, name, _U8, (1,), (max_bytes,), required)


SPECS: dict[Kind, tuple[Spec, ...]] = {
    Kind.OBSERVATION: (
        _joints(1, "position"),
        _joints(2, "velocity"),
        _joints(3, "effort"),
        _vector(4, "imu", 4 + 3 + 3),
        Spec(5, "contacts", _U8, (0,), (MAX_FEET,), True),
        _vector(6, "base velocity", 3, False),
        _image(16, "rgb 1", _U8, 3),
        _image(17, "rgb 2", _U8, 3),
        _image(18, "depth", _F32),
        _image(19, "confidence", _F32),
    ),
    Kind.JOINT_COMMAND: (_joints(32, "target"), _joints(33, "kp"), _joints(34, "kd"), _joints(35, "feed-forward", False)),
    Kind.NAVIGATION_COMMAND: (_vector(48, "velocity", 3),),
    Kind.CONTROL_REQUEST: (_number(64, "operation"),),
    Kind.CONTROL_REPLY: (
        _number(80, "status"),
        _text(81, "state", MAX_CONTROL_NAME_BYTES, True),
        _text(82, "stopped by", MAX_CONTROL_NAME_BYTES),
        _text(83, "fault", MAX_CONTROL_NAME_BYTES),
        _text(84, "reason", MAX_CONTROL_REASON_BYTES),
    ),
}
"""The sections of each kind of message, by id."""


class Stamp(NamedTuple):
    """Stamp of an image."""

    sequence: int = 0
    monotonic_ns: int = 0
    rate_hz: float = 0.0


class Section(NamedTuple):
    """One section of a frame."""

    array: numpy.typing.NDArray[Any]
    stamp: Stamp = Stamp()


class Header(NamedTuple):
    """The part of the header that belongs to the message."""

    sequence: int
    session_id: int
    monotonic_ns: int
    other_ns: int  # Wall time, expiry or time of sending.
    observation: int = 0


def encode(kind: Kind, header: Header, sections: Sequence[Section | None]) -> bytearray:
    """Returns a frame. The sections are in the order of their specifications, and None if they are absent.

    Raises:
        FrameError: SHAPE, if a section has a wrong type or shape.
    """
    present = [(spec, section) for spec, section in zip(SPECS[kind], sections) if section is not None]
    end = HEADER_BYTES + len(present) * ENTRY_BYTES
    offsets = []
    for spec, section in present:
        array = section.array
        if array.dtype != _TYPES[spec.element] or not _fits(spec, array.shape):
            raise FrameError(RejectReason.SHAPE, f"{spec.name}: cannot encode {array.dtype} {list(array.shape)}")
        offsets.append(_align(end))
        end = offsets[-1] + array.nbytes
    frame = bytearray(end)
    entry_offset = HEADER_BYTES
    for (spec, section), offset in zip(present, offsets):
        array = section.array
        # One copy, also if the array is not contiguous.
        numpy.frombuffer(frame, array.dtype, array.size, offset).reshape(array.shape)[...] = array
        checksum = 0 if spec.image else crc32c(frame[offset : offset + array.nbytes])
        shape = (*array.shape, 0, 0)[:3]
        fields = (spec.id, spec.element, array.ndim, offset, array.nbytes, checksum)
        _ENTRY.pack_into(frame, entry_offset, *fields, *shape, 0, *section.stamp, 0)
        entry_offset += ENTRY_BYTES
    _HEADER.pack_into(frame, 0, _MAGIC, MAJOR, MINOR, kind, len(present), end, 0, *header, 0)
    struct.pack_into("<I", frame, 12, crc32c(frame[:12] + frame[16:entry_offset]))
    return frame


def decode(frame: Buffer, kind: Kind) -> tuple[Header, list[Any]]:
    """Validates a frame, and returns its header and sections.

    The sections are in the order of their specifications. Absent optional ones are None. Their arrays are read-only views of the
    frame.

    Raises:
        FrameError: the frame is malformed, or of another kind.
    """
    view = memoryview(frame).toreadonly().cast("B")
    header, count = _decode_header(view, kind)
    minor = view[5]
    specs = SPECS[kind]
    sections: list[Section | None] = [None] * len(specs)
    last_id = -1
    next_spec = 0  # Index of the first specification whose section may still follow.
    end = HEADER_BYTES + count * ENTRY_BYTES  # End of the last section.
    for i in range(count):
        entry = view[HEADER_BYTES + i * ENTRY_BYTES :][:ENTRY_BYTES]
        id, _, _, offset, length, *_ = _ENTRY.unpack(entry)
        if id <= last_id:
            raise FrameError(RejectReason.SECTION, f"found section {id} after section {last_id}, expected ascending ids")
        last_id = id
        _check_layout(view, id, offset, length, end)
        end = offset + length
        next_spec = _skip_absent(specs, next_spec, id)
        if next_spec < len(specs) and specs[next_spec].id == id:
            sections[next_spec] = _decode_section(specs[next_spec], entry, view[offset:end])
            next_spec += 1
        elif minor == MINOR:
            raise FrameError(RejectReason.SECTION, f"unknown section {id} in version {MAJOR}.{MINOR}")
    _skip_absent(specs, next_spec, math.inf)
    if end != len(view):
        raise FrameError(RejectReason.LENGTH, f"found {len(view)} bytes, expected {end}, the end of the last section")
    return header, sections


def _decode_header(view: memoryview, kind: Kind) -> tuple[Header, int]:
    """Validates the header and its checksum, and returns it with the number of sections."""
    size = len(view)
    if size < len(_MAGIC):
        raise FrameError(RejectReason.SHORT, f"found {size} bytes, expected at least {HEADER_BYTES}")
    if view[:4] != _MAGIC:
        raise FrameError(RejectReason.MAGIC, f"found {bytes(view[:4])!r}, expected {_MAGIC!r}")
    if size < HEADER_BYTES:
        raise FrameError(RejectReason.SHORT, f"found {size} bytes, expected at least {HEADER_BYTES}")
    _, major, _, found_kind, count, length, checksum, *numbers, reserved = _HEADER.unpack_from(view)
    header = Header(*numbers)
    if major != MAJOR:
        raise FrameError(RejectReason.VERSION, f"found version {major}, expected {MAJOR}")
    if found_kind != kind:
        raise FrameError(RejectReason.KIND, f"found {_kind_name(found_kind)}, expected {_kind_name(kind)}")
    if size > MAX_FRAME_BYTES or length != size:
        raise FrameError(RejectReason.LENGTH, f"found {size} bytes, expected {length}, at most {MAX_FRAME_BYTES}")
    end = HEADER_BYTES + count * ENTRY_BYTES
    if count > MAX_SECTIONS:
        raise FrameError(RejectReason.SECTION, f"found {count} sections, expected at most {MAX_SECTIONS}")
    if end > size:
        raise FrameError(RejectReason.LENGTH, f"found {size} bytes, expected at least {end} for {count} sections")
    if checksum != crc32c(bytes(view[:12]) + bytes(view[16:end])):
        raise FrameError(RejectReason.CHECKSUM, "the header or the table is corrupt")
    if reserved or kind != Kind.JOINT_COMMAND and header.observation:
        raise FrameError(RejectReason.RESERVED, "a reserved field of the header is not 0")
    return header, count


def _check_layout(view: memoryview, id: int, offset: int, length: int, end: int) -> None:
    """Raises FrameError unless a section directly follows the one that ends at end."""
    if offset != _align(end) or offset + length > len(view):
        raise FrameError(
            RejectReason.LAYOUT,
            f"section {id}: found {length} bytes at offset {offset}, expected offset {_align(end)}, within {len(view)} bytes",
        )
    if any(view[end:offset]):
        raise FrameError(RejectReason.RESERVED, f"the padding before section {id} is not 0")


def _skip_absent(specs: tuple[Spec, ...], next_spec: int, id: float) -> int:
    """Returns the index of the first specification whose id is at least id. Raises FrameError if it skips a required section."""
    while next_spec < len(specs) and specs[next_spec].id < id:
        if specs[next_spec].required:
            raise FrameError(RejectReason.SECTION, f"{specs[next_spec].name}: section not found")
        next_spec += 1
    return next_spec


def _decode_section(spec: Spec, entry: memoryview, body: memoryview) -> Section:
    """Validates an entry of the table and its section."""
    _, element, rank, _, _, checksum, *dimensions, reserved, sequence, monotonic_ns, rate_hz, end = _ENTRY.unpack(entry)
    shape, rest = dimensions[: len(spec.max)], dimensions[len(spec.max) :]
    if (
        (element, rank) != (spec.element, len(spec.max))
        or any(rest)
        or not _fits(spec, shape)
        or math.prod(shape) * _TYPES[element].itemsize != len(body)
    ):
        raise FrameError(
            RejectReason.SHAPE, f"{spec.name}: invalid section of element {element}, rank {rank}, {dimensions}, {len(body)} bytes"
        )
    if reserved or end or (checksum if spec.image else any(entry[32:56])):
        raise FrameError(RejectReason.RESERVED, f"{spec.name}: a reserved field of the entry is not 0")
    if not spec.image and checksum != crc32c(body):
        raise FrameError(RejectReason.CHECKSUM, f"{spec.name}: the section is corrupt")
    stamp = Stamp(sequence, monotonic_ns, rate_hz) if spec.image else Stamp()
    return Section(numpy.frombuffer(body, _TYPES[element]).reshape(shape), stamp)


def _fits(spec: Spec, shape: Sequence[int]) -> bool:
    return (
        len(shape) == len(spec.max)
        and all(least <= n <= most for least, n, most in zip(spec.min, shape, spec.max))
        and (not spec.image or shape[0] * shape[1] <= MAX_IMAGE_PIXELS)
    )


def _align(n: int) -> int:
    return -(-n // _ALIGNMENT) * _ALIGNMENT


def _kind_name(kind: int) -> str:
    try:
        return Kind(kind).name.lower().replace("_", " ")
    except ValueError:
        return f"kind {kind}"
