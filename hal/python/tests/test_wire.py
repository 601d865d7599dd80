"""Tests of the wire format, with the golden frames of the Go implementation and round trips."""

import dataclasses
import pathlib
import random
import struct

import numpy
import pytest

import krabby_hal
from krabby_hal import (
    ColorImage,
    ControlReply,
    ControlRequest,
    ControlStatus,
    FrameError,
    Imu,
    JointCommand,
    NavigationCommand,
    Observation,
    Operation,
    RejectReason,
    ScalarImage,
    wire,
)
from krabby_hal._crc32c import crc32c

TESTDATA = pathlib.Path(__file__).parents[2] / "wire" / "testdata"
FORMS = {
    "observation": (wire.decode_observation, wire.encode_observation),
    "observation_images": (wire.decode_observation, wire.encode_observation),
    "joint_command": (wire.decode_joint_command, wire.encode_joint_command),
    "joint_command_feed_forward": (wire.decode_joint_command, wire.encode_joint_command),
    "navigation_command": (wire.decode_navigation_command, wire.encode_navigation_command),
    "control_request": (wire.decode_control_request, wire.encode_control_request),
    "control_reply": (wire.decode_control_reply, wire.encode_control_reply),
    "control_reply_rejected": (wire.decode_control_reply, wire.encode_control_reply),
}


def golden(name):
    return (TESTDATA / (name + ".bin")).read_bytes()


def ramp(start, count):
    return start + numpy.arange(count) + 1 / 3


@pytest.mark.parametrize("name", FORMS)
def test_golden_round_trip(name):
    decode, encode = FORMS[name]
    frame = golden(name)
    assert encode(decode(frame)) == frame


def test_decode_golden_observation():
    o = wire.decode_observation(golden("observation_images"))
    assert (o.sequence, o.session_id) == (1, 0xFEDCBA9876543210)
    assert (o.monotonic_ns, o.wall_ns) == (2**63 - 1, -4)
    numpy.testing.assert_array_equal(o.position_rad, ramp(10, 12))
    numpy.testing.assert_array_equal(o.imu.orientation, ramp(300, 4))
    numpy.testing.assert_array_equal(o.imu.angular_velocity_rad_per_sec, ramp(310, 3))
    numpy.testing.assert_array_equal(o.imu.linear_acceleration_mps2, ramp(320, 3))
    numpy.testing.assert_array_equal(o.base_velocity_mps, ramp(330, 3))
    assert o.contacts.tolist()[:2] == [True, False] and o.contacts.dtype == numpy.bool_
    assert (o.rgb_1.sequence, o.rgb_1.monotonic_ns, o.rgb_1.rate_hz) == (20, -30, 30.5)
    assert o.rgb_1.pixels.shape == (2, 3, 3) and o.rgb_1.pixels[0, 1].tolist() == [21, 28, 35]
    assert o.depth.values.shape == (2, 3) and numpy.isnan(o.depth.values[0, 0]) and o.depth.values[1, 2] == 5.25
    assert o.confidence.values[1, 2] == 6.25


def test_decode_golden_commands():
    c = wire.decode_joint_command(golden("joint_command_feed_forward"))
    assert (c.sequence, c.session_id, c.observation_sequence, c.monotonic_ns, c.expires_ns) == (1, 2, 3, 4, -(2**63))
    for values, start in (c.target_rad, 10), (c.kp, 100), (c.kd, 200), (c.feed_forward_nm, 300):
        numpy.testing.assert_array_equal(values, ramp(start, 12))
    assert wire.decode_joint_command(golden("joint_command")).feed_forward_nm is None
    n = wire.decode_navigation_command(golden("navigation_command"))
    assert n == NavigationCommand(0.5, -0.25, float("inf"), sequence=1, session_id=2, monotonic_ns=3, expires_ns=4)


def test_encode_golden_commands():
    c = JointCommand(ramp(10, 12), ramp(100, 12), ramp(200, 12), ramp(300, 12), 1, 2, 3, 4, -(2**63))
    assert wire.encode_joint_command(c) == golden("joint_command_feed_forward")
    c.feed_forward_nm = numpy.array([])
    assert wire.encode_joint_command(c) == golden("joint_command")
    n = NavigationCommand(0.5, -0.25, float("inf"), 1, 2, 3, 4)
    assert wire.encode_navigation_command(n) == golden("navigation_command")


