"""The messages between a robot's hardware abstraction layer and its controller.

Units are SI. Frames follow REP-103: x forward, y left, z up, right-handed rotations. Per-joint arrays follow the robot's joint
order, per-foot arrays the order of its feet. In shapes, J is the number of joints, F the number of feet, H the number of rows and
W the number of columns.

Each message has ``to_json`` and ``from_json``, for logs. They omit images.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field
from typing import Any

import numpy
import numpy.typing
from dataclasses_json import DataClassJsonMixin, config

Floats = numpy.typing.NDArray[numpy.float64]
Flags = numpy.typing.NDArray[numpy.bool_]
Pixels = numpy.typing.NDArray[numpy.uint8]
Scalars = numpy.typing.NDArray[numpy.float32]

MAX_JOINTS = 64
MAX_FEET = 32
MAX_IMAGE_SIDE = 4096
MAX_IMAGE_PIXELS = 1 << 22
MAX_CONTROL_NAME_BYTES = 64
MAX_CONTROL_REASON_BYTES = 256

ORIENTATION_NORM_TOLERANCE = 1e-2
"""Maximum difference between the norm of an orientation and 1."""

MAX_MAGNITUDE = 1e6
"""Maximum magnitude of the numbers of an observation, of gains and of velocity commands, in their units."""


class FieldError(ValueError):
    """A field of a message has an invalid value."""

    def __init__(self, field: str, found: str, expected: str) -> None:
        super().__init__(f"{field}: found {found}, expected {expected}")
        self.field = field
        """Name of the field, with an index for an element of an array."""


def _floats(values: Any) -> Floats:
    return numpy.asarray(values, numpy.float64)


def _optional_floats(values: Any) -> Floats | None:
    return None if values is None else _floats(values)


def _flags(values: Any) -> Flags:
    return numpy.asarray(values, numpy.bool_)


def _list(values: Any) -> Any:
    return None if values is None else values.tolist()


def _array(decoder: Any = _floats) -> dict[str, Any]:
    return config(encoder=_list, decoder=decoder)


def _omitted() -> dict[str, Any]:
    return config(exclude=lambda _: True, decoder=lambda _: None)


@dataclass(eq=False)
class ColorImage:
    """Image with 8 bits for each of red, green and blue.

    Cameras are slower than joints: successive observations repeat an image with its stamp until the camera delivers the next one.
    """

    pixels: Pixels
    """uint8 [H, W, 3]: red, green, blue, 0 to 255, in rows from the top left. Read-only after decoding."""
    sequence: int = 0
    """Sequence of the camera's frames in a session, from 1."""
    monotonic_ns: int = 0
    """Time of the image on the server's monotonic clock, ns."""
    rate_hz: float = 0.0
    """Nominal rate of the camera, Hz; 0 if it is not known."""


@dataclass(eq=False)
class ScalarImage:
    """Image with one number for each pixel. Its stamp is like that of :class:`ColorImage`."""

    values: Scalars
    """float32 [H, W], in rows from the top left. NaN and infinities are allowed. Read-only after decoding."""
    sequence: int = 0
    """Sequence of the camera's frames in a session, from 1."""
    monotonic_ns: int = 0
    """Time of the image on the server's monotonic clock, ns."""
    rate_hz: float = 0.0
    """Nominal rate of the camera, Hz; 0 if it is not known."""


@dataclass(eq=False)
class Imu(DataClassJsonMixin):
    """State of an inertial measurement unit. Its axes are those of the base."""

    orientation: Floats = field(default_factory=lambda: numpy.array([1.0, 0.0, 0.0, 0.0]), metadata=_array())
    """float64 [4]: unit quaternion w, x, y, z that rotates a vector from the base frame to the world frame."""
    angular_velocity_rad_per_sec: Floats = field(default_factory=lambda: numpy.zeros(3), metadata=_array())
    """float64 [3]: x, y, z in the base frame, rad/s."""
    linear_acceleration_mps2: Floats = field(default_factory=lambda: numpy.zeros(3), metadata=_array())
    """float64 [3]: specific force x, y, z in the base frame, m/s²: +9.81 on z at rest."""

    def __post_init__(self) -> None:
        self.orientation = _floats(self.orientation)
        self.angular_velocity_rad_per_sec = _floats(self.angular_velocity_rad_per_sec)
        self.linear_acceleration_mps2 = _floats(self.linear_acceleration_mps2)


