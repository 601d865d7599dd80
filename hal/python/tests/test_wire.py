"""The wire format, held against the golden frames of the Go implementation and against itself."""

import dataclasses
import pathlib
import random
import struct

import numpy
import pytest

import krabby_hal
from krabby_hal import (
    Cause,
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
    ScalarImage,
    wire,
)

TESTDATA = pathlib.Path(__file__).parents[2] / "wire" / "testdata"
FORMS = {
    "observation": (wire.decode_observation, wire.encode_observation),
    "observation_images": (wire.decode_observation, wire.encode_observation),
    "joint_command": (wire.decode_joint_command, wire.encode_joint_command),
    "joint_command_feed_forward": (wire.decode_joint_command, wire.encode_joint_command),
    "navigation_command": (wire.decode_navigation_command, wire.encode_navigation_command),
    "control_request": (wire.decode_control_request, wire.encode_control_request),
    "control_reply": (wire.decode_control_reply, wire.encode_control_reply),
    "control_reply_refused": (wire.decode_control_reply, wire.encode_control_reply),
}


def golden(name):
    return (TESTDATA / (name + ".bin")).read_bytes()


def ramp(start, count):
    return start + numpy.arange(count) + 1 / 3


@pytest.mark.parametrize("name", FORMS)
def test_golden_frames_survive_the_round_trip(name):
    decode, encode = FORMS[name]
    frame = golden(name)
    assert encode(decode(frame)) == frame


def test_golden_observation_is_what_go_wrote():
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


def test_golden_commands_are_what_go_wrote():
    c = wire.decode_joint_command(golden("joint_command_feed_forward"))
    assert (c.sequence, c.session_id, c.observation_sequence, c.monotonic_ns, c.expires_ns) == (1, 2, 3, 4, -(2**63))
    for values, start in (c.target_rad, 10), (c.kp, 100), (c.kd, 200), (c.feed_forward_nm, 300):
        numpy.testing.assert_array_equal(values, ramp(start, 12))
    assert wire.decode_joint_command(golden("joint_command")).feed_forward_nm is None
    n = wire.decode_navigation_command(golden("navigation_command"))
    assert n == NavigationCommand(0.5, -0.25, float("inf"), sequence=1, session_id=2, monotonic_ns=3, expires_ns=4)


def test_what_is_written_here_is_the_golden_frame():
    c = JointCommand(ramp(10, 12), ramp(100, 12), ramp(200, 12), ramp(300, 12), 1, 2, 3, 4, -(2**63))
    assert wire.encode_joint_command(c) == golden("joint_command_feed_forward")
    c.feed_forward_nm = numpy.array([])
    assert wire.encode_joint_command(c) == golden("joint_command")
    n = NavigationCommand(0.5, -0.25, float("inf"), 1, 2, 3, 4)
    assert wire.encode_navigation_command(n) == golden("navigation_command")


REQUEST = ControlRequest(Operation.RESET, sequence=1, session_id=2, monotonic_ns=3, expires_ns=-(2**63))
PLAIN_REPLY = ControlReply(ControlStatus.DONE, "idle", sequence=4, session_id=5, received_ns=6, sent_ns=7)
REFUSAL = ControlReply(
    ControlStatus.FAULT_LASTS,
    "stopped",
    stopped_by="remote",
    fault="joint_outside",
    reason="joint FL_hip is at 1.3 rad, expected -0.863 to 0.863",
    sequence=1,
    session_id=0xFEDCBA9876543210,
    received_ns=-3,
    sent_ns=2**63 - 1,
)


@pytest.mark.parametrize("name, message", [("control_request", REQUEST), ("control_reply", PLAIN_REPLY), ("control_reply_refused", REFUSAL)])
def test_golden_control_frames_are_what_go_wrote(name, message):
    decode, encode = FORMS[name]
    assert decode(golden(name)) == message
    assert encode(message) == golden(name)
    assert type(message).from_json(message.to_json()) == message


