"""Averaged and recentred scores against plain sums over everything heard."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from detector.stepping import walk
from seqdetect.detector.block.adapt import FLOOR, LARGEST_SHARE, PRIOR_STEPS, WINSOR, recentred, smoothed
from seqdetect.detector.block.normal import LEAST_WEIGHT, Prior
from seqdetect.detector.graph import Graph

PRIOR = Prior(np.array([0.4], np.float32), np.array([0.09], np.float32))
MEMORY_S, LAG_S = 86_400.0, 3_600.0
TICK_S = 10.0
MEMORY = slice(0, 3)
"""Columns of the state: weight, mean and variance of what was learnt."""


def averaged(elapsed: NDArray[Any], score: NDArray[Any], mean: float) -> NDArray[np.float32]:
    g = Graph(2, 1)
    out = smoothed(g, "average", g.features.columns(1, 2), g.features.columns(0, 1), mean)
    return walk(g, np.stack([elapsed, score], axis=2), out=(out, 1))["out"][..., 0]


def set_apart(elapsed: NDArray[Any], score: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
    """``z`` and ``state`` for ``[time, n]`` steps."""
    g = Graph(2, 1)
    z = recentred(g, "own", g.features.columns(1, 2), g.features.columns(0, 1), PRIOR, MEMORY_S, LAG_S)
    found = walk(g, np.stack([elapsed, score], axis=2), z=(z, 1))
    return {"z": found["z"][..., 0], "state": found["state"]}


def steady(hours: float, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``[time, 1]`` elapsed seconds and scores of a user who sends at every tick."""
    n = round(hours * 3_600 / TICK_S)
    elapsed = np.full((n, 1), TICK_S)
    elapsed[0] = 0.0
    return elapsed, np.random.default_rng(seed).normal(0.7, 0.5, (n, 1))


def test_the_average_is_that_of_faded_steps() -> None:
    rng = np.random.default_rng(0)
    elapsed, score = rng.choice([10.0, 40.0, 3_000.0], (60, 4)), rng.gamma(2.0, 1.0, (60, 4))
    found, time = averaged(elapsed, score, 0.5), np.cumsum(elapsed, axis=0)
    for now in (0, 1, 20, 59):
        share = np.exp(-(time[now] - time[: now + 1]) / 900.0)
        total = (share * score[: now + 1]).sum(axis=0) + PRIOR_STEPS * 0.5
        np.testing.assert_allclose(found[now], total / (share.sum(axis=0) + PRIOR_STEPS), rtol=1e-5)


def test_a_lone_step_counts_for_little() -> None:
    found = averaged(np.array([[0.0]]), np.array([[8.0]]), 0.4)
    np.testing.assert_allclose(found[0, 0], 0.4 + 7.6 / (1.0 + PRIOR_STEPS), rtol=1e-6)


def test_the_norm_is_that_of_what_was_heard_an_hour_ago() -> None:
    rng = np.random.default_rng(1)
    elapsed = rng.choice([10.0, 30.0, 600.0, 40_000.0], (1_500, 1), p=[0.6, 0.3, 0.09, 0.01])
    score = rng.normal(1.5, 0.5, (1_500, 1))
    score[700:720] = 30.0
    found = set_apart(elapsed, score)["z"][:, 0]
    values, weights = np.array([0.1, 0.7]), np.array([15.0, 15.0])  # the prior: mean 0.4, deviation 0.3
    waiting, present, since = [], [], 0.0
    for i, value in enumerate(score[:, 0]):
        since += elapsed[i, 0]
        mean = np.average(values, weights=weights)
        deviation = max(np.sqrt(np.average((values - mean) ** 2, weights=weights)), FLOOR * 0.3)
        np.testing.assert_allclose(found[i], (value - mean) / deviation, rtol=2e-5, atol=2e-5)
        if since >= LAG_S:
            left = weights.sum() * np.exp(-since / MEMORY_S)
            weights *= max(left, LEAST_WEIGHT) / weights.sum()
            if waiting:
                each = min(1.0, LARGEST_SHARE * weights.sum() / len(waiting))
                values = np.append(values, waiting)
                weights = np.append(weights, np.full(len(waiting), each))
            waiting, present, since = present, [], 0.0
        present.append(np.clip(value, mean - WINSOR * deviation, mean + WINSOR * deviation))


