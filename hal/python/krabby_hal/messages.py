"""What travels between a robot's hardware abstraction layer and its controller.

Units are SI and frames follow REP-103: x forward, y left, z up, rotations by the right hand. Values over joints have
the order of the robot's joints, values over feet that of its feet. Shapes are written with J for the number of joints, F
of feet, H and W of rows and columns.

Each message has ``to_json`` and ``from_json``, for logs; images are left out there.
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
MAX_CONTROL_WORD = 64
MAX_CONTROL_REASON = 256

UNIT_TOLERANCE = 1e-2
"""How far the norm of an orientation may be from 1."""

MAX_MAGNITUDE = 1e6
"""Bounds, in their units, the numbers of an observation, gains and velocities asked for: more is no measurement."""


class FieldError(ValueError):
    """A field of a message has a value that it cannot have."""

    def __init__(self, field: str, found: str, expected: str) -> None:
        super().__init__(f"{field}: found {found}, expected {expected}")
        self.field = field
        """Its name, with the index where it is one of several."""


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


def _left_out() -> dict[str, Any]:
    return config(exclude=lambda _: True, decoder=lambda _: None)


@dataclass(eq=False)
class ColorImage:
    """An image of 8 bits for each of red, green and blue.

    A camera is slower than the joints: observations repeat its image, with the same stamp, until there is a new one.
    """

    pixels: Pixels
    """uint8 [H, W, 3]: red, green, blue, 0 to 255, row by row from the top left. Read-only after decoding."""
    sequence: int = 0
    """Counts the frames of the camera in a session, from 1."""
    monotonic_ns: int = 0
    """When the image was taken, in ns of the server's monotonic clock."""
    rate_hz: float = 0.0
    """The camera's nominal rate, in Hz; 0 where it is not known."""


@dataclass(eq=False)
class ScalarImage:
    """An image of one number for each pixel. Its stamp is as that of :class:`ColorImage`."""

    values: Scalars
    """float32 [H, W], row by row from the top left; NaN and infinities are allowed. Read-only after decoding."""
    sequence: int = 0
    """Counts the frames of the camera in a session, from 1."""
    monotonic_ns: int = 0
    """When the image was taken, in ns of the server's monotonic clock."""
    rate_hz: float = 0.0
    """The camera's nominal rate, in Hz; 0 where it is not known."""


@dataclass(eq=False)
class Imu(DataClassJsonMixin):
    """The state of an inertial measurement unit whose axes are the base's."""

    orientation: Floats = field(default_factory=lambda: numpy.array([1.0, 0.0, 0.0, 0.0]), metadata=_array())
    """float64 [4]: the unit quaternion w, x, y, z that turns a vector in the base frame into the world frame."""
    angular_velocity_rad_per_sec: Floats = field(default_factory=lambda: numpy.zeros(3), metadata=_array())
    """float64 [3]: x, y, z in the base frame, rad/s."""
    linear_acceleration_mps2: Floats = field(default_factory=lambda: numpy.zeros(3), metadata=_array())
    """float64 [3]: the specific force x, y, z in the base frame, m/s²: +9.81 on z at rest."""

    def __post_init__(self) -> None:
        self.orientation = _floats(self.orientation)
        self.angular_velocity_rad_per_sec = _floats(self.angular_velocity_rad_per_sec)
        self.linear_acceleration_mps2 = _floats(self.linear_acceleration_mps2)