@pytest.mark.parametrize(
    "change, want",
    [
        ({"state": ""}, Cause.SHAPE),
        ({"state": "x" * 65}, Cause.SHAPE),
        ({"reason": "x" * 257}, Cause.SHAPE),
        ({"fault": "\a"}, Cause.VALUE),
        ({"stopped_by": "ä"}, Cause.VALUE),
    ],
)
def test_encoding_refuses_texts_that_no_reply_can_have(change, want):
    with pytest.raises(FrameError) as error:
        wire.encode_control_reply(dataclasses.replace(REFUSAL, **change))
    assert error.value.cause is want


# Of the golden refusal: entries of the table, and bodies.
ENTRY_STATE, ENTRY_REASON, BODY_STATUS, BODY_STATE = 128, 320, 384, 448


@pytest.mark.parametrize(
    "name, at, value, want",
    [
        ("control_request", 6, 5, Cause.KIND),
        ("control_request", 48, 1, Cause.RESERVED),
        ("control_request", 64 + 16, 2, Cause.SHAPE),
        ("control_request", 64 + 16, 0, Cause.SHAPE),
        ("control_request", 64 + 2, 3, Cause.SHAPE),
        ("control_request", 64, 65, Cause.SECTION),
        ("control_request", 128, 255, None),
        ("control_reply_refused", 6, 4, Cause.KIND),
        ("control_reply_refused", ENTRY_STATE, 79, Cause.SECTION),
        ("control_reply_refused", ENTRY_STATE + 16, 0, Cause.SHAPE),
        ("control_reply_refused", ENTRY_STATE + 16, 65, Cause.SHAPE),
        ("control_reply_refused", ENTRY_REASON + 17, 1, Cause.SHAPE),
        ("control_reply_refused", BODY_STATE, 7, Cause.VALUE),
        ("control_reply_refused", BODY_STATE, 127, Cause.VALUE),
        ("control_reply_refused", BODY_STATE, 0xE4, Cause.VALUE),
        ("control_reply_refused", BODY_STATUS + 1, 1, Cause.RESERVED),
        ("control_reply_refused", BODY_STATUS, 255, None),
    ],
)
def test_malformed_control_frames_have_a_cause(name, at, value, want):
    decode, _ = FORMS[name]
    frame = bytearray(golden(name))
    frame[at] = value
    reseal(frame)
    if want is None:  # A number that is not known is for others to judge.
        message = decode(frame)
        assert value in (getattr(message, "operation", None), getattr(message, "status", None))
        return
    with pytest.raises(FrameError) as error:
        decode(frame)
    assert error.value.cause is want


def observation(joints=12, feet=4, height=0, width=0):
    o = Observation(ramp(1, joints), ramp(2, joints), ramp(3, joints), numpy.arange(feet) % 2 == 0, Imu(), sequence=1, session_id=2)
    if height:
        shape = (height, width)
        o.rgb_1 = ColorImage(numpy.full((*shape, 3), 7, numpy.uint8), 1, 2, 30)
        o.rgb_2 = ColorImage(numpy.full((*shape, 3), 8, numpy.uint8), 3, 4, 30)
        o.depth = ScalarImage(numpy.full(shape, 1.5, numpy.float32), 5, 6, 15)
        o.confidence = ScalarImage(numpy.full(shape, 0.5, numpy.float32), 7, 8, 15)
    return o


@pytest.mark.parametrize("joints, feet, height, width", [(0, 0, 0, 0), (18, 6, 0, 0), (64, 32, 1, 1), (12, 4, 48, 64), (12, 4, 1, 4096)])
def test_observations_of_any_size_survive(joints, feet, height, width):
    want = observation(joints, feet, height, width)
    got = wire.decode_observation(wire.encode_observation(want))
    assert wire.encode_observation(got) == wire.encode_observation(want)
    numpy.testing.assert_array_equal(got.velocity_rad_per_sec, want.velocity_rad_per_sec)
    numpy.testing.assert_array_equal(got.contacts, want.contacts)
    assert (got.rgb_2 is None) == (height == 0)


