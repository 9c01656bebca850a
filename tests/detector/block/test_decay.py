"""Decayed sums against numpy, over irregular times."""

from __future__ import annotations

import numpy as np

from detector.stepping import walk
from seqdetect.detector.block.decay import decayed_sums, lost
from seqdetect.detector.graph import Graph

TAU_S = (60.0, 3600.0)


def test_sums_are_those_of_all_steps_so_far() -> None:
    rng = np.random.default_rng(0)
    steps, users = 40, 5
    elapsed = rng.choice([10.0, 20.0, 600.0, 86_400.0], (steps, users))
    amounts = rng.integers(0, 1_000, (steps, users, 2)).astype(float)
    g = Graph(3, 1)
    sums = decayed_sums(g, "sums", g.features.columns(1, 3), 2, g.features.columns(0, 1), TAU_S)
    found = walk(g, np.concatenate([elapsed[..., None], amounts], axis=2), sums=(sums, 4))["sums"]
    time = np.cumsum(elapsed, axis=0)
    for i, tau in enumerate(TAU_S):
        for now in (0, 1, 17, 39):
            share = np.exp(-(time[now] - time[: now + 1]) / tau)
            wanted = (share[..., None] * amounts[: now + 1]).sum(axis=0)
            np.testing.assert_allclose(found[now, :, 2 * i : 2 * i + 2], wanted, rtol=2e-5, atol=1e-3)


def test_small_losses_are_exact() -> None:
    elapsed = np.array([0.0, 1.0, 10.0, 60.0, 3_600.0, 86_400.0, 604_800.0])[None, :, None]
    g = Graph(1, 1)
    found = walk(g, elapsed, lost=(lost(g.features, 604_800.0), 1))["lost"]
    np.testing.assert_allclose(found, -np.expm1(-elapsed / 604_800.0), rtol=5e-7)


def test_nothing_is_left_after_a_very_long_time() -> None:
    g = Graph(1, 1)
    found = walk(g, np.full((1, 1, 1), 1e9), lost=(lost(g.features, 60.0), 1))["lost"]
    assert found.item() == 1.0
