"""The forecaster learns an order of steps, notices when it breaks, and is the same in graph and torch."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from detector.stepping import as_rows, largest_difference, walk
from seqdetect.detector import Rows
from seqdetect.detector.block.context import COLUMNS
from seqdetect.detector.forecaster import ELAPSED, EVIDENCE_S, FEW_STEPS, Forecaster
from seqdetect.detector.graph import Graph
from seqdetect.detector.point_process import MARKS, SCORE_LIMIT

# lightning asks torch about trees in a way that torch deprecates
pytestmark = pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*:FutureWarning")
WIDTH = ELAPSED + 1
USERS = 6
GAP = MARKS[0]


def _rows(n: int, seed: int) -> Rows:
    """Each user's gap is long, short, long, short; the rest is noise."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, WIDTH)).astype(np.float32)
    values[:, COLUMNS:ELAPSED] = rng.random((n, ELAPSED - COLUMNS))
    values[:, ELAPSED] = 10.0 * rng.integers(1, 60, n)
    turn = np.arange(n) // USERS % 2
    values[:, GAP] = np.where(turn == 0, 1.0, -1.0) + 0.1 * rng.normal(size=n)
    return as_rows(values, USERS)


@pytest.fixture(scope="module")
def fitted() -> Forecaster:
    detector = Forecaster(hidden=8, trainer={"max_epochs": 12, "accelerator": "cpu"})
    detector.fit(_rows(12_000, 0), 0)
    return detector


def test_it_learns_what_comes_next(fitted: Forecaster) -> None:
    losses = [epoch["validation_loss"] for epoch in fitted.history]
    assert min(losses) < losses[0] - 1.0
    rows = _rows(1200, 1)
    usual = np.abs(fitted.normal_scores(rows)[300:, 0])
    broken = rows.values.copy()
    broken[600:606, GAP] *= -1.0  # as usual a gap as any, but not now
    scores = fitted.normal_scores(Rows(broken, rows.user, rows.tick, rows.usable))
    assert np.percentile(usual, 95) < 2.5
    assert np.abs(scores[600:606, 0]).min() > 3.0
    assert np.sign(scores[600:606, 0]).tolist() == np.sign(broken[600:606, GAP]).tolist()


def test_surprise_and_score_are_the_same_in_the_graph(fitted: Forecaster) -> None:
    rows = _rows(1200, 2)
    rows.values[::50, :COLUMNS] *= 5.0
    for name, width in (("surprise", 4), ("score", 1)):
        graph = Graph(WIDTH, 1)
        context: Any = SimpleNamespace(graph=graph)
        out = getattr(fitted, name)(context, graph.features)
        found = walk(graph, rows.values.reshape(-1, USERS, WIDTH), out=(out, width))["out"].reshape(-1, width)
        if name == "score":
            assert largest_difference(found[:, 0], fitted.reference(rows)) < 1e-5
        else:
            wanted = fitted.normal_scores(rows)
            np.testing.assert_allclose(found, wanted, atol=1e-4)
            assert np.abs(wanted).max() <= SCORE_LIMIT + 1e-6


def test_one_step_weighs_little_and_many_weigh_more(fitted: Forecaster) -> None:
    rows = _rows(60, 3)
    rows.values[:, ELAPSED] = 0.0
    rows.values[:, MARKS[1]] = 6.0
    scores = fitted.reference(rows)
    first, last = np.split(scores, 10)[0], np.split(scores, 10)[-1]
    assert (last > 2.0 * first).all()
    rows.values[-USERS:, ELAPSED] = 100.0 * max(EVIDENCE_S)
    alone = fitted.reference(rows)[-USERS:]
    sums = np.concatenate((s := fitted.normal_scores(rows)[-USERS:], np.abs(s) - fitted.usual_size), axis=1)
    one_step = np.tile(sums, len(EVIDENCE_S)) / np.sqrt(1.0 + FEW_STEPS) / fitted.usual_sum
    np.testing.assert_allclose(alone, (one_step**2).mean(axis=1), rtol=1e-6)


def test_unusable_rows_are_read_but_not_learned(fitted: Forecaster) -> None:
    rows = _rows(12_000, 0)
    usable = np.ones(len(rows), bool)
    usable[3000:6000] = False
    values = rows.values.copy()
    values[3000:6000, list(MARKS)] = 6.0
    detector = Forecaster(hidden=8, trainer={"max_epochs": 12, "accelerator": "cpu"})
    detector.fit(Rows(values, rows.user, rows.tick, usable), 0)
    scores = np.abs(detector.normal_scores(Rows(values, rows.user, rows.tick, usable)))
    assert np.median(scores[3000:3060].max(axis=1)) > 2.0 * np.median(scores[7000:].max(axis=1))
    assert min(epoch["validation_loss"] for epoch in detector.history) < fitted.history[0]["validation_loss"]


@pytest.mark.parametrize("usable", [[False, False, False, True], [True] * 4])
def test_next_to_no_data_is_still_fitted(usable: list[bool]) -> None:
    values = _rows(4, 0).values
    detector = Forecaster(hidden=4, trainer={"max_epochs": 1, "accelerator": "cpu"})
    rows = Rows(values, np.zeros(4, np.int32), np.full(4, 7), np.array(usable))
    detector.fit(rows, 0)
    assert np.isfinite(detector.reference(rows)).all()