@dataclass(eq=False)
class Observation(DataClassJsonMixin):
    """One reading of all sensors of a robot."""

    position_rad: Floats = field(metadata=_array())
    """float64 [J]: positions of the joints, rad."""
    velocity_rad_per_sec: Floats = field(metadata=_array())
    """float64 [J]: velocities of the joints, rad/s."""
    effort_nm: Floats = field(metadata=_array())
    """float64 [J]: efforts of the joints, N·m."""
    contacts: Flags = field(metadata=_array(_flags))
    """bool [F]: whether each foot touches the ground."""
    imu: Imu = field(default_factory=Imu)
    """State of the inertial measurement unit."""
    base_velocity_mps: Floats | None = field(default=None, metadata=_array(_optional_floats))
    """float64 [3]: linear velocity x, y, z of the base in its own frame, m/s; None if it is not known."""
    sequence: int = 0
    """Sequence of the observations of a session, from 1."""
    session_id: int = 0
    """Identifier of one run of the server: random, not 0."""
    monotonic_ns: int = 0
    """Time just before the sensors were read, on the server's monotonic clock, ns. Ages are relative to it."""
    wall_ns: int = 0
    """The same time since the Unix epoch, ns. For logs only."""
    rgb_1: ColorImage | None = field(default=None, metadata=_omitted())
    """Image of the first color camera, or None."""
    rgb_2: ColorImage | None = field(default=None, metadata=_omitted())
    """Image of the second color camera, or None."""
    depth: ScalarImage | None = field(default=None, metadata=_omitted())
    """Distance along the camera's axis, m, or None. Pixels that could not be measured are NaN."""
    confidence: ScalarImage | None = field(default=None, metadata=_omitted())
    """Confidence in the depth, 0 to 1, in the same size, or None."""

    def __post_init__(self) -> None:
        self.position_rad = _floats(self.position_rad)
        self.velocity_rad_per_sec = _floats(self.velocity_rad_per_sec)
        self.effort_nm = _floats(self.effort_nm)
        self.contacts = _flags(self.contacts)
        self.base_velocity_mps = _optional_floats(self.base_velocity_mps)

    def validate(self, joints: int | None = None, feet: int | None = None) -> None:
        """Raises FieldError for the first invalid field. Pixels may have any value.

        Args:
            joints: number of joints; by default that of the positions.
            feet: number of feet; by default that of the contacts.
        """
        joints = len(self.position_rad) if joints is None else joints
        feet = len(self.contacts) if feet is None else feet
        _check_bounded("position_rad", self.position_rad, joints)
        _check_bounded("velocity_rad_per_sec", self.velocity_rad_per_sec, joints)
        _check_bounded("effort_nm", self.effort_nm, joints)
        _check_finite("imu.orientation", self.imu.orientation, 4)
        norm = math.sqrt(float(numpy.dot(self.imu.orientation, self.imu.orientation)))
        if not abs(norm - 1) <= ORIENTATION_NORM_TOLERANCE:
            raise FieldError("imu.orientation", f"a norm of {norm:g}", f"1 ± {ORIENTATION_NORM_TOLERANCE:g}")
        _check_bounded("imu.angular_velocity_rad_per_sec", self.imu.angular_velocity_rad_per_sec, 3)
        _check_bounded("imu.linear_acceleration_mps2", self.imu.linear_acceleration_mps2, 3)
        if self.base_velocity_mps is not None:
            _check_bounded("base_velocity_mps", self.base_velocity_mps, 3)
        if self.contacts.shape != (feet,):
            raise FieldError("contacts", f"the shape {self.contacts.shape}", f"({feet},)")
        for name, image in ("rgb_1", self.rgb_1), ("rgb_2", self.rgb_2), ("depth", self.depth), ("confidence", self.confidence):
            if image is not None and not 0 <= image.rate_hz <= MAX_MAGNITUDE:
                raise FieldError(name + ".rate_hz", f"{image.rate_hz:g}", f"0 to {MAX_MAGNITUDE:g}")
        if self.depth is not None and self.confidence is not None and self.depth.values.shape != self.confidence.values.shape:
            raise FieldError(
                "confidence", f"the shape {self.confidence.values.shape}", f"{self.depth.values.shape}, that of the depth"
            )


@dataclass(eq=False)
class JointCommand(DataClassJsonMixin):
    """Requests joint positions. Each actuator runs a PD loop around its target.

    ``Client.send`` sets the sequences, the session and the times.
    """

    target_rad: Floats = field(metadata=_array())
    """float64 [J]: target positions, rad."""
    kp: Floats = field(metadata=_array())
    """float64 [J]: proportional gains, N·m/rad."""
    kd: Floats = field(metadata=_array())
    """float64 [J]: derivative gains, N·m·s/rad."""
    feed_forward_nm: Floats | None = field(default=None, metadata=_array(_optional_floats))
    """float64 [J] or None: effort that is added to the PD loop, N·m."""
    sequence: int = 0
    """Sequence of the commands of a client, from 1."""
    session_id: int = 0
    """Session of the observations that the client acts on."""
    observation_sequence: int = 0
    """Sequence of the observation that this command answers."""
    monotonic_ns: int = 0
    """Time of the command on the server's monotonic clock, ns."""
    expires_ns: int = 0
    """Expiry of the command on the same clock, ns."""

    def __post_init__(self) -> None:
        self.target_rad = _floats(self.target_rad)
        self.kp = _floats(self.kp)
        self.kd = _floats(self.kd)
        self.feed_forward_nm = _optional_floats(self.feed_forward_nm)

    def validate(self, joints: int | None = None) -> None:
        """Raises FieldError for the first invalid field. The server checks the limits of joints.

        Args:
            joints: number of joints; by default that of the targets.
        """
        joints = len(self.target_rad) if joints is None else joints
        _check_finite("target_rad", self.target_rad, joints)
        for name, values in ("kp", self.kp), ("kd", self.kd):
            _check_bounded(name, values, joints)
            if (values < 0).any():
                index = int(numpy.argmax(values < 0))
                raise FieldError(f"{name}[{index}]", f"{values[index]:g}", "a gain of 0 or more")
        if self.feed_forward_nm is not None and self.feed_forward_nm.size:
            _check_finite("feed_forward_nm", self.feed_forward_nm, joints)


