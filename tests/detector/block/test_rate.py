"""Requests an hour over the long run: the right order of magnitude, silence counted, floods hardly heard."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detector.stepping import walk
from seqdetect.detector.block.rate import HEARD, MEMORY_S, START_S, usual_rate
from seqdetect.detector.graph import Graph


def rates(elapsed: NDArray[np.float64], requests: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Requests per hour, and seconds known, both ``[time, n]``."""
    g = Graph(2, 1)
    rate, known = usual_rate(g, "rate", g.features.columns(1, 2), g.features.columns(0, 1))
    found = walk(g, np.stack([elapsed, requests], axis=2), rate=(rate, 1), known=(known, 1))
    return np.exp(found["rate"][..., 0].astype(float)), np.exp(found["known"][..., 0].astype(float))


def test_a_new_user_counts_as_seen_for_a_while() -> None:
    rate, known = rates(np.zeros((1, 1)), np.ones((1, 1)))
    np.testing.assert_allclose(rate, 3600.0 / START_S + 0.1, rtol=1e-5)
    np.testing.assert_allclose(known, START_S, rtol=1e-5)


def test_steady_users_have_their_rate_and_it_rests_on_the_time_seen() -> None:
    per_hour = np.array([2.0, 20.0, 60.0])
    elapsed = np.tile(3600.0 / per_hour, (600, 1))
    rate, known = rates(elapsed, np.ones((600, 3)))
    np.testing.assert_allclose(rate[-1], per_hour, rtol=0.2)
    wanted = MEMORY_S - (MEMORY_S - START_S) * np.exp(-elapsed.sum(axis=0) / MEMORY_S)
    np.testing.assert_allclose(known[-1], wanted, rtol=1e-3)
    assert (known < MEMORY_S).all()


def test_silence_counts() -> None:
    """Ten requests in each active hour and twenty-two hours of sleep are one an hour, not ten."""
    active = np.full(20, 360.0)
    elapsed = np.tile(np.append(active, 22 * 3600.0), 12)[:, None]
    rate = rates(elapsed, np.ones_like(elapsed))[0]
    assert 0.5 < rate[-1, 0] < 2.0


def test_a_flood_is_heard_up_to_its_bound() -> None:
    elapsed = np.full((402, 3), 180.0)
    requests = np.ones((402, 3))
    requests[400] = [1.0, 1e3, 1e6]
    rate = rates(elapsed, requests)[0]
    np.testing.assert_array_equal(rate[:, 1], rate[:, 2])
    known = rates(elapsed, requests)[1][400, 0]
    heard = HEARD[0] + HEARD[1] * rate[400, 0] / 3600.0
    np.testing.assert_allclose(rate[401, 1] - rate[401, 0], (heard - 1.0) * 3600.0 / known, rtol=0.02)


def test_an_hour_of_flood_leaves_a_rate_known_for_days_within_its_order_of_magnitude() -> None:
    """360 steps of 1,000 requests: ten thousand times the usual, and heard as eighty times."""
    usual = np.full((1_440, 1), 180.0)
    elapsed = np.concatenate([usual, np.full((361, 1), 10.0)])
    requests = np.concatenate([np.ones_like(usual), np.full((361, 1), 1_000.0)])
    rate = rates(elapsed, requests)[0][:, 0]
    np.testing.assert_allclose(rate[1_440], 20.0, rtol=0.2)
    assert rate[-1] < 10.0 * rate[1_440]
