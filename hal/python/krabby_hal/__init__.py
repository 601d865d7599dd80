"""Thin client of Krabby's hardware abstraction layer: messages, their wire format, and a client over TCP.

The package has no robot models. The server checks the limits of joints.
"""

from .client import COMMAND_ENDPOINT, OBSERVATION_ENDPOINT, Client, Health, NoObservation, NoSession
from .clock import ClockEstimate, NoClock
from .connection import Closed, Keys, NoPeer
from .control import CONTROL_ENDPOINT, Control, NoReply, Rejected
from .messages import (
    ColorImage,
    ControlReply,
    ControlRequest,
    ControlStatus,
    FieldError,
    Imu,
    JointCommand,
    NavigationCommand,
    Observation,
    Operation,
    ScalarImage,
)
from .wire import (
    FrameError,
    RejectReason,
    decode_control_reply,
    decode_control_request,
    decode_joint_command,
    decode_navigation_command,
    decode_observation,
    encode_control_reply,
    encode_control_request,
    encode_joint_command,
    encode_navigation_command,
    encode_observation,
)

__all__ = [
    "COMMAND_ENDPOINT",
    "CONTROL_ENDPOINT",
    "OBSERVATION_ENDPOINT",
    "Client",
    "ClockEstimate",
    "Closed",
    "ColorImage",
    "Control",
    "ControlReply",
    "ControlRequest",
    "ControlStatus",
    "FieldError",
    "FrameError",
    "Health",
    "Imu",
    "JointCommand",
    "Keys",
    "NavigationCommand",
    "NoClock",
    "NoObservation",
    "NoPeer",
    "NoReply",
    "NoSession",
    "Observation",
    "Operation",
    "RejectReason",
    "Rejected",
    "ScalarImage",
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