REQUEST = ControlRequest(Operation.RESET, sequence=1, session_id=2, monotonic_ns=3, expires_ns=-(2**63))
PLAIN_REPLY = ControlReply(ControlStatus.DONE, "idle", sequence=4, session_id=5, received_ns=6, sent_ns=7)
REJECTION = ControlReply(
    ControlStatus.FAULT_ACTIVE,
    "stopped",
    stopped_by="remote",
    fault="joint_outside",
    reason="joint FL_hip is at 1.3 rad, expected -0.863 to 0.863",
    sequence=1,
    session_id=0xFEDCBA9876543210,
    received_ns=-3,
    sent_ns=2**63 - 1,
)


@pytest.mark.parametrize(
    "name, message", [("control_request", REQUEST), ("control_reply", PLAIN_REPLY), ("control_reply_rejected", REJECTION)]
)
def test_golden_control_messages(name, message):
    decode, encode = FORMS[name]
    assert decode(golden(name)) == message
    assert encode(message) == golden(name)
    assert type(message).from_json(message.to_json()) == message


@pytest.mark.parametrize(
    "change, want",
    [
        ({"state": ""}, RejectReason.SHAPE),
        ({"state": "x" * 65}, RejectReason.SHAPE),
        ({"reason": "x" * 257}, RejectReason.SHAPE),
        ({"fault": "\a"}, RejectReason.VALUE),
        ({"stopped_by": "ä"}, RejectReason.VALUE),
    ],
)
def test_encode_control_reply_error(change, want):
    with pytest.raises(FrameError) as error:
        wire.encode_control_reply(dataclasses.replace(REJECTION, **change))
    assert error.value.reason is want


# Offsets of entries and sections in the golden rejection.
ENTRY_STATE, ENTRY_REASON, BODY_STATUS, BODY_STATE = 128, 320, 384, 448


@pytest.mark.parametrize(
    "name, offset, value, want",
    [
        ("control_request", 6, 5, RejectReason.KIND),
        ("control_request", 48, 1, RejectReason.RESERVED),
        ("control_request", 64 + 16, 2, RejectReason.SHAPE),
        ("control_request", 64 + 16, 0, RejectReason.SHAPE),
        ("control_request", 64 + 2, 3, RejectReason.SHAPE),
        ("control_request", 64, 65, RejectReason.SECTION),
        ("control_request", 128, 255, None),
        ("control_reply_rejected", 6, 4, RejectReason.KIND),
        ("control_reply_rejected", ENTRY_STATE, 79, RejectReason.SECTION),
        ("control_reply_rejected", ENTRY_STATE + 16, 0, RejectReason.SHAPE),
        ("control_reply_rejected", ENTRY_STATE + 16, 65, RejectReason.SHAPE),
        ("control_reply_rejected", ENTRY_REASON + 17, 1, RejectReason.SHAPE),
        ("control_reply_rejected", BODY_STATE, 7, RejectReason.VALUE),
        ("control_reply_rejected", BODY_STATE, 127, RejectReason.VALUE),
        ("control_reply_rejected", BODY_STATE, 0xE4, RejectReason.VALUE),
        ("control_reply_rejected", BODY_STATUS + 1, 1, RejectReason.RESERVED),
        ("control_reply_rejected", BODY_STATUS, 255, None),
    ],
)
def test_decode_malformed_control_frame(name, offset, value, want):
    decode, _ = FORMS[name]
    frame = bytearray(golden(name))
    frame[offset] = value
    update_checksums(frame)
    if want is None:  # Decoders accept unknown operations and statuses.
        message = decode(frame)
        assert value in (getattr(message, "operation", None), getattr(message, "status", None))
        return
    with pytest.raises(FrameError) as error:
        decode(frame)
    assert error.value.reason is want


