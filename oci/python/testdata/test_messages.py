"""Tests for pytest and its plugins: one of each kind."""

import asyncio

import numpy
import pytest


@pytest.mark.parametrize("joints", [12, 18])
def test_command_has_a_value_for_each_joint(joints):
    assert numpy.zeros(joints).shape == (joints,)


@pytest.mark.asyncio
@pytest.mark.timeout(60)
async def test_observation_arrives():
    queue = asyncio.Queue()
    await queue.put("observation")
    assert await queue.get() == "observation"


@pytest.mark.xfail(strict=True)
def test_stale_command_moves_nothing():
    assert numpy.ones(12).sum() == 0