@dataclass
class NavigationCommand(DataClassJsonMixin):
    """Requests a velocity of the base, in its own frame."""

    vx_mps: float
    """Linear velocity forward, m/s."""
    vy_mps: float
    """Linear velocity to the left, m/s."""
    yaw_rate_rad_per_sec: float
    """Angular velocity about z, rad/s: positive turns left."""
    sequence: int = 0
    """Sequence of the commands of a navigator, from 1."""
    session_id: int = 0
    """Session of the observations that the navigator acts on."""
    monotonic_ns: int = 0
    """Time of the command on the server's monotonic clock, ns."""
    expires_ns: int = 0
    """Expiry of the command on the same clock, ns. An expired command requests standing still."""

    def validate(self) -> None:
        """Raises FieldError for the first velocity that is not finite or exceeds MAX_MAGNITUDE."""
        for name in "vx_mps", "vy_mps", "yaw_rate_rad_per_sec":
            value = getattr(self, name)
            if not abs(value) <= MAX_MAGNITUDE:
                raise FieldError(name, f"{value:g}", f"{-MAX_MAGNITUDE:g} to {MAX_MAGNITUDE:g}")


class Operation(enum.IntEnum):
    """Operation of a control request. The numbers are part of the wire format."""

    CLOCK = 1
    """Requests a reply only: the server's time, session and state."""
    E_STOP = 2
    """Stops the robot until a reset. It is never rejected."""
    RESET = 3
    """Ends a stop, unless a fault is active."""


class ControlStatus(enum.IntEnum):
    """Result of a control request. The numbers are part of the wire format."""

    DONE = 0
    """The operation was carried out, or there was nothing to do."""
    UNKNOWN_OPERATION = 1
    """The server does not implement the operation."""
    OTHER_SESSION = 2
    """The reset is for another session."""
    EXPIRED = 3
    """The reset arrived after its expiry, or the robot was stopped again after the reply that the sender acts on."""
    FAULT_ACTIVE = 4
    """The reset was rejected because of an active fault, which the reply names."""


@dataclass
class ControlRequest(DataClassJsonMixin):
    """Asks a server for its time, a stop or a reset."""

    operation: int
    """An :class:`Operation`. The server rejects other numbers."""
    sequence: int = 0
    """Sequence of the requests of a client, from 1. The reply repeats it."""
    session_id: int = 0
    """Session that a reset is for; 0 for other operations."""
    monotonic_ns: int = 0
    """Time of sending on the client's monotonic clock, ns. Only the client uses it."""
    expires_ns: int = 0
    """Expiry of a reset on the server's monotonic clock, ns; 0 for other operations."""


@dataclass
class ControlReply(DataClassJsonMixin):
    """Answers a control request. It describes the robot after the operation."""

    status: int
    """A :class:`ControlStatus`. Other numbers mean that the operation was not carried out."""
    state: str
    """State of the safety gate: ``idle``, ``active``, ``hold``, ``damp`` or ``stopped``."""
    stopped_by: str = ""
    """Fault that stopped the robot; empty in other states."""
    fault: str = ""
    """Active fault for which a reset was rejected; otherwise empty."""
    reason: str = ""
    """Description of the active fault; otherwise empty."""
    sequence: int = 0
    """Sequence of the request."""
    session_id: int = 0
    """Identifier of one run of the server: random, not 0."""
    received_ns: int = 0
    """Time of receiving the request on the server's monotonic clock, ns."""
    sent_ns: int = 0
    """Time of sending the reply on the same clock, ns."""


def _check_finite(name: str, values: Floats, count: int) -> None:
    _check_elements(name, values, count, numpy.isfinite(values), "a finite number")


def _check_bounded(name: str, values: Floats, count: int) -> None:
    _check_elements(name, values, count, numpy.abs(values) <= MAX_MAGNITUDE, f"{-MAX_MAGNITUDE:g} to {MAX_MAGNITUDE:g}")


def _check_elements(name: str, values: Floats, count: int, valid: Any, expected: str) -> None:
    if values.shape != (count,):
        raise FieldError(name, f"the shape {values.shape}", f"({count},)")
    if not valid.all():
        index = int(numpy.argmin(valid))
        raise FieldError(f"{name}[{index}]", f"{values[index]:g}", expected)