def test_a_day_of_own_scores_replaces_the_prior() -> None:
    elapsed, score = steady(24.0)
    last = set_apart(elapsed, score)["z"][-2_000:]
    assert abs(last.mean()) < 0.1
    assert 0.9 < last.std() < 1.1


@pytest.mark.parametrize("start", [0, 900, 3_000])
def test_an_attack_of_fifty_minutes_does_not_move_the_norm(start: int) -> None:
    elapsed, score = steady(9.0)
    begin = round((6 * 3_600 + start) / TICK_S)
    end, hour = begin + round(3_000 / TICK_S), round(3_600 / TICK_S)
    attacked = score.copy()
    attacked[begin:end] += 5.0
    usual, found = set_apart(elapsed, score), set_apart(elapsed, attacked)
    norm, after = usual["state"][:, 0, MEMORY], found["state"][:, 0, MEMORY]
    np.testing.assert_array_equal(after[: begin + hour], norm[: begin + hour])
    above = found["z"][begin:end, 0] - usual["z"][begin:end, 0]
    np.testing.assert_allclose(above, 5.0 / np.sqrt(norm[begin - 1 : end - 1, 2]), rtol=1e-3)
    moved = (after[-1, 1] - norm[-1, 1]) / np.sqrt(norm[-1, 2])
    assert 0.0 < moved < 0.2 * WINSOR, "300 steps of some 2,000, each heard to three deviations"


def test_a_rare_user_learns_an_attack_by_a_quarter_of_its_past() -> None:
    minutes = np.arange(0, 48 * 60, 40)
    attack = 24 * 60 + np.arange(0, 30, 1 / 6)
    time = 60.0 * np.union1d(minutes, attack)
    hit = np.isin(time, 60.0 * attack)
    score = np.where(hit, 9.0, np.random.default_rng(0).normal(0.4, 0.3, len(time)))
    found = set_apart(np.diff(time, prepend=0.0)[:, None], score[:, None])["state"][:, 0, MEMORY]
    before = found[np.flatnonzero(hit)[0] - 1]
    moved = (found[:, 1].max() - before[1]) / np.sqrt(before[2])
    assert hit.sum() > 4 * before[0]
    assert 0.3 < moved < WINSOR * 2 * LARGEST_SHARE, "two stretches, as the half hour may lie in both"


def test_how_far_out_an_attack_is_makes_no_difference_later() -> None:
    elapsed, score = steady(6.0)
    near, far = score.copy(), score.copy()
    near[900:1_000] += 10.0
    far[900:1_000] += 1e4
    np.testing.assert_array_equal(set_apart(elapsed, near)["z"][1_000:], set_apart(elapsed, far)["z"][1_000:])


def test_even_scores_alarm_by_shares_of_the_prior_deviation() -> None:
    elapsed, score = steady(60.0)
    elapsed, score = elapsed[:2_000] * 10.0, score[:2_000]
    score[:] = 0.4
    score[-1] = 0.7  # a deviation of the prior's
    found = set_apart(elapsed, score)["z"]
    np.testing.assert_allclose(found[-2:, 0], [0.0, 1.0 / FLOOR], atol=1e-4)


def test_any_batch_gives_the_same_bits() -> None:
    rng = np.random.default_rng(3)
    elapsed, score = rng.choice([10.0, 100.0, 2_000.0], (300, 23)), rng.gamma(1.0, 1.0, (300, 23))
    together, average = set_apart(elapsed, score), averaged(elapsed, score, 0.4)
    for part in (slice(0, 1), slice(1, 8), slice(6, 23)):
        alone = set_apart(elapsed[:, part], score[:, part])
        np.testing.assert_array_equal(alone["z"], together["z"][:, part])
        np.testing.assert_array_equal(alone["state"], together["state"][:, part])
        np.testing.assert_array_equal(averaged(elapsed[:, part], score[:, part], 0.4), average[:, part])