@dataclass(eq=False)
class Observation(DataClassJsonMixin):
    """One reading of all of a robot's sensors."""

    position_rad: Floats = field(metadata=_array())
    """float64 [J]: positions of the joints, rad."""
    velocity_rad_per_sec: Floats = field(metadata=_array())
    """float64 [J]: velocities of the joints, rad/s."""
    effort_nm: Floats = field(metadata=_array())
    """float64 [J]: efforts of the joints, N·m."""
    contacts: Flags = field(metadata=_array(_flags))
    """bool [F]: whether the foot touches the ground."""
    imu: Imu = field(default_factory=Imu)
    """The inertial measurement unit."""
    base_velocity_mps: Floats | None = field(default=None, metadata=_array(_optional_floats))
    """float64 [3]: linear velocity x, y, z of the base in its own frame, m/s; None where it is not known."""
    sequence: int = 0
    """Counts the observations of a session, from 1."""
    session_id: int = 0
    """One life of the server: random, not 0."""
    monotonic_ns: int = 0
    """Just before the sensors were read, in ns of the server's monotonic clock. Ages come from it."""
    wall_ns: int = 0
    """The same moment in ns since the Unix epoch, for logs only."""
    rgb_1: ColorImage | None = field(default=None, metadata=_left_out())
    """The first color camera, where there is one."""
    rgb_2: ColorImage | None = field(default=None, metadata=_left_out())
    """The second color camera, where there is one."""
    depth: ScalarImage | None = field(default=None, metadata=_left_out())
    """Distance along the camera's axis, m, where there is one; NaN where it could not be measured."""
    confidence: ScalarImage | None = field(default=None, metadata=_left_out())
    """How far to trust the depth, 0 to 1, of the same size, where there is one."""

    def __post_init__(self) -> None:
        self.position_rad = _floats(self.position_rad)
        self.velocity_rad_per_sec = _floats(self.velocity_rad_per_sec)
        self.effort_nm = _floats(self.effort_nm)
        self.contacts = _flags(self.contacts)
        self.base_velocity_mps = _optional_floats(self.base_velocity_mps)

    def validate(self, joints: int | None = None, feet: int | None = None) -> None:
        """Raises FieldError for the first field that no observation can have; never looks at pixels.

        Without joints and feet, their numbers are those that the positions and contacts have.
        """
        joints = len(self.position_rad) if joints is None else joints
        feet = len(self.contacts) if feet is None else feet
        _bounded("position_rad", self.position_rad, joints)
        _bounded("velocity_rad_per_sec", self.velocity_rad_per_sec, joints)
        _bounded("effort_nm", self.effort_nm, joints)
        _finite("imu.orientation", self.imu.orientation, 4)
        norm = math.sqrt(float(numpy.dot(self.imu.orientation, self.imu.orientation)))
        if not abs(norm - 1) <= UNIT_TOLERANCE:
            raise FieldError("imu.orientation", f"a norm of {norm:g}", f"1 ± {UNIT_TOLERANCE:g}")
        _bounded("imu.angular_velocity_rad_per_sec", self.imu.angular_velocity_rad_per_sec, 3)
        _bounded("imu.linear_acceleration_mps2", self.imu.linear_acceleration_mps2, 3)
        if self.base_velocity_mps is not None:
            _bounded("base_velocity_mps", self.base_velocity_mps, 3)
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
    """Asks for joint positions. Each actuator closes a PD loop around them.

    Client.send fills in the numbers and times; the rest is the caller's.
    """

    target_rad: Floats = field(metadata=_array())
    """float64 [J]: positions asked for, rad."""
    kp: Floats = field(metadata=_array())
    """float64 [J]: proportional gains, N·m/rad."""
    kd: Floats = field(metadata=_array())
    """float64 [J]: derivative gains, N·m·s/rad."""
    feed_forward_nm: Floats | None = field(default=None, metadata=_array(_optional_floats))
    """float64 [J] or None: added to the effort of the PD loop, N·m."""
    sequence: int = 0
    """Counts the commands of a client, from 1."""
    session_id: int = 0
    """That of the observations that the client acts on."""
    observation_sequence: int = 0
    """The sequence of the observation that this command answers."""
    monotonic_ns: int = 0
    """When the command was made, in ns of the server's monotonic clock."""
    expires_ns: int = 0
    """When the command loses its force, in ns of the same clock."""

    def __post_init__(self) -> None:
        self.target_rad = _floats(self.target_rad)
        self.kp = _floats(self.kp)
        self.kd = _floats(self.kd)
        self.feed_forward_nm = _optional_floats(self.feed_forward_nm)

    def validate(self, joints: int | None = None) -> None:
        """Raises FieldError for the first field that no command can have; limits of joints are the server's to judge.

        Without joints, their number is that of the targets.
        """
        joints = len(self.target_rad) if joints is None else joints
        _finite("target_rad", self.target_rad, joints)
        for name, values in ("kp", self.kp), ("kd", self.kd):
            _bounded(name, values, joints)
            if (values < 0).any():
                at = int(numpy.argmax(values < 0))
                raise FieldError(f"{name}[{at}]", f"{values[at]:g}", "a gain of 0 or more")
        if self.feed_forward_nm is not None and self.feed_forward_nm.size:
            _finite("feed_forward_nm", self.feed_forward_nm, joints)


