"""The thin client of Krabby's hardware abstraction layer: messages, their wire format, and a client over TCP.

It knows no robots and judges no limits: what may move a joint is for the server to say.
"""

from .client import COMMANDS, OBSERVATIONS, Client, Health, NoObservation, NoSession
from .connection import Closed, Keys, NoPeer
from .control import CONTROL, Control, Estimate, NoClock, NoReply, Refused
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
    Cause,
    FrameError,
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
    "COMMANDS",
    "CONTROL",
    "OBSERVATIONS",
    "Cause",
    "Client",
    "Closed",
    "ColorImage",
    "Control",
    "ControlReply",
    "ControlRequest",
    "ControlStatus",
    "Estimate",
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
    "Refused",
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
