"""Encodes messages as single frames of bytes and decodes them again: version 2 of the wire format (docs/hal.md).

Decoding trusts nothing: it reads only within the frame, allocates nothing for what the frame claims, and answers every
malformed frame with a FrameError that has a Cause. It says nothing about the values themselves; that is ``validate`` of
the messages.
"""

from __future__ import annotations

import enum
import functools
import math
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy

from .messages import (
    MAX_CONTROL_REASON,
    MAX_CONTROL_WORD,
    MAX_FEET,
    MAX_IMAGE_PIXELS,
    MAX_IMAGE_SIDE,
    MAX_JOINTS,
    ColorImage,
    ControlReply,
    ControlRequest,
    Floats,
    Imu,
    JointCommand,
    NavigationCommand,
    Observation,
    ScalarImage,
)

MAJOR = 2
MINOR = 0
MAX_SECTIONS = 32
MAX_FRAME_BYTES = 2 * (3 + 4) * MAX_IMAGE_PIXELS + (1 << 16)
"""The size of the largest frame that is read: four of the largest images, and room for the rest."""

Buffer = bytes | bytearray | memoryview


class Cause(str, enum.Enum):
    """Why a frame was refused; its value is a key for counters.

    The header is examined first, up to CHECKSUM in this order; then entry after entry, each with its section.
    """

    SHORT = "short"
    """Fewer bytes than a header."""
    MAGIC = "magic"
    """The frame is not one of ours."""
    VERSION = "version"
    """A major version that this code does not speak."""
    KIND = "kind"
    """Another kind of message than the one asked for."""
    LENGTH = "length"
    """The frame is not as long as its header or its sections say, or longer than any may be."""
    CHECKSUM = "checksum"
    """Bytes of the header, the table or a section changed on the way."""
    SECTION = "section"
    """A section is missing, twice, out of order, not known in this minor version, or one too many."""
    SHAPE = "shape"
    """Elements or dimensions that the section cannot have or, to an encoder, arrays that disagree."""
    LAYOUT = "layout"
    """A section does not lie where it belongs."""
    RESERVED = "reserved"
    """Something that must be 0 is not."""
    VALUE = "value"
    """A contact that is neither 0 nor 1, or a text with something other than printable ASCII."""


class FrameError(ValueError):
    """A frame that is refused, or a message for which there is none."""

    def __init__(self, cause: Cause, detail: str) -> None:
        super().__init__(f"{cause.value}: {detail}")
        self.cause = cause


_HEADER = struct.Struct("<4sBBBBIIQQqqQQ")
_ENTRY = struct.Struct("<HBBIII3IIQqdQ")
_HEADER_BYTES = 64
_ENTRY_BYTES = 64
_ALIGNMENT = 64
_MAGIC = b"KRBY"
_OBSERVATION, _JOINT_COMMAND, _NAVIGATION_COMMAND, _CONTROL_REQUEST, _CONTROL_REPLY = 1, 2, 3, 4, 5
_NAMES = {
    _OBSERVATION: "an observation",
    _JOINT_COMMAND: "a joint command",
    _NAVIGATION_COMMAND: "a navigation command",
    _CONTROL_REQUEST: "a control request",
    _CONTROL_REPLY: "a control reply",
}

# Elements by their number in the table.
_U8, _F32, _F64 = 1, 2, 3
_TYPES: dict[int, numpy.dtype[Any]] = {_U8: numpy.dtype("u1"), _F32: numpy.dtype("<f4"), _F64: numpy.dtype("<f8")}


class _Spec(NamedTuple):
    """What a section must be."""

    id: int
    name: str
    element: int
    least: tuple[int, ...]
    most: tuple[int, ...]
    required: bool
    image: bool = False  # Has a stamp and no checksum.


def _joints(id: int, name: str, required: bool = True) -> _Spec:
    return _Spec(id, name, _F64, (0,), (MAX_JOINTS,), required)


def _vector(id: int, name: str, count: int, required: bool = True) -> _Spec:
    return _Spec(id, name, _F64, (count,), (count,), required)


