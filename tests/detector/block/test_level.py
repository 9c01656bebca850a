"""Departure from a slowly moving mean against a plain loop."""

from __future__ import annotations

import numpy as np

from detector.stepping import walk
from seqdetect.detector.block.level import MEMORY_S, departure
from seqdetect.detector.graph import Graph


def away(elapsed: np.ndarray, values: np.ndarray) -> np.ndarray:
    """[time, n, width] of ``values`` alike, with ``elapsed [time, n]``."""
    width = values.shape[2]
    g = Graph(1 + width, 1)
    found = departure(g, "level", g.features.columns(1, 1 + width), width, g.features.columns(0, 1))
    return walk(g, np.concatenate([elapsed[..., None], values], axis=2), away=(found, width))["away"]


def test_it_is_the_distance_to_the_mean_of_what_came_before() -> None:
    rng = np.random.default_rng(0)
    elapsed = rng.choice([0.0, 10.0, 600.0, 40_000.0], (200, 3))
    values = rng.normal([3.0, -1.0], [1.0, 0.1], (200, 3, 2))
    found = away(elapsed, values)
    np.testing.assert_array_equal(found[0], 0.0)
    time = np.cumsum(elapsed, axis=0)
    for now in (1, 2, 50, 199):
        before = np.exp((time[:now] - time[now - 1]) / MEMORY_S)
        mean = (before[..., None] * values[:now]).sum(axis=0) / before.sum(axis=0)[:, None]
        np.testing.assert_allclose(found[now], values[now] - mean, atol=2e-4)


def test_what_never_changes_departs_from_nothing() -> None:
    found = away(np.full((50, 2), 10.0), np.full((50, 2, 1), 7.3))
    np.testing.assert_allclose(found, 0.0, atol=1e-5)


def test_what_is_new_stands_out_and_then_becomes_the_level() -> None:
    values = np.zeros((3_000, 1, 1))
    values[1_000:] = 2.0
    found = away(np.full((3_000, 1), 60.0), values)[:, 0, 0]
    assert found[999] == 0.0
    np.testing.assert_allclose(found[1_000], 2.0, rtol=1e-6)
    old, new = np.exp(-2_000 * 60.0 / MEMORY_S), np.exp(-1_000 * 60.0 / MEMORY_S)
    np.testing.assert_allclose(found[-1], 2.0 * old * (1.0 - new) / (1.0 - old * new), rtol=0.01)
    assert (np.diff(found[1_000:]) <= 0.0).all()