def test_images_are_encoded_as_they_look_not_as_they_lie_in_memory():
    o = observation(12, 4, 4, 6)
    pixels = numpy.arange(72, dtype=numpy.uint8).reshape(4, 6, 3)
    o.rgb_1.pixels = pixels[::-1, :, ::-1]  # Upside down, from BGR.
    got = wire.decode_observation(wire.encode_observation(o))
    numpy.testing.assert_array_equal(got.rgb_1.pixels, pixels[::-1, :, ::-1])


def test_images_borrow_from_the_frame_and_the_rest_does_not():
    frame = bytearray(golden("observation_images"))
    o = wire.decode_observation(frame)
    position = o.position_rad.copy()
    frame[704:] = bytes(len(frame) - 704)
    assert not o.rgb_1.pixels.any() and not o.depth.values.any()
    numpy.testing.assert_array_equal(o.position_rad, position)
    with pytest.raises(ValueError):
        o.rgb_1.pixels[0, 0, 0] = 1


@pytest.mark.parametrize("offset", range(5))
def test_frames_are_read_at_any_address(offset):
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
def test_encoding_refuses_what_no_frame_can_hold(change):
    o = observation()
    with pytest.raises(FrameError) as error:
        wire.encode_observation(dataclasses.replace(o, **change(o)))
    assert error.value.cause is Cause.SHAPE


@pytest.mark.parametrize("change", [{"kp": [1]}, {"kd": []}, {"feed_forward_nm": [1] * 6}, {"target_rad": [0] * 65}])
def test_encoding_refuses_commands_that_disagree(change):
    with pytest.raises(FrameError) as error:
        wire.encode_joint_command(dataclasses.replace(JointCommand([0] * 12, [1] * 12, [1] * 12), **change))
    assert error.value.cause is Cause.SHAPE


# Entries of the table of the golden observation with images: where they begin.
POSITION, VELOCITY, EFFORT, IMU, CONTACTS, BASE_VELOCITY, RGB_1, DEPTH, CONFIDENCE = 64, 128, 192, 256, 320, 384, 448, 576, 640


def reseal(frame):
    """Gives checksums to what can be found: what is refused is then refused for its content."""
    end = 64 + 64 * frame[7]
    for at in range(64, min(end, len(frame) - 63), 64):
        id, _, _, offset, length = struct.unpack_from("<HBBII", frame, at)
        if not 16 <= id <= 19 and offset + length <= len(frame) and length < 4096:
            struct.pack_into("<I", frame, at + 12, wire._crc32c(frame[offset : offset + length]))
    if end <= len(frame) and frame[7] <= 32:
        struct.pack_into("<I", frame, 12, wire._crc32c(frame[:12] + frame[16:end]))


def u8(at, value):
    return lambda frame: struct.pack_into("<B", frame, at, value)


def u32(at, value):
    return lambda frame: struct.pack_into("<I", frame, at, value)