def _image(id: int, name: str, element: int, *channels: int) -> _Spec:
    side = MAX_IMAGE_SIDE
    return _Spec(id, name, element, (1, 1, *channels), (side, side, *channels), False, True)


def _number(id: int, name: str) -> _Spec:
    return _Spec(id, name, _U8, (1,), (1,), True)


def _text(id: int, name: str, most: int, required: bool = False) -> _Spec:
    return _Spec(id, name, _U8, (1,), (most,), required)


_SPECS = {
    _OBSERVATION: (
        _joints(1, "position"),
        _joints(2, "velocity"),
        _joints(3, "effort"),
        _vector(4, "imu", 4 + 3 + 3),
        _Spec(5, "contacts", _U8, (0,), (MAX_FEET,), True),
        _vector(6, "base velocity", 3, False),
        _image(16, "rgb 1", _U8, 3),
        _image(17, "rgb 2", _U8, 3),
        _image(18, "depth", _F32),
        _image(19, "confidence", _F32),
    ),
    _JOINT_COMMAND: (_joints(32, "target"), _joints(33, "kp"), _joints(34, "kd"), _joints(35, "feed-forward", False)),
    _NAVIGATION_COMMAND: (_vector(48, "velocity", 3),),
    _CONTROL_REQUEST: (_number(64, "operation"),),
    _CONTROL_REPLY: (
        _number(80, "status"),
        _text(81, "state", MAX_CONTROL_WORD, True),
        _text(82, "stopped by", MAX_CONTROL_WORD),
        _text(83, "fault", MAX_CONTROL_WORD),
        _text(84, "reason", MAX_CONTROL_REASON),
    ),
}


class _Stamp(NamedTuple):
    sequence: int = 0
    monotonic_ns: int = 0
    rate_hz: float = 0.0


class _Section(NamedTuple):
    array: numpy.typing.NDArray[Any]
    stamp: _Stamp = _Stamp()


class _Header(NamedTuple):
    """The fixed part of a frame that belongs to the message."""

    sequence: int
    session_id: int
    monotonic_ns: int
    other_ns: int  # Wall time, expiry or when a reply was sent.
    observation: int = 0


def encode_observation(o: Observation) -> bytearray:
    """Returns the frame of an observation. Raises FrameError with Cause.SHAPE where its arrays disagree or exceed the bounds."""
    joints = _count(o.position_rad, "position")
    inertial = numpy.concatenate(
        (
            _of(o.imu.orientation, 4, "orientation"),
            _of(o.imu.angular_velocity_rad_per_sec, 3, "angular velocity"),
            _of(o.imu.linear_acceleration_mps2, 3, "linear acceleration"),
        )
    )
    sections: list[_Section | None] = [
        _Section(_of(o.position_rad, joints, "position")),
        _Section(_of(o.velocity_rad_per_sec, joints, "velocity")),
        _Section(_of(o.effort_nm, joints, "effort")),
        _Section(inertial),
        _Section(numpy.asarray(o.contacts, numpy.bool_).view(numpy.uint8)),
        None if o.base_velocity_mps is None else _Section(_of(o.base_velocity_mps, 3, "base velocity")),
    ]
    for color in o.rgb_1, o.rgb_2:
        sections.append(None if color is None else _Section(color.pixels, _stamp(color)))
    for scalar in o.depth, o.confidence:
        sections.append(None if scalar is None else _Section(scalar.values, _stamp(scalar)))
    return _encode(_OBSERVATION, _Header(o.sequence, o.session_id, o.monotonic_ns, o.wall_ns), sections)