def observation(joints=12, feet=4, height=0, width=0):
    o = Observation(ramp(1, joints), ramp(2, joints), ramp(3, joints), numpy.arange(feet) % 2 == 0, Imu(), sequence=1, session_id=2)
    if height:
        shape = (height, width)
        o.rgb_1 = ColorImage(numpy.full((*shape, 3), 7, numpy.uint8), 1, 2, 30)
        o.rgb_2 = ColorImage(numpy.full((*shape, 3), 8, numpy.uint8), 3, 4, 30)
        o.depth = ScalarImage(numpy.full(shape, 1.5, numpy.float32), 5, 6, 15)
        o.confidence = ScalarImage(numpy.full(shape, 0.5, numpy.float32), 7, 8, 15)
    return o


@pytest.mark.parametrize(
    "joints, feet, height, width", [(0, 0, 0, 0), (18, 6, 0, 0), (64, 32, 1, 1), (12, 4, 48, 64), (12, 4, 1, 4096)]
)
def test_observation_round_trip(joints, feet, height, width):
    want = observation(joints, feet, height, width)
    got = wire.decode_observation(wire.encode_observation(want))
    assert wire.encode_observation(got) == wire.encode_observation(want)
    numpy.testing.assert_array_equal(got.velocity_rad_per_sec, want.velocity_rad_per_sec)
    numpy.testing.assert_array_equal(got.contacts, want.contacts)
    assert (got.rgb_2 is None) == (height == 0)


def test_encode_strided_image():
    o = observation(12, 4, 4, 6)
    pixels = numpy.arange(72, dtype=numpy.uint8).reshape(4, 6, 3)
    o.rgb_1.pixels = pixels[::-1, :, ::-1]  # Flipped, from BGR.
    got = wire.decode_observation(wire.encode_observation(o))
    numpy.testing.assert_array_equal(got.rgb_1.pixels, pixels[::-1, :, ::-1])


def test_decoded_images_are_views():
    frame = bytearray(golden("observation_images"))
    o = wire.decode_observation(frame)
    position = o.position_rad.copy()
    frame[704:] = bytes(len(frame) - 704)
    assert not o.rgb_1.pixels.any() and not o.depth.values.any()
    numpy.testing.assert_array_equal(o.position_rad, position)
    with pytest.raises(ValueError):
        o.rgb_1.pixels[0, 0, 0] = 1


@pytest.mark.parametrize("offset", range(5))
def test_decode_unaligned_frame(offset):
    frame = golden("observation_images")
    memory = bytes(offset) + frame
    assert wire.encode_observation(wire.decode_observation(memoryview(memory)[offset:])) == frame


@pytest.mark.parametrize(
    "change",
    [
        lambda o: {"velocity_rad_per_sec": o.velocity_rad_per_sec[:1]},
        lambda o: {"effort_nm": numpy.array([])},
        lambda o: {name: numpy.zeros(65) for name in ("position_rad", "velocity_rad_per_sec", "effort_nm")},
        lambda o: {"position_rad": numpy.zeros((3, 4))},
        lambda o: {"contacts": numpy.zeros(33)},
        lambda o: {"base_velocity_mps": [1, 2]},
        lambda o: {"imu": Imu(orientation=[1, 0, 0])},
        lambda o: {"rgb_1": ColorImage(numpy.zeros((2, 3), numpy.uint8))},
        lambda o: {"rgb_1": ColorImage(numpy.zeros((2, 3, 4), numpy.uint8))},
        lambda o: {"rgb_1": ColorImage(numpy.zeros((2, 3, 3), numpy.float32))},
        lambda o: {"rgb_1": ColorImage(numpy.zeros((0, 3, 3), numpy.uint8))},
        lambda o: {"depth": ScalarImage(numpy.zeros((2, 3)))},
        lambda o: {"depth": ScalarImage(numpy.zeros((1, 4097), numpy.float32))},
        lambda o: {"depth": ScalarImage(numpy.zeros((2049, 2048), numpy.float32))},
    ],
)
def test_encode_observation_error(change):
    o = observation()
    with pytest.raises(FrameError) as error:
        wire.encode_observation(dataclasses.replace(o, **change(o)))
    assert error.value.reason is RejectReason.SHAPE


@pytest.mark.parametrize("change", [{"kp": [1]}, {"kd": []}, {"feed_forward_nm": [1] * 6}, {"target_rad": [0] * 65}])
def test_encode_joint_command_error(change):
    with pytest.raises(FrameError) as error:
        wire.encode_joint_command(dataclasses.replace(JointCommand([0] * 12, [1] * 12, [1] * 12), **change))
    assert error.value.reason is RejectReason.SHAPE


