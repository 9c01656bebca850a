"""The notation: each operation against numpy, the state's layout, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from detector.stepping import walk
from seqdetect.detector.graph import Graph

X = np.random.default_rng(0).normal(size=(1, 37, 3)).astype(np.float32)


def test_arithmetic() -> None:
    g = Graph(3, 1)
    x = g.features
    row = np.array([[1.0, -2.0, 0.5]])
    out = {
        "a": ((x + row) * 2.0 - x / 4.0, 3),
        "b": (1.0 - (-x), 3),
        "c": (3.0 / (x * x + 1.0), 3),
        "d": (x.clip(-0.5, 0.5).abs().sqrt().exp(), 3),
        "e": (x @ np.arange(6).reshape(3, 2), 2),
        "f": (x.pick([2, 0]), 2),
        "g": ((x > 0.0).where(x, row), 3),
        "h": ((x >= 0.0).number() + (x < 1.0).number(), 3),
        "i": (x.sum(3), 1),
        "j": (g.concat(x.columns(1, 3), x.columns(0, 1)), 3),
        "k": ((x * x + 1.0).log(3), 3),
    }
    found = walk(g, X, **out)
    x = X[0].astype(np.float64)
    wanted = {
        "a": (x + row) * 2 - x / 4,
        "b": 1 + x,
        "c": 3 / (x**2 + 1),
        "d": np.exp(np.sqrt(np.abs(np.clip(x, -0.5, 0.5)))),
        "e": x @ np.arange(6).reshape(3, 2),
        "f": x[:, [2, 0]],
        "g": np.where(x > 0, x, row),
        "h": (x >= 0) * 1.0 + (x < 1),
        "i": x.sum(axis=1, keepdims=True),
        "j": x[:, [1, 2, 0]],
        "k": np.log(x**2 + 1),
    }
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name][0], values, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("width", [1, 3, 15, 16, 17])
def test_log_gives_the_same_bits_in_any_batch(width: int) -> None:
    values = np.random.default_rng(1).uniform(0.1, 50, (1, 33, width)).astype(np.float32)

    def logarithm(part: np.ndarray) -> np.ndarray:
        g = Graph(width, 1)
        return walk(g, part, y=(g.features.log(width), width))["y"][0]

    whole = logarithm(values)
    for end in (1, 2, 7, 16):
        np.testing.assert_array_equal(logarithm(values[:, :end]), whole[:end])


def test_state_slots_keep_their_order_and_start() -> None:
    g = Graph(2, 1)
    total, last = g.state("total", [5.0]), g.state("last", [0.0, -1.0])
    g.update("last", g.features)
    g.update("total", total + g.features.sum(2))
    assert g.initial_row.tolist() == [5.0, 0.0, -1.0]
    steps = np.array([[[1, 2]], [[3, 4]]])
    found = walk(g, steps, before=(g.concat(total, last), 3))
    np.testing.assert_array_equal(found["before"][:, 0], [[5, 0, -1], [8, 1, 2]])
    np.testing.assert_array_equal(found["state"][:, 0], [[8, 1, 2], [15, 3, 4]])


def test_a_graph_without_state_still_has_a_row() -> None:
    g = Graph(2, 1)
    assert walk(g, np.ones((1, 4, 2)), y=(g.features, 2))["state"].shape == (1, 4, 1)


def test_refusals() -> None:
    g = Graph(1, 1)
    g.state("mean", [0.0])
    with pytest.raises(ValueError, match="'mean' is declared twice"):
        g.state("mean", [1.0])
    with pytest.raises(ValueError, match=r"without an update: \['mean'\]"):
        g.build(y=(g.features, 1))


def test_equal_constants_are_stored_once() -> None:
    g = Graph(1, 1)
    y = g.features * 2.0 + 2.0 - np.array([2.0], np.float32) + np.array([[2.0]])
    assert len(g.constants) == 2  # of one and of two dimensions
    assert len(g.build(y=(y, 1)).graph.initializer) == 3  # and the width of the state