def decode_observation(frame: Buffer) -> Observation:
    """Returns the observation that a frame has, or raises FrameError.

    Images are read-only views of the frame, and keep it alive; everything else is a copy.
    """
    header, sections = _decode(frame, _OBSERVATION)
    position, velocity, effort, imu, contacts, base_velocity, rgb_1, rgb_2, depth, confidence = sections
    if not position.array.shape == velocity.array.shape == effort.array.shape:
        raise FrameError(Cause.SHAPE, "positions, velocities and efforts are of different lengths")
    if (contacts.array > 1).any():
        raise FrameError(Cause.VALUE, f"found contacts {contacts.array.tolist()}, expected 0 or 1 each")
    inertial = _own(imu)
    return Observation(
        sequence=header.sequence,
        session_id=header.session_id,
        monotonic_ns=header.monotonic_ns,
        wall_ns=header.other_ns,
        position_rad=_own(position),
        velocity_rad_per_sec=_own(velocity),
        effort_nm=_own(effort),
        imu=Imu(inertial[:4], inertial[4:7], inertial[7:]),
        contacts=contacts.array.astype(numpy.bool_),
        base_velocity_mps=_own(base_velocity) if base_velocity else None,
        rgb_1=ColorImage(rgb_1.array, *rgb_1.stamp) if rgb_1 else None,
        rgb_2=ColorImage(rgb_2.array, *rgb_2.stamp) if rgb_2 else None,
        depth=ScalarImage(depth.array, *depth.stamp) if depth else None,
        confidence=ScalarImage(confidence.array, *confidence.stamp) if confidence else None,
    )


def encode_joint_command(c: JointCommand) -> bytearray:
    """Returns the frame of a command. Raises FrameError with Cause.SHAPE where its arrays disagree or exceed the bounds."""
    joints = _count(c.target_rad, "target")
    some = c.feed_forward_nm is not None and numpy.size(c.feed_forward_nm) > 0
    sections = [
        _Section(_of(c.target_rad, joints, "target")),
        _Section(_of(c.kp, joints, "kp")),
        _Section(_of(c.kd, joints, "kd")),
        _Section(_of(c.feed_forward_nm, joints, "feed-forward")) if some else None,
    ]
    header = _Header(c.sequence, c.session_id, c.monotonic_ns, c.expires_ns, c.observation_sequence)
    return _encode(_JOINT_COMMAND, header, sections)


def decode_joint_command(frame: Buffer) -> JointCommand:
    """Returns the command that a frame has, or raises FrameError."""
    header, (target, kp, kd, feed_forward) = _decode(frame, _JOINT_COMMAND)
    joints = target.array.shape
    if not kp.array.shape == kd.array.shape == joints:
        raise FrameError(Cause.SHAPE, "targets and gains are of different lengths")
    if feed_forward and (joints == (0,) or feed_forward.array.shape != joints):
        raise FrameError(Cause.SHAPE, f"found a feed-forward of {feed_forward.array.size} values, expected {joints[0]}, or none")
    return JointCommand(
        sequence=header.sequence,
        session_id=header.session_id,
        observation_sequence=header.observation,
        monotonic_ns=header.monotonic_ns,
        expires_ns=header.other_ns,
        target_rad=_own(target),
        kp=_own(kp),
        kd=_own(kd),
        feed_forward_nm=_own(feed_forward) if feed_forward else None,
    )


def encode_navigation_command(c: NavigationCommand) -> bytearray:
    """Returns the frame of a command."""
    velocity = numpy.array([c.vx_mps, c.vy_mps, c.yaw_rate_rad_per_sec], numpy.float64)
    header = _Header(c.sequence, c.session_id, c.monotonic_ns, c.expires_ns)
    return _encode(_NAVIGATION_COMMAND, header, [_Section(velocity)])


def decode_navigation_command(frame: Buffer) -> NavigationCommand:
    """Returns the command that a frame has, or raises FrameError."""
    header, (velocity,) = _decode(frame, _NAVIGATION_COMMAND)
    vx_mps, vy_mps, yaw_rate_rad_per_sec = velocity.array.tolist()
    return NavigationCommand(
        vx_mps=vx_mps,
        vy_mps=vy_mps,
        yaw_rate_rad_per_sec=yaw_rate_rad_per_sec,
        sequence=header.sequence,
        session_id=header.session_id,
        monotonic_ns=header.monotonic_ns,
        expires_ns=header.other_ns,
    )


