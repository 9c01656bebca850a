"""A user's usual against a plain loop."""

from __future__ import annotations

import numpy as np

from detector.stepping import walk
from seqdetect.detector.block.normal import LEAST_WEIGHT, Prior, normalise
from seqdetect.detector.graph import Graph

MEMORY_S = 7_200.0
FLOOR = np.array([0.2, 0.05], np.float32)
PRIOR = Prior(np.array([1.0, -2.0], np.float32), np.array([0.5, 0.0], np.float32), weight=10.0)


def built() -> tuple[Graph, dict[str, tuple]]:  # type: ignore[type-arg]
    g = Graph(3, 1)
    normal = normalise(
        g, "usual", g.features.columns(1, 3), g.features.columns(0, 1), PRIOR, MEMORY_S, FLOOR, 3.0
    )
    return g, {"z": (normal.z, 2), "mean": (normal.mean, 2), "deviation": (normal.deviation, 2)}


def test_running_statistics() -> None:
    rng = np.random.default_rng(0)
    elapsed = rng.choice([10.0, 30.0, 5_000.0], 300)
    values = rng.normal([2.0, -2.0], [0.6, 0.01], (300, 2))
    values[150] = [40.0, 40.0]
    g, outputs = built()
    found = walk(g, np.column_stack([elapsed, values])[:, None, :], **outputs)
    weight, mean, variance = 10.0, PRIOR.mean.astype(float), PRIOR.variance.astype(float)
    for i, value in enumerate(values):
        deviation = np.maximum(np.sqrt(variance), FLOOR)
        np.testing.assert_allclose(found["mean"][i, 0], mean, rtol=1e-4)
        np.testing.assert_allclose(found["deviation"][i, 0], deviation, rtol=1e-4)
        np.testing.assert_allclose(found["z"][i, 0], (value - mean) / deviation, rtol=1e-3, atol=1e-3)
        weight = max(weight * np.exp(-elapsed[i] / MEMORY_S), LEAST_WEIGHT) + 1.0
        heard = np.clip(value - mean, -3 * deviation, 3 * deviation)
        mean, variance = mean + heard / weight, variance + (heard**2 - variance) / weight


def test_an_outlier_moves_the_mean_by_three_deviations_at_most() -> None:
    g, outputs = built()
    found = walk(g, np.array([[[10.0, 1e6, -2.0]], [[10.0, 1.0, -2.0]]]), **outputs)
    moved = found["mean"][1, 0, 0] - found["mean"][0, 0, 0]
    share = 1 / (max(10 * np.exp(-10 / MEMORY_S), LEAST_WEIGHT) + 1)
    np.testing.assert_allclose(moved, 3 * np.sqrt(0.5) * share, rtol=1e-4)


def test_a_value_that_never_changes_is_exactly_usual() -> None:
    """What float32 leaves over of a constant column must not be taken for news."""
    constant = np.float32(np.log1p(1))
    values = np.full((5_000, 3), constant, np.float32)
    prior = Prior.of(values, np.random.default_rng(0).integers(0, 37, 5_000).astype(np.int32))
    np.testing.assert_array_equal(prior.mean, constant)
    assert prior.variance.max() < 1e-12


def test_every_user_weighs_the_same_in_the_prior() -> None:
    values = np.concatenate([np.zeros((900, 1)), np.ones((100, 1))]).astype(np.float32)
    prior = Prior.of(values, np.repeat(np.int32([0, 1]), [900, 100]))
    np.testing.assert_allclose(prior.mean, 0.5)
    np.testing.assert_allclose(prior.variance, 0.25)
