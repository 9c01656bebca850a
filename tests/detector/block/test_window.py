"""The window kept in the state and the windows of training are the same rows."""

from __future__ import annotations

import numpy as np

from detector.stepping import walk
from seqdetect.detector.block.window import last_steps, windows
from seqdetect.detector.graph import Graph


def test_the_state_holds_the_last_steps_oldest_first() -> None:
    g = Graph(2, 1)
    window, mask = last_steps(g, "window", g.features, 2, 3)
    steps = np.arange(10).reshape(5, 1, 2)
    found = walk(g, steps, window=(window, 6), mask=(mask, 3))
    np.testing.assert_array_equal(found["window"][:, 0], [[0, 0, 0, 0, 0, 1], [0, 0, 0, 1, 2, 3], [0, 1, 2, 3, 4, 5], [2, 3, 4, 5, 6, 7], [4, 5, 6, 7, 8, 9]])  # fmt: skip
    np.testing.assert_array_equal(
        found["mask"][:, 0], [[0, 0, 1], [0, 1, 1], [1, 1, 1], [1, 1, 1], [1, 1, 1]]
    )


def test_training_windows_are_those_of_the_user() -> None:
    rng = np.random.default_rng(0)
    user = rng.integers(0, 4, 60).astype(np.int32)
    values = rng.normal(size=(60, 2)).astype(np.float32)
    index, mask = windows(values, user, 5)
    past: dict[int, list[int]] = {}
    for row in range(60):
        mine = past.setdefault(int(user[row]), [])
        mine.append(row)
        wanted = mine[-5:]
        assert mask[row].sum() == len(wanted)
        assert mask[row, 5 - len(wanted) :].all()
        np.testing.assert_array_equal(index[row][mask[row]], wanted)