def encode_control_request(r: ControlRequest) -> bytearray:
    """Returns the frame of a request."""
    header = _Header(r.sequence, r.session_id, r.monotonic_ns, r.expires_ns)
    return _encode(_CONTROL_REQUEST, header, [_byte(r.operation)])


def decode_control_request(frame: Buffer) -> ControlRequest:
    """Returns the request that a frame has, or raises FrameError. Any number may be an operation: the server knows which are."""
    header, (operation,) = _decode(frame, _CONTROL_REQUEST)
    return ControlRequest(
        operation=int(operation.array[0]),
        sequence=header.sequence,
        session_id=header.session_id,
        monotonic_ns=header.monotonic_ns,
        expires_ns=header.other_ns,
    )


def encode_control_reply(r: ControlReply) -> bytearray:
    """Returns the frame of a reply.

    Raises FrameError with Cause.SHAPE where it has no state or a text is too long, with Cause.VALUE where a text is not
    printable ASCII.
    """
    texts = zip(_SPECS[_CONTROL_REPLY][1:], (r.state, r.stopped_by, r.fault, r.reason))
    header = _Header(r.sequence, r.session_id, r.received_ns, r.sent_ns)
    return _encode(_CONTROL_REPLY, header, [_byte(r.status), *(_of_text(spec, text) for spec, text in texts)])


def decode_control_reply(frame: Buffer) -> ControlReply:
    """Returns the reply that a frame has, or raises FrameError. Any number may be a status: one that is not known is no DONE."""
    header, (status, *texts) = _decode(frame, _CONTROL_REPLY)
    state, stopped_by, fault, reason = (_as_text(text) for text in texts)
    return ControlReply(
        status=int(status.array[0]),
        state=state,
        stopped_by=stopped_by,
        fault=fault,
        reason=reason,
        sequence=header.sequence,
        session_id=header.session_id,
        received_ns=header.monotonic_ns,
        sent_ns=header.other_ns,
    )


def _byte(value: int) -> _Section:
    return _Section(numpy.frombuffer(bytes((value,)), numpy.uint8))


def _of_text(spec: _Spec, text: str) -> _Section | None:
    if not text and not spec.required:
        return None
    if not all(" " <= c <= "~" for c in text):
        raise FrameError(Cause.VALUE, f"{spec.name}: found {text!r}, expected printable ASCII")
    return _Section(numpy.frombuffer(text.encode(), numpy.uint8))


def _as_text(section: _Section | None) -> str:
    if section is None:
        return ""
    text = section.array.tobytes().decode("latin-1")
    if not all(" " <= c <= "~" for c in text):  # It is shown on terminals.
        raise FrameError(Cause.VALUE, f"found the text {text!r}, expected printable ASCII")
    return text


def _stamp(image: ColorImage | ScalarImage) -> _Stamp:
    return _Stamp(image.sequence, image.monotonic_ns, image.rate_hz)


def _own(section: _Section) -> Floats:
    return section.array.astype(numpy.float64)


def _count(values: Any, name: str) -> int:
    shape: tuple[int, ...] = numpy.shape(values)
    if len(shape) != 1:
        raise FrameError(Cause.SHAPE, f"{name}: found the shape {shape}, expected one dimension")
    return shape[0]


def _of(values: Any, count: int, name: str) -> Floats:
    array = numpy.asarray(values, numpy.float64)
    if array.shape != (count,):
        raise FrameError(Cause.SHAPE, f"{name}: found the shape {array.shape}, expected ({count},)")
    return array


def _fits(spec: _Spec, shape: Sequence[int]) -> bool:
    return (
        len(shape) == len(spec.most)
        and all(least <= n <= most for least, n, most in zip(spec.least, shape, spec.most))
        and (not spec.image or shape[0] * shape[1] <= MAX_IMAGE_PIXELS)
    )