@dataclass
class NavigationCommand(DataClassJsonMixin):
    """Asks for a velocity of the base, in its own frame."""

    vx_mps: float
    """Linear velocity forward, m/s."""
    vy_mps: float
    """Linear velocity to the left, m/s."""
    yaw_rate_rad_per_sec: float
    """Angular velocity about z, rad/s: positive turns left."""
    sequence: int = 0
    """Counts the commands of a navigator, from 1."""
    session_id: int = 0
    """That of the observations that the navigator acts on."""
    monotonic_ns: int = 0
    """When the command was made, in ns of the server's monotonic clock."""
    expires_ns: int = 0
    """When the command loses its force, in ns of the same clock; the base is then asked to stand."""

    def validate(self) -> None:
        """Raises FieldError for the first velocity that is not finite or beyond MAX_MAGNITUDE."""
        for name in "vx_mps", "vy_mps", "yaw_rate_rad_per_sec":
            value = getattr(self, name)
            if not abs(value) <= MAX_MAGNITUDE:
                raise FieldError(name, f"{value:g}", f"{-MAX_MAGNITUDE:g} to {MAX_MAGNITUDE:g}")


class Operation(enum.IntEnum):
    """What a control request asks for. The numbers are those of the wire."""

    CLOCK = 1
    """Nothing but what every reply says: the time, the session and the state."""
    E_STOP = 2
    """Stops the robot until a reset. It is never refused."""
    RESET = 3
    """Ends a stop, unless a fault lasts."""


class ControlStatus(enum.IntEnum):
    """What became of a control request. The numbers are those of the wire."""

    DONE = 0
    """What was asked for is so."""
    UNKNOWN_OPERATION = 1
    """The server does not know what was asked for."""
    OTHER_SESSION = 2
    """The reset is for another life of the server."""
    EXPIRED = 3
    """The reset came after its time."""
    FAULT_LASTS = 4
    """The reset was refused because of a fault, which the reply names."""


@dataclass
class ControlRequest(DataClassJsonMixin):
    """Asks a server for the time, a stop or a reset."""

    operation: int
    """An :class:`Operation`; another number is for the server to refuse."""
    sequence: int = 0
    """Counts the requests of a client, from 1; the reply has it too."""
    session_id: int = 0
    """The life of the server that a reset is for; 0 for other operations."""
    monotonic_ns: int = 0
    """When the request was sent, in ns of the client's monotonic clock; for the client alone."""
    expires_ns: int = 0
    """When a reset loses its force, in ns of the server's monotonic clock; 0 for other operations."""


@dataclass
class ControlReply(DataClassJsonMixin):
    """Answers a control request. What it says of the robot is so after the operation."""

    status: int
    """A :class:`ControlStatus`; a number that is none says that nothing was done."""
    state: str
    """Of the safety gate: ``idle``, ``active``, ``hold``, ``damp`` or ``stopped``."""
    stopped_by: str = ""
    """The fault that the robot is stopped by; empty in other states."""
    fault: str = ""
    """The fault that a reset was refused for, because it lasts; otherwise empty."""
    reason: str = ""
    """The same in words."""
    sequence: int = 0
    """That of the request."""
    session_id: int = 0
    """One life of the server: random, not 0."""
    received_ns: int = 0
    """When the request was received, in ns of the server's monotonic clock."""
    sent_ns: int = 0
    """When the reply was sent, on the same clock."""


def _finite(name: str, values: Floats, count: int) -> None:
    _within(name, values, count, numpy.isfinite(values), "a finite number")


def _bounded(name: str, values: Floats, count: int) -> None:
    _within(name, values, count, numpy.abs(values) <= MAX_MAGNITUDE, f"{-MAX_MAGNITUDE:g} to {MAX_MAGNITUDE:g}")


def _within(name: str, values: Floats, count: int, good: Any, expected: str) -> None:
    if values.shape != (count,):
        raise FieldError(name, f"the shape {values.shape}", f"({count},)")
    if not good.all():
        at = int(numpy.argmin(good))
        raise FieldError(f"{name}[{at}]", f"{values[at]:g}", expected)