# Offsets of entries in the golden observation with images.
POSITION, VELOCITY, EFFORT, IMU, CONTACTS, BASE_VELOCITY, RGB_1, DEPTH, CONFIDENCE = 64, 128, 192, 256, 320, 384, 448, 576, 640


def update_checksums(frame):
    """Sets the checksums of the sections that it finds, so that a frame is rejected for other reasons."""
    end = 64 + 64 * frame[7]
    for at in range(64, min(end, len(frame) - 63), 64):
        id, _, _, offset, length = struct.unpack_from("<HBBII", frame, at)
        if not 16 <= id <= 19 and offset + length <= len(frame) and length < 4096:
            struct.pack_into("<I", frame, at + 12, crc32c(frame[offset : offset + length]))
    if end <= len(frame) and frame[7] <= 32:
        struct.pack_into("<I", frame, 12, crc32c(frame[:12] + frame[16:end]))


def u8(offset, value):
    return lambda frame: struct.pack_into("<B", frame, offset, value)


def u32(offset, value):
    return lambda frame: struct.pack_into("<I", frame, offset, value)


MALFORMED = {
    "magic": (RejectReason.MAGIC, u8(0, 88)),
    "version 1": (RejectReason.VERSION, u8(4, 1)),
    "version 3": (RejectReason.VERSION, u8(4, 3)),
    "other kind": (RejectReason.KIND, u8(6, 2)),
    "kind 0": (RejectReason.KIND, u8(6, 0)),
    "length of 2^32-1": (RejectReason.LENGTH, u32(8, 2**32 - 1)),
    "length of 0": (RejectReason.LENGTH, u32(8, 0)),
    "33 sections": (RejectReason.SECTION, u8(7, 33)),
    "no sections": (RejectReason.SECTION, u8(7, 0)),
    "one section fewer": (RejectReason.LAYOUT, u8(7, 9)),
    "answered observation": (RejectReason.RESERVED, u8(48, 1)),
    "reserved header field": (RejectReason.RESERVED, u8(63, 1)),
    "unknown section": (RejectReason.SECTION, u8(POSITION, 0)),
    "duplicate section": (RejectReason.SECTION, u8(VELOCITY, 1)),
    "sections out of order": (RejectReason.SECTION, u8(VELOCITY, 3), u8(EFFORT, 2)),
    "required section missing": (RejectReason.SECTION, u8(POSITION, 2)),
    "unknown section after images": (RejectReason.SECTION, u8(CONFIDENCE, 20)),
    "positions as f32": (RejectReason.SHAPE, u8(POSITION + 2, 2)),
    "elements of type 255": (RejectReason.SHAPE, u8(POSITION + 2, 255)),
    "rank 0": (RejectReason.SHAPE, u8(POSITION + 3, 0)),
    "2^32-1 joints": (RejectReason.SHAPE, u32(POSITION + 16, 2**32 - 1)),
    "65 joints": (RejectReason.SHAPE, u32(POSITION + 16, 65)),
    "one joint fewer": (RejectReason.SHAPE, u32(POSITION + 16, 11)),
    "second dimension": (RejectReason.SHAPE, u32(POSITION + 20, 1)),
    "IMU of 9 values": (RejectReason.SHAPE, u32(IMU + 16, 9)),
    "33 feet": (RejectReason.SHAPE, u32(CONTACTS + 16, 33)),
    "image of 0 rows": (RejectReason.SHAPE, u32(RGB_1 + 16, 0)),
    "too many pixels": (RejectReason.SHAPE, u32(DEPTH + 16, 4096), u32(DEPTH + 20, 4096)),
    "image of 4 channels": (RejectReason.SHAPE, u32(RGB_1 + 24, 4)),
    "section one byte shorter": (RejectReason.SHAPE, u32(CONFIDENCE + 8, 23)),
    "section of 2^32-1 bytes": (RejectReason.LAYOUT, u32(POSITION + 8, 2**32 - 1)),
    "section not aligned": (RejectReason.LAYOUT, u32(POSITION + 4, 705)),
    "section in header": (RejectReason.LAYOUT, u32(POSITION + 4, 0)),
    "sections overlap": (RejectReason.LAYOUT, u32(VELOCITY + 4, 704)),
    "padding between sections": (RejectReason.RESERVED, u8(704 + 96, 1)),
    "reserved entry field": (RejectReason.RESERVED, u8(POSITION + 28, 1)),
    "last entry field": (RejectReason.RESERVED, u8(RGB_1 + 63, 1)),
    "stamp of joints": (RejectReason.RESERVED, u8(POSITION + 32, 1)),
    "checksum of image": (RejectReason.RESERVED, u8(RGB_1 + 12, 1)),
    "contact of 2": (RejectReason.VALUE, u8(1216, 2)),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_decode_malformed_observation(name):
    want, *changes = MALFORMED[name]
    frame = bytearray(golden("observation_images"))
    for change in changes:
        change(frame)
    update_checksums(frame)
    with pytest.raises(FrameError) as error:
        wire.decode_observation(frame)
    assert error.value.reason is want, error.value


@pytest.mark.parametrize(
    "frame, want",
    [
        (b"", RejectReason.SHORT),
        (b"KR", RejectReason.SHORT),
        (golden("observation")[:63], RejectReason.SHORT),
        (b"observation", RejectReason.MAGIC),
        (golden("observation")[:64], RejectReason.LENGTH),
        (golden("observation") + b"\0", RejectReason.LENGTH),
        (golden("observation") + bytes(100_000_000), RejectReason.LENGTH),
        (golden("joint_command"), RejectReason.KIND),
    ],
    ids=["nothing", "half a magic", "a header less a byte", "a topic", "no table", "a byte more", "100 MB more", "a command"],
)
def test_decode_malformed_frame(frame, want):
    with pytest.raises(FrameError) as error:
        wire.decode_observation(frame)
    assert error.value.reason is want


def test_all_reject_reasons_are_tested():
    tested = {want for want, *_ in MALFORMED.values()} | {RejectReason.SHORT, RejectReason.CHECKSUM}
    assert tested == set(RejectReason)


def newer(minor, *ids, name="observation", body=b"an unknown section of any length"):
    """A golden frame as another minor version might write it, with more sections at the end."""
    frame = bytearray(golden(name))
    n = frame[7]
    frame[64 + 64 * n : 64 + 64 * n] = bytes(64 * len(ids))
    for at in range(64, 64 + 64 * n, 64):
        struct.pack_into("<I", frame, at + 4, struct.unpack_from("<I", frame, at + 4)[0] + 64 * len(ids))
    for i, id in enumerate(ids):
        frame += bytes(-len(frame) % 64)
        struct.pack_into("<HBBII", frame, 64 + 64 * (n + i), id, 9, 200, len(frame), len(body))
        frame += body
    frame[5], frame[7] = minor, n + len(ids)
    struct.pack_into("<I", frame, 8, len(frame))
    update_checksums(frame)
    return frame


def test_decode_unknown_sections():
    assert wire.encode_observation(wire.decode_observation(newer(1, 0xFFFE, 0xFFFF))) == golden("observation")
    with pytest.raises(FrameError) as error:
        wire.decode_observation(newer(0, 0xFFFF))
    assert error.value.reason is RejectReason.SECTION


@pytest.mark.parametrize("ids", [(0xFFFF, 0xFFFF), (0xFFFF, 0xFFFE)])
def test_decode_unknown_sections_out_of_order(ids):
    with pytest.raises(FrameError) as error:
        wire.decode_observation(newer(1, *ids))
    assert error.value.reason is RejectReason.SECTION


def test_decode_unknown_section_too_large():
    with pytest.raises(FrameError) as error:
        wire.decode_observation(newer(1, 0xFFFF, body=bytes(wire.MAX_FRAME_BYTES)))
    assert error.value.reason is RejectReason.LENGTH


def test_decode_trailing_byte():
    frame = bytearray(golden("observation")) + b"\0"
    struct.pack_into("<I", frame, 8, len(frame))
    update_checksums(frame)
    with pytest.raises(FrameError) as error:
        wire.decode_observation(frame)
    assert error.value.reason is RejectReason.LENGTH


@pytest.mark.parametrize("joints, feed_forward", [(0, 0), (12, 11)])
def test_decode_feed_forward_length(joints, feed_forward):
    frame = newer(0, 35, body=bytes(8 * feed_forward), name="joint_command")
    if not joints:
        frame = bytearray(wire.encode_joint_command(JointCommand([], [], [])))
        frame[256:] = bytes(64)
        frame[7] = 4
        for i in range(4):
            struct.pack_into("<I", frame, 64 + 64 * i + 4, 320)
        struct.pack_into("<I", frame, 8, len(frame))
    struct.pack_into("<HBB", frame, 256, 35, 3, 1)
    struct.pack_into("<I", frame, 256 + 16, feed_forward)
    update_checksums(frame)
    with pytest.raises(FrameError) as error:
        wire.decode_joint_command(frame)
    assert error.value.reason is RejectReason.SHAPE and "feed-forward of" in str(error.value)


@pytest.mark.parametrize("name", FORMS)
def test_decode_truncated(name):
    decode, _ = FORMS[name]
    frame = golden(name)
    for size in range(len(frame)):
        with pytest.raises(FrameError) as error:
            decode(frame[:size])
        assert error.value.reason is (RejectReason.SHORT if size < 64 else RejectReason.LENGTH)
        if size >= 64:  # With the shorter length in its header.
            cut = bytearray(frame[:size])
            struct.pack_into("<I", cut, 8, size)
            update_checksums(cut)
            with pytest.raises(FrameError):
                decode(cut)


@pytest.mark.parametrize("name", FORMS)
def test_decode_bit_flips(name):
    decode, encode = FORMS[name]
    frame = bytearray(golden(name))
    pixels = set()
    if name == "observation_images":
        pixels = {1344 + 64 * i + at for i, size in enumerate((18, 18, 24, 24)) for at in range(size)}
    exact = {
        0: RejectReason.MAGIC,
        1: RejectReason.MAGIC,
        2: RejectReason.MAGIC,
        3: RejectReason.MAGIC,
        4: RejectReason.VERSION,
        6: RejectReason.KIND,
    }
    exact |= {at: RejectReason.LENGTH for at in range(8, 12)}
    table_end = 64 + 64 * frame[7]
    for bit in range(8 * len(frame)):
        at, mask = bit // 8, 1 << bit % 8
        frame[at] ^= mask
        if at in pixels:
            assert encode(decode(frame)) == frame
        else:
            with pytest.raises(FrameError) as error:
                decode(frame)
            if at in exact or at < table_end and at != 7:
                assert error.value.reason is exact.get(at, RejectReason.CHECKSUM), f"bit {bit}"
        frame[at] ^= mask


def test_decode_forged_tables():
    rng = random.Random(1)
    interesting = [0, 1, 2, 3, 4, 6, 10, 11, 12, 13, 18, 24, 64, 65, 96, 128, 4096, 4097, 1 << 16, 1 << 31, 2**32 - 64, 2**32 - 1]
    seen = set()
    for _ in range(5000):
        name = rng.choice(list(FORMS))
        decode, encode = FORMS[name]
        frame = bytearray(golden(name))
        end = 64 + 64 * frame[7]
        for _ in range(rng.randint(1, 3)):
            at = 4 * rng.randrange(end // 4)
            if rng.random() < 0.5:
                struct.pack_into("<I", frame, at, rng.choice(interesting))
            else:
                frame[at + rng.randrange(4)] = rng.choice(interesting) & 0xFF
        update_checksums(frame)
        try:
            message = decode(frame)
        except FrameError as error:
            seen.add(error.reason)
        else:
            if frame[5] == wire.MINOR:
                assert encode(message) == frame
    assert seen >= {
        RejectReason.MAGIC,
        RejectReason.VERSION,
        RejectReason.KIND,
        RejectReason.LENGTH,
        RejectReason.SECTION,
        RejectReason.SHAPE,
        RejectReason.LAYOUT,
        RejectReason.RESERVED,
    }


def test_crc32c():
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(b"") == 0


def test_package_exports():
    assert all(hasattr(krabby_hal, name) for name in krabby_hal.__all__)
