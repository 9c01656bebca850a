"""The level that is seldom passed: where it settles, and how little an attack moves it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.stepping import walk
from seqdetect.detector.block.upper import LEAST_SHARE, PACE, QUANTILE, START_WEIGHT, upper
from seqdetect.detector.graph import Graph

DEVIATION = 0.5
START = 1.0
TICK_S = 10.0


def level(values: NDArray[Any], elapsed_s: float = TICK_S) -> NDArray[np.float32]:
    """[time, n] the level before each of the values ``[time, n]``, a step every ``elapsed_s``."""
    g = Graph(2, 1)
    start, deviation = np.array([START], np.float32), np.array([DEVIATION], np.float32)
    found = upper(g, "level", g.features.columns(1, 2), g.features.columns(0, 1), start, deviation)
    steps = np.stack([np.full_like(values, elapsed_s), values], axis=2)
    return walk(g, steps, level=(found, 1))["level"][..., 0]


def test_random_values_pass_it_one_time_in_fifty() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0.0, 0.5, (4_000, 40)), rng.gumbel(0.0, 0.3, (4_000, 40))], axis=1)
    found = level(values)[1_500:].reshape(-1, 2, 40)
    passed = (values[1_500:].reshape(-1, 2, 40) > found).mean(axis=(0, 2))
    np.testing.assert_allclose(passed, 1.0 - QUANTILE, rtol=0.1)
    wanted = [0.5 * 2.054, -0.3 * np.log(-np.log(QUANTILE))]
    np.testing.assert_allclose(found.mean(axis=(0, 2)), wanted, atol=0.15)


def test_users_that_never_change_have_it_at_their_value() -> None:
    values = np.array([0.5, 1.5])
    found = level(np.tile(values, (2_000, 1)))
    np.testing.assert_array_equal(found[0], START)
    assert np.abs(found[-300:] - values).max() <= LEAST_SHARE * PACE * DEVIATION


def test_the_first_steps_move_it_as_steps_of_a_user_seen_for_a_while() -> None:
    found = level(np.array([[1e9], [1e9]]))
    moved = QUANTILE * PACE * DEVIATION / (START_WEIGHT + 1.0)
    np.testing.assert_allclose(found[1, 0] - found[0, 0], moved, rtol=1e-3)


def test_an_hour_of_huge_values_moves_it_by_so_much_whatever_their_size() -> None:
    values = np.random.default_rng(1).normal(0.0, 0.5, (2_360, 1)) + np.zeros((1, 3))
    values[2_000:, 1], values[2_000:, 2] = 1e3, 1e9
    found = level(values)
    np.testing.assert_array_equal(found[:, 1], found[:, 2])
    moved = found[-1, 1] - found[2_000, 1]
    most = 360 * QUANTILE * LEAST_SHARE * PACE * DEVIATION
    assert 0.9 * most < moved <= most * 1.001


def test_after_a_month_of_silence_one_step_still_moves_it_little() -> None:
    g = Graph(2, 1)
    start, deviation = np.array([START], np.float32), np.array([DEVIATION], np.float32)
    found = upper(g, "level", g.features.columns(1, 2), g.features.columns(0, 1), start, deviation)
    steps = np.array([[[0.0, 0.0]], [[30 * 86_400.0, 1e9]], [[10.0, 0.0]]])
    after = walk(g, steps, level=(found, 1))["level"][:, 0, 0]
    assert 0.0 < after[2] - after[1] <= PACE * DEVIATION / 11.0
