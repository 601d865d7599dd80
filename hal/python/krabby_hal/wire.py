"""Encodes messages as frames and decodes them: version 2 of the wire format (docs/hal.md).

Decoders accept any input. They read within the frame only, allocate nothing for sizes that the frame claims, and raise FrameError
with a RejectReason for each malformed frame. ``validate`` of the messages checks their values.
"""

from __future__ import annotations

from typing import Any

import numpy

from ._crc32c import Buffer
from ._frame import (
    MAJOR,
    MAX_FRAME_BYTES,
    MAX_SECTIONS,
    MINOR,
    SPECS,
    FrameError,
    Header,
    Kind,
    RejectReason,
    Section,
    Spec,
    Stamp,
    decode,
    encode,
)
from .messages import (
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

__all__ = [
    "MAJOR",
    "MAX_FRAME_BYTES",
    "MAX_SECTIONS",
    "MINOR",
    "FrameError",
    "RejectReason",
    "decode_control_reply",
    "decode_control_request",
    "decode_joint_command",
    "decode_navigation_command",
    "decode_observation",
    "encode_control_reply",
    "encode_control_request",
    "encode_joint_command",
    "encode_navigation_command",
    "encode_observation",
]


def encode_observation(o: Observation) -> bytearray:
    """Returns the frame of an observation.

    Raises:
        FrameError: SHAPE, if its arrays differ in length or exceed the bounds.
    """
    joints = _length(o.position_rad, "position")
    imu = numpy.concatenate(
        (
            _floats(o.imu.orientation, 4, "orientation"),
            _floats(o.imu.angular_velocity_rad_per_sec, 3, "angular velocity"),
            _floats(o.imu.linear_acceleration_mps2, 3, "linear acceleration"),
        )
    )
    sections: list[Section | None] = [
        Section(_floats(o.position_rad, joints, "position")),
        Section(_floats(o.velocity_rad_per_sec, joints, "velocity")),
        Section(_floats(o.effort_nm, joints, "effort")),
        Section(imu),
        Section(numpy.asarray(o.contacts, numpy.bool_).view(numpy.uint8)),
        None if o.base_velocity_mps is None else Section(_floats(o.base_velocity_mps, 3, "base velocity")),
        *(None if image is None else Section(image.pixels, _stamp(image)) for image in (o.rgb_1, o.rgb_2)),
        *(None if image is None else Section(image.values, _stamp(image)) for image in (o.depth, o.confidence)),
    ]
    return encode(Kind.OBSERVATION, Header(o.sequence, o.session_id, o.monotonic_ns, o.wall_ns), sections)


def decode_observation(frame: Buffer) -> Observation:
    """Returns the observation of a frame.

    Images are read-only views of the frame, and keep it alive. Other arrays are copies.

    Raises:
        FrameError: the frame is malformed, or of another kind.
    """
    header, sections = decode(frame, Kind.OBSERVATION)
    position, velocity, effort, imu, contacts, base_velocity, rgb_1, rgb_2, depth, confidence = sections
    if not position.array.shape == velocity.array.shape == effort.array.shape:
        raise FrameError(RejectReason.SHAPE, "positions, velocities and efforts differ in length")
    if (contacts.array > 1).any():
        raise FrameError(RejectReason.VALUE, f"found contacts {contacts.array.tolist()}, expected 0 or 1")
    imu_values = _copy(imu)
    return Observation(
        sequence=header.sequence,
        session_id=header.session_id,
        monotonic_ns=header.monotonic_ns,
        wall_ns=header.other_ns,
        position_rad=_copy(position),
        velocity_rad_per_sec=_copy(velocity),
        effort_nm=_copy(effort),
        imu=Imu(imu_values[:4], imu_values[4:7], imu_values[7:]),
        contacts=contacts.array.astype(numpy.bool_),
        base_velocity_mps=_copy(base_velocity) if base_velocity else None,
        rgb_1=ColorImage(rgb_1.array, *rgb_1.stamp) if rgb_1 else None,
        rgb_2=ColorImage(rgb_2.array, *rgb_2.stamp) if rgb_2 else None,
        depth=ScalarImage(depth.array, *depth.stamp) if depth else None,
        confidence=ScalarImage(confidence.array, *confidence.stamp) if confidence else None,
    )


def encode_joint_command(c: JointCommand) -> bytearray:
    """Returns the frame of a command.

    Raises:
        FrameError: SHAPE, if its arrays differ in length or exceed the bounds.
    """
    joints = _length(c.target_rad, "target")
    has_feed_forward = c.feed_forward_nm is not None and numpy.size(c.feed_forward_nm) > 0
    sections = [
        Section(_floats(c.target_rad, joints, "target")),
        Section(_floats(c.kp, joints, "kp")),
        Section(_floats(c.kd, joints, "kd")),
        Section(_floats(c.feed_forward_nm, joints, "feed-forward")) if has_feed_forward else None,
    ]
    return encode(Kind.JOINT_COMMAND, _command_header(c, c.observation_sequence), sections)


def decode_joint_command(frame: Buffer) -> JointCommand:
    """Returns the command of a frame.

    Raises:
        FrameError: the frame is malformed, or of another kind.
    """
    header, (target, kp, kd, feed_forward) = decode(frame, Kind.JOINT_COMMAND)
    joints = target.array.shape
    if not kp.array.shape == kd.array.shape == joints:
        raise FrameError(RejectReason.SHAPE, "targets and gains differ in length")
    if feed_forward and (joints == (0,) or feed_forward.array.shape != joints):
        raise FrameError(
            RejectReason.SHAPE, f"found a feed-forward of {feed_forward.array.size} values, expected {joints[0]}, or no section"
        )
    return JointCommand(
        target_rad=_copy(target),
        kp=_copy(kp),
        kd=_copy(kd),
        feed_forward_nm=_copy(feed_forward) if feed_forward else None,
        observation_sequence=header.observation,
        **_command_fields(header),
    )


def encode_navigation_command(c: NavigationCommand) -> bytearray:
    """Returns the frame of a command."""
    velocity = numpy.array([c.vx_mps, c.vy_mps, c.yaw_rate_rad_per_sec], numpy.float64)
    return encode(Kind.NAVIGATION_COMMAND, _command_header(c), [Section(velocity)])


def decode_navigation_command(frame: Buffer) -> NavigationCommand:
    """Returns the command of a frame.

    Raises:
        FrameError: the frame is malformed, or of another kind.
    """
    header, (velocity,) = decode(frame, Kind.NAVIGATION_COMMAND)
    vx_mps, vy_mps, yaw_rate_rad_per_sec = velocity.array.tolist()
    return NavigationCommand(vx_mps, vy_mps, yaw_rate_rad_per_sec, **_command_fields(header))


def encode_control_request(r: ControlRequest) -> bytearray:
    """Returns the frame of a request."""
    return encode(Kind.CONTROL_REQUEST, _command_header(r), [_byte(r.operation)])


def decode_control_request(frame: Buffer) -> ControlRequest:
    """Returns the request of a frame. It may have any operation; the server rejects unknown ones.

    Raises:
        FrameError: the frame is malformed, or of another kind.
    """
    header, (operation,) = decode(frame, Kind.CONTROL_REQUEST)
    return ControlRequest(int(operation.array[0]), **_command_fields(header))


def encode_control_reply(r: ControlReply) -> bytearray:
    """Returns the frame of a reply.

    Raises:
        FrameError: SHAPE, if the state is empty or a text is too long; VALUE, if a text is not printable ASCII.
    """
    texts = zip(SPECS[Kind.CONTROL_REPLY][1:], (r.state, r.stopped_by, r.fault, r.reason))
    header = Header(r.sequence, r.session_id, r.received_ns, r.sent_ns)
    return encode(Kind.CONTROL_REPLY, header, [_byte(r.status), *(_encode_text(spec, text) for spec, text in texts)])


def decode_control_reply(frame: Buffer) -> ControlReply:
    """Returns the reply of a frame. It may have any status.

    Raises:
        FrameError: the frame is malformed, or of another kind.
    """
    header, (status, *texts) = decode(frame, Kind.CONTROL_REPLY)
    state, stopped_by, fault, reason = (_decode_text(text) for text in texts)
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


def _command_header(m: JointCommand | NavigationCommand | ControlRequest, observation: int = 0) -> Header:
    """Returns the header of a message with an expiry."""
    return Header(m.sequence, m.session_id, m.monotonic_ns, m.expires_ns, observation)


def _command_fields(header: Header) -> dict[str, int]:
    """Returns the fields of a message with an expiry."""
    return {
        "sequence": header.sequence,
        "session_id": header.session_id,
        "monotonic_ns": header.monotonic_ns,
        "expires_ns": header.other_ns,
    }


def _byte(value: int) -> Section:
    return Section(numpy.frombuffer(bytes((value,)), numpy.uint8))


def _encode_text(spec: Spec, text: str) -> Section | None:
    if not text and not spec.required:
        return None
    if not _is_printable(text):
        raise FrameError(RejectReason.VALUE, f"{spec.name}: found {text!r}, expected printable ASCII")
    return Section(numpy.frombuffer(text.encode(), numpy.uint8))


def _decode_text(section: Section | None) -> str:
    if section is None:
        return ""
    text = section.array.tobytes().decode("latin-1")
    if not _is_printable(text):  # Programs print the texts on terminals.
        raise FrameError(RejectReason.VALUE, f"found the text {text!r}, expected printable ASCII")
    return text


def _is_printable(text: str) -> bool:
    return all(" " <= c <= "~" for c in text)


def _stamp(image: ColorImage | ScalarImage) -> Stamp:
    return Stamp(image.sequence, image.monotonic_ns, image.rate_hz)


def _copy(section: Section) -> Floats:
    return section.array.astype(numpy.float64)


def _length(values: Any, name: str) -> int:
    """Returns the length of an array. Raises FrameError if it does not have one dimension."""
    shape: tuple[int, ...] = numpy.shape(values)
    if len(shape) != 1:
        raise FrameError(RejectReason.SHAPE, f"{name}: found the shape {shape}, expected one dimension")
    return shape[0]


def _floats(values: Any, count: int, name: str) -> Floats:
    """Returns values as an array of count numbers. Raises FrameError for another shape."""
    array = numpy.asarray(values, numpy.float64)
    if array.shape != (count,):
        raise FrameError(RejectReason.SHAPE, f"{name}: found the shape {array.shape}, expected ({count},)")
    return array
