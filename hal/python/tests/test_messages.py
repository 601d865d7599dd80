"""Tests of validation and JSON of messages."""

import dataclasses

import numpy
import pytest

from krabby_hal import ColorImage, FieldError, Imu, JointCommand, NavigationCommand, Observation, ScalarImage


def observation(**change):
    return dataclasses.replace(Observation([0.1] * 12, [0] * 12, [0] * 12, [True] * 4, base_velocity_mps=[0, 0, 0]), **change)


def command(**change):
    return dataclasses.replace(JointCommand([0.1] * 12, [35] * 12, [0.5] * 12), **change)


def test_validate_accepts():
    observation().validate(12, 4)
    observation(base_velocity_mps=None).validate()
    observation(depth=ScalarImage(numpy.full((2, 3), numpy.nan, numpy.float32))).validate()
    command().validate(12)
    command(feed_forward_nm=[1] * 12).validate()
    command(feed_forward_nm=[]).validate()
    NavigationCommand(1, -1, 1e6).validate()


@pytest.mark.parametrize(
    "change, want",
    [
        ({"position_rad": [0] * 11}, "position_rad: found the shape (11,), expected (12,)"),
        ({"velocity_rad_per_sec": [0] * 11 + [numpy.nan]}, "velocity_rad_per_sec[11]: found nan, expected -1e+06 to 1e+06"),
        ({"effort_nm": [0, numpy.inf] + [0] * 10}, "effort_nm[1]: found inf, expected -1e+06 to 1e+06"),
        ({"position_rad": [-1.1e6] + [0] * 11}, "position_rad[0]: found -1.1e+06, expected -1e+06 to 1e+06"),
        ({"contacts": [True] * 3}, "contacts: found the shape (3,), expected (4,)"),
        ({"base_velocity_mps": [0, 0, numpy.nan]}, "base_velocity_mps[2]: found nan, expected -1e+06 to 1e+06"),
        ({"imu": Imu(orientation=[1, 0, 0, numpy.nan])}, "imu.orientation[3]: found nan, expected a finite number"),
        ({"imu": Imu(orientation=[0, 0, 0, 0])}, "imu.orientation: found a norm of 0, expected 1 ± 0.01"),
        ({"imu": Imu(orientation=[1.02, 0, 0, 0])}, "imu.orientation: found a norm of 1.02, expected 1 ± 0.01"),
        (
            {"imu": Imu(linear_acceleration_mps2=[0, 0, numpy.inf])},
            "imu.linear_acceleration_mps2[2]: found inf, expected -1e+06 to 1e+06",
        ),
        ({"rgb_2": ColorImage(numpy.zeros((1, 1, 3), numpy.uint8), rate_hz=-1)}, "rgb_2.rate_hz: found -1, expected 0 to 1e+06"),
        (
            {
                "depth": ScalarImage(numpy.zeros((2, 3), numpy.float32)),
                "confidence": ScalarImage(numpy.zeros((3, 2), numpy.float32)),
            },
            "confidence: found the shape (3, 2), expected (2, 3), that of the depth",
        ),
    ],
)
def test_observation_validate_error(change, want):
    with pytest.raises(FieldError) as error:
        observation(**change).validate(12, 4)
    assert str(error.value) == want


@pytest.mark.parametrize(
    "change, want",
    [
        ({"target_rad": [0] * 13}, "target_rad: found the shape (13,), expected (12,)"),
        ({"target_rad": [numpy.nan] * 12}, "target_rad[0]: found nan, expected a finite number"),
        ({"kp": [1] * 11 + [-1]}, "kp[11]: found -1, expected a gain of 0 or more"),
        ({"kd": [1e7] * 12}, "kd[0]: found 1e+07, expected -1e+06 to 1e+06"),
        ({"feed_forward_nm": [1]}, "feed_forward_nm: found the shape (1,), expected (12,)"),
        ({"feed_forward_nm": [1] * 11 + [numpy.inf]}, "feed_forward_nm[11]: found inf, expected a finite number"),
    ],
)
def test_joint_command_validate_error(change, want):
    with pytest.raises(FieldError) as error:
        command(**change).validate(12)
    assert str(error.value) == want


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -2e6])
def test_navigation_command_validate_error(value):
    with pytest.raises(FieldError) as error:
        NavigationCommand(0, value, 0).validate()
    assert error.value.field == "vy_mps"


def test_json_round_trip():
    image = ColorImage(numpy.zeros((1, 1, 3), numpy.uint8))
    o = Observation.from_json(observation(sequence=7, session_id=2**64 - 1, rgb_1=image).to_json())
    assert (o.sequence, o.session_id, o.rgb_1) == (7, 2**64 - 1, None)
    numpy.testing.assert_array_equal(o.position_rad, [0.1] * 12)
    numpy.testing.assert_array_equal(o.imu.orientation, [1, 0, 0, 0])
    assert o.contacts.dtype == numpy.bool_ and o.base_velocity_mps.tolist() == [0, 0, 0]
    assert Observation.from_json(observation(base_velocity_mps=None).to_json()).base_velocity_mps is None
    c = JointCommand.from_json(command(feed_forward_nm=[2] * 12, sequence=9).to_json())
    assert c.sequence == 9 and c.kp.tolist() == [35] * 12 and c.feed_forward_nm.tolist() == [2] * 12
    n = NavigationCommand(1, 2, 3, 4, 5, 6, 7)
    assert NavigationCommand.from_json(n.to_json()) == n