def _align(n: int) -> int:
    return -(-n // _ALIGNMENT) * _ALIGNMENT


def _encode(kind: int, header: _Header, sections: Sequence[_Section | None]) -> bytearray:
    present = [(spec, section) for spec, section in zip(_SPECS[kind], sections) if section is not None]
    end = _HEADER_BYTES + len(present) * _ENTRY_BYTES
    offsets = []
    for spec, section in present:
        array = section.array
        if array.dtype != _TYPES[spec.element] or not _fits(spec, array.shape):
            raise FrameError(Cause.SHAPE, f"{spec.name}: no frame holds {array.dtype} {list(array.shape)}")
        offsets.append(_align(end))
        end = offsets[-1] + array.nbytes
    frame = bytearray(end)
    at = _HEADER_BYTES
    for (spec, section), offset in zip(present, offsets):
        array = section.array
        # One copy, also of what is not contiguous.
        numpy.frombuffer(frame, array.dtype, array.size, offset).reshape(array.shape)[...] = array
        checksum = 0 if spec.image else _crc32c(frame[offset : offset + array.nbytes])
        shape = (*array.shape, 0, 0)[:3]
        head = (spec.id, spec.element, array.ndim, offset, array.nbytes, checksum)
        _ENTRY.pack_into(frame, at, *head, *shape, 0, *section.stamp, 0)
        at += _ENTRY_BYTES
    _HEADER.pack_into(frame, 0, _MAGIC, MAJOR, MINOR, kind, len(present), end, 0, *header, 0)
    struct.pack_into("<I", frame, 12, _crc32c(frame[:12] + frame[16:at]))
    return frame


def _decode(frame: Buffer, kind: int) -> tuple[_Header, list[Any]]:
    """Examines a frame completely.

    Returns its header, and its sections by the index of their spec: None for optional ones that are not there.
    """
    view = memoryview(frame).toreadonly().cast("B")
    size = len(view)
    if size < len(_MAGIC):
        raise FrameError(Cause.SHORT, f"found {size} bytes, expected at least {_HEADER_BYTES}")
    if view[:4] != _MAGIC:
        raise FrameError(Cause.MAGIC, f"found {bytes(view[:4])!r}, expected {_MAGIC!r}")
    if size < _HEADER_BYTES:
        raise FrameError(Cause.SHORT, f"found {size} bytes, expected at least {_HEADER_BYTES}")
    _, major, minor, found_kind, n, length, checksum, *numbers, reserved = _HEADER.unpack_from(view)
    header = _Header(*numbers)
    if major != MAJOR:
        raise FrameError(Cause.VERSION, f"found version {major}, expected {MAJOR}")
    if found_kind != kind:
        raise FrameError(Cause.KIND, f"found {_NAMES.get(found_kind, f'kind {found_kind}')}, expected {_NAMES[kind]}")
    if size > MAX_FRAME_BYTES or length != size:
        raise FrameError(Cause.LENGTH, f"found {size} bytes, expected {length}, and at most {MAX_FRAME_BYTES}")
    end = _HEADER_BYTES + n * _ENTRY_BYTES
    if n > MAX_SECTIONS:
        raise FrameError(Cause.SECTION, f"found {n} sections, expected at most {MAX_SECTIONS}")
    if end > size:
        raise FrameError(Cause.LENGTH, f"found {size} bytes, expected {end} for {n} sections at least")
    if checksum != _crc32c(bytes(view[:12]) + bytes(view[16:end])):
        raise FrameError(Cause.CHECKSUM, "the header or the table of sections is not as it was written")
    if reserved or kind != _JOINT_COMMAND and header.observation:
        raise FrameError(Cause.RESERVED, "found something in the header where 0 must be")
    specs = _SPECS[kind]
    sections: list[_Section | None] = [None] * len(specs)
    last, next = -1, 0  # The id before, and the first spec that may still come.
    for at in range(_HEADER_BYTES, _HEADER_BYTES + n * _ENTRY_BYTES, _ENTRY_BYTES):
        id, _, _, offset, length, *_ = _ENTRY.unpack_from(view, at)
        if id <= last:
            raise FrameError(Cause.SECTION, f"found section {id} after section {last}, expected them in order and once")
        last = id
        if offset != _align(end) or offset + length > size:
            raise FrameError(
                Cause.LAYOUT,
                f"section {id}: found {length} bytes at {offset}, expected them at {_align(end)} and within {size}",
            )
        if any(view[end:offset]):
            raise FrameError(Cause.RESERVED, f"found something before section {id} where 0 must be")
        end = offset + length
        while next < len(specs) and specs[next].id < id:
            _optional(specs[next])
            next += 1
        if next < len(specs) and specs[next].id == id:
            sections[next] = _section(specs[next], view[at : at + _ENTRY_BYTES], view[offset:end])
            next += 1
        elif minor == MINOR:
            raise FrameError(Cause.SECTION, f"found section {id}, which version {MAJOR}.{MINOR} does not have here")
    for spec in specs[next:]:
        _optional(spec)
    if end != size:
        raise FrameError(Cause.LENGTH, f"found {size} bytes, expected {end}, where the last section ends")
    return header, sections


def _optional(spec: _Spec) -> None:
    if spec.required:
        raise FrameError(Cause.SECTION, f"{spec.name}: found no such section, expected one")


def _section(spec: _Spec, entry: memoryview, body: memoryview) -> _Section:
    """Examines an entry of the table and its section."""
    _, element, rank, _, _, checksum, *dimensions, reserved, sequence, monotonic_ns, rate_hz, end = _ENTRY.unpack(entry)
    shape, rest = dimensions[: len(spec.most)], dimensions[len(spec.most) :]
    if (
        (element, rank) != (spec.element, len(spec.most))
        or any(rest)
        or not _fits(spec, shape)
        or math.prod(shape) * _TYPES[element].itemsize != len(body)
    ):
        raise FrameError(Cause.SHAPE, f"{spec.name}: found elements {element}, rank {rank}, {dimensions}, {len(body)} bytes")
    if reserved or end or (checksum if spec.image else any(entry[32:56])):
        raise FrameError(Cause.RESERVED, f"{spec.name}: found something in its entry where 0 must be")
    if not spec.image and checksum != _crc32c(body):
        raise FrameError(Cause.CHECKSUM, f"{spec.name}: its bytes are not as they were written")
    stamp = _Stamp(sequence, monotonic_ns, rate_hz) if spec.image else _Stamp()
    return _Section(numpy.frombuffer(body, _TYPES[element]).reshape(shape), stamp)


@functools.cache
def _crc_tables() -> numpy.typing.NDArray[numpy.uint32]:
    """What a byte does to a CRC-32C: row i has it for each value of one that i others follow.

    There are as many rows as the largest header and table have bytes.
    """
    row = numpy.arange(256, dtype=numpy.uint32)
    for _ in range(8):
        row = (row >> numpy.uint32(1)) ^ (row & numpy.uint32(1)) * numpy.uint32(0x82F63B78)
    first, rows = row, [row]
    for _ in range(_HEADER_BYTES + MAX_SECTIONS * _ENTRY_BYTES - 1):
        row = first[row & numpy.uint32(0xFF)] ^ (row >> numpy.uint32(8))
        rows.append(row)
    return numpy.stack(rows)


def _crc32c(data: Buffer) -> int:
    """Returns the CRC-32C (Castagnoli) of data, of which the tables are long enough for any that is covered by one.

    A CRC is linear: it is the sum of what the bytes do by themselves. That makes it a few operations on arrays, where a
    loop over the bytes takes ten times as long.
    """
    values = numpy.frombuffer(data, numpy.uint8)
    count = len(values)
    tables = _crc_tables()
    crc = int(numpy.bitwise_xor.reduce(tables[numpy.arange(count - 1, -1, -1), values])) if count else 0
    # What the initial value, all ones, becomes after so many bytes.
    return crc ^ _crc_of_initial(count) ^ 0xFFFFFFFF


@functools.cache
def _crc_of_initial(count: int) -> int:
    crc, first = 0xFFFFFFFF, _crc_tables()[0].tolist()
    for _ in range(count):
        crc = first[crc & 0xFF] ^ (crc >> 8)
    return int(crc)