MALFORMED = {
    "another magic": (Cause.MAGIC, u8(0, 88)),
    "version 1": (Cause.VERSION, u8(4, 1)),
    "version 3": (Cause.VERSION, u8(4, 3)),
    "another kind": (Cause.KIND, u8(6, 2)),
    "no kind": (Cause.KIND, u8(6, 0)),
    "a length of 2^32-1": (Cause.LENGTH, u32(8, 2**32 - 1)),
    "a length of 0": (Cause.LENGTH, u32(8, 0)),
    "33 sections": (Cause.SECTION, u8(7, 33)),
    "no sections": (Cause.SECTION, u8(7, 0)),
    "a section fewer": (Cause.LAYOUT, u8(7, 9)),
    "something that an observation does not answer": (Cause.RESERVED, u8(48, 1)),
    "something in the header's reserve": (Cause.RESERVED, u8(63, 1)),
    "an unknown section in a known minor version": (Cause.SECTION, u8(POSITION, 0)),
    "a section twice": (Cause.SECTION, u8(VELOCITY, 1)),
    "sections out of order": (Cause.SECTION, u8(VELOCITY, 3), u8(EFFORT, 2)),
    "a required section as another": (Cause.SECTION, u8(POSITION, 2)),
    "an image as an unknown one": (Cause.SECTION, u8(CONFIDENCE, 20)),
    "positions as f32": (Cause.SHAPE, u8(POSITION + 2, 2)),
    "elements of type 255": (Cause.SHAPE, u8(POSITION + 2, 255)),
    "no dimension": (Cause.SHAPE, u8(POSITION + 3, 0)),
    "2^32-1 joints": (Cause.SHAPE, u32(POSITION + 16, 2**32 - 1)),
    "65 joints": (Cause.SHAPE, u32(POSITION + 16, 65)),
    "a joint fewer": (Cause.SHAPE, u32(POSITION + 16, 11)),
    "a second dimension": (Cause.SHAPE, u32(POSITION + 20, 1)),
    "an IMU of 9 values": (Cause.SHAPE, u32(IMU + 16, 9)),
    "33 feet": (Cause.SHAPE, u32(CONTACTS + 16, 33)),
    "an image of no rows": (Cause.SHAPE, u32(RGB_1 + 16, 0)),
    "an image of too many pixels": (Cause.SHAPE, u32(DEPTH + 16, 4096), u32(DEPTH + 20, 4096)),
    "an image of 4 channels": (Cause.SHAPE, u32(RGB_1 + 24, 4)),
    "a section a byte shorter": (Cause.SHAPE, u32(CONFIDENCE + 8, 23)),
    "a section of 2^32-1 bytes": (Cause.LAYOUT, u32(POSITION + 8, 2**32 - 1)),
    "a section that is not aligned": (Cause.LAYOUT, u32(POSITION + 4, 705)),
    "a section in the header": (Cause.LAYOUT, u32(POSITION + 4, 0)),
    "sections that overlap": (Cause.LAYOUT, u32(VELOCITY + 4, 704)),
    "something between sections": (Cause.RESERVED, u8(704 + 96, 1)),
    "something in an entry's reserve": (Cause.RESERVED, u8(POSITION + 28, 1)),
    "something at an entry's end": (Cause.RESERVED, u8(RGB_1 + 63, 1)),
    "joints with a stamp": (Cause.RESERVED, u8(POSITION + 32, 1)),
    "an image with a checksum": (Cause.RESERVED, u8(RGB_1 + 12, 1)),
    "a contact of 2": (Cause.VALUE, u8(1216, 2)),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_frames_have_a_cause(name):
    want, *changes = MALFORMED[name]
    frame = bytearray(golden("observation_images"))
    for change in changes:
        change(frame)
    reseal(frame)
    with pytest.raises(FrameError) as error:
        wire.decode_observation(frame)
    assert error.value.cause is want, error.value


@pytest.mark.parametrize(
    "frame, want",
    [
        (b"", Cause.SHORT),
        (b"KR", Cause.SHORT),
        (golden("observation")[:63], Cause.SHORT),
        (b"observation", Cause.MAGIC),
        (golden("observation")[:64], Cause.LENGTH),
        (golden("observation") + b"\0", Cause.LENGTH),
        (golden("observation") + bytes(100_000_000), Cause.LENGTH),
        (golden("joint_command"), Cause.KIND),
    ],
    ids=["nothing", "half a magic", "a header less a byte", "a topic", "no table", "a byte more", "100 MB more", "a command"],
)
def test_other_frames_have_a_cause(frame, want):
    with pytest.raises(FrameError) as error:
        wire.decode_observation(frame)
    assert error.value.cause is want


def test_every_cause_is_tested():
    tested = {want for want, *_ in MALFORMED.values()} | {Cause.SHORT, Cause.CHECKSUM}
    assert tested == set(Cause)


def newer(minor, *ids, name="observation", body=b"something that nobody knows yet"):
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
    reseal(frame)
    return frame


def test_unknown_sections_are_skipped_in_a_newer_minor_version_only():
    assert wire.encode_observation(wire.decode_observation(newer(1, 0xFFFE, 0xFFFF))) == golden("observation")
    with pytest.raises(FrameError) as error:
        wire.decode_observation(newer(0, 0xFFFF))
    assert error.value.cause is Cause.SECTION


@pytest.mark.parametrize("ids", [(0xFFFF, 0xFFFF), (0xFFFF, 0xFFFE)])
def test_unknown_sections_are_in_order_and_once(ids):
    with pytest.raises(FrameError) as error:
        wire.decode_observation(newer(1, *ids))
    assert error.value.cause is Cause.SECTION


def test_a_newer_frame_is_no_larger_than_any():
    with pytest.raises(FrameError) as error:
        wire.decode_observation(newer(1, 0xFFFF, body=bytes(wire.MAX_FRAME_BYTES)))
    assert error.value.cause is Cause.LENGTH


def test_a_frame_ends_with_its_last_section():
    frame = bytearray(golden("observation")) + b"\0"
    struct.pack_into("<I", frame, 8, len(frame))
    reseal(frame)
    with pytest.raises(FrameError) as error:
        wire.decode_observation(frame)
    assert error.value.cause is Cause.LENGTH


@pytest.mark.parametrize("joints, feed_forward", [(0, 0), (12, 11)])
def test_a_feed_forward_has_a_value_for_each_joint(joints, feed_forward):
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
    reseal(frame)
    with pytest.raises(FrameError) as error:
        wire.decode_joint_command(frame)
    assert error.value.cause is Cause.SHAPE and "feed-forward of" in str(error.value)


@pytest.mark.parametrize("name", FORMS)
def test_every_truncation_is_refused(name):
    decode, _ = FORMS[name]
    frame = golden(name)
    for size in range(len(frame)):
        with pytest.raises(FrameError) as error:
            decode(frame[:size])
        assert error.value.cause is (Cause.SHORT if size < 64 else Cause.LENGTH)
        if size >= 64:  # A frame that says so itself.
            cut = bytearray(frame[:size])
            struct.pack_into("<I", cut, 8, size)
            reseal(cut)
            with pytest.raises(FrameError):
                decode(cut)


@pytest.mark.parametrize("name", FORMS)
def test_every_bit_flip_is_refused_except_in_pixels(name):
    decode, encode = FORMS[name]
    frame = bytearray(golden(name))
    pixels = set()
    if name == "observation_images":
        pixels = {1344 + 64 * i + at for i, size in enumerate((18, 18, 24, 24)) for at in range(size)}
    exact = {0: Cause.MAGIC, 1: Cause.MAGIC, 2: Cause.MAGIC, 3: Cause.MAGIC, 4: Cause.VERSION, 6: Cause.KIND}
    exact |= {at: Cause.LENGTH for at in range(8, 12)}
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
                assert error.value.cause is exact.get(at, Cause.CHECKSUM), f"bit {bit}"
        frame[at] ^= mask


def test_forged_tables_are_refused_or_the_one_frame_of_a_message():
    chance = random.Random(1)
    interesting = [0, 1, 2, 3, 4, 6, 10, 11, 12, 13, 18, 24, 64, 65, 96, 128, 4096, 4097, 1 << 16, 1 << 31, 2**32 - 64, 2**32 - 1]
    seen = set()
    for _ in range(5000):
        name = chance.choice(list(FORMS))
        decode, encode = FORMS[name]
        frame = bytearray(golden(name))
        end = 64 + 64 * frame[7]
        for _ in range(chance.randint(1, 3)):
            at = 4 * chance.randrange(end // 4)
            if chance.random() < 0.5:
                struct.pack_into("<I", frame, at, chance.choice(interesting))
            else:
                frame[at + chance.randrange(4)] = chance.choice(interesting) & 0xFF
        reseal(frame)
        try:
            message = decode(frame)
        except FrameError as error:
            seen.add(error.cause)
        else:
            if frame[5] == wire.MINOR:
                assert encode(message) == frame
    assert seen >= {Cause.MAGIC, Cause.VERSION, Cause.KIND, Cause.LENGTH, Cause.SECTION, Cause.SHAPE, Cause.LAYOUT, Cause.RESERVED}


def test_checksum_is_crc32c():
    assert wire._crc32c(b"123456789") == 0xE3069283
    assert wire._crc32c(b"") == 0


def test_package_has_what_it_says():
    assert all(hasattr(krabby_hal, name) for name in krabby_hal.__all__)
