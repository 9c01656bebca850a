"""A head over a floor: what is kept of the floor, who is scored by whom, and what the graph tells besides."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from detector.stepping import walk
from seqdetect.calibration.tail import fit_tail
from seqdetect.detector import Examples, Learner, Rows
from seqdetect.detector.block.evidence import COLUMNS, WIDTH
from seqdetect.detector.graph import Graph
from seqdetect.detector.learned_evidence import SCALES, LearnedEvidence
from seqdetect.detector.pca import Pca

FLOOR_COLUMNS = 5
USERS = 6
HEAD: dict[str, Any] = {
    "hidden": (8, 4),
    "rounds": 2,
    "epochs": 10,
    "batch_size": 16,
    "learning_rate": 1e-2,
}
SPEAKS = np.array([number for number, column in enumerate(COLUMNS) if column.scale_s == SCALES[2]])
"""Columns of one time scale: floods show in the first half of them here, wallets in the others."""


def noise(n: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(n, WIDTH + FLOOR_COLUMNS)).astype(np.float32)


def as_rows(values: NDArray[np.float32]) -> Rows:
    n = len(values)
    return Rows(values, np.arange(n, dtype=np.int32) % USERS, np.arange(n) * 10_000_000, np.ones(n, bool))


def shown(seed: int = 1, attacked: tuple[int, ...] = tuple(range(USERS))) -> Examples:
    """Bags of four steps, 20 a user; every fourth of an ``attacked`` user is an attack, of two kinds by turns."""
    bags = 20 * USERS
    values = noise(4 * bags, seed)
    bag, user = np.repeat(np.arange(bags), 4), np.arange(bags) % USERS
    attack = (np.arange(bags) // USERS % 4 == 0) & np.isin(user, attacked)
    kind = np.where(attack, np.where(np.arange(bags) // USERS % 8 == 0, "flood", "wallet"), "").astype(object)
    for name, columns in zip(("flood", "wallet"), np.array_split(SPEAKS, 2), strict=True):
        values[np.ix_(kind[bag] == name, columns)] += 4.0
    return Examples(values, bag, kind, user, np.ones(bags))


def fitted(**settings: Any) -> LearnedEvidence:
    detector = LearnedEvidence(Pca(), HEAD, **settings)
    detector.fit(as_rows(noise(600, 0)), 0)
    return detector


def graphed(detector: LearnedEvidence, values: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """All outputs of the graph on rows, ``[n, width]``."""
    graph = Graph(values.shape[1], 1)
    context: Any = SimpleNamespace(graph=graph)
    out = walk(graph, values[None], score=(detector.score(context, graph.features), 1))
    return {name: found[0] for name, found in out.items()}


def floor_score(detector: LearnedEvidence, rows: Rows) -> NDArray[np.float64]:
    return detector.floor.reference(Rows(rows.values[:, WIDTH:], rows.user, rows.tick, rows.usable))


@pytest.fixture(scope="module")
def calibration() -> Rows:
    return as_rows(noise(900, 2))


@pytest.fixture(scope="module")
def detector(calibration: Rows) -> LearnedEvidence:
    made = fitted()
    made.learn(shown(), 0)
    made.calibrate(calibration)
    return made


def test_it_is_a_learner() -> None:
    assert isinstance(fitted(), Learner)


def test_without_incidents_it_is_its_floor(calibration: Rows) -> None:
    detector = fitted()
    honest = detector.calibrate(calibration)
    alone = floor_score(detector, calibration)
    wanted = fit_tail(alone)(alone)
    np.testing.assert_array_equal(honest, wanted)
    np.testing.assert_array_equal(detector.reference(calibration), wanted)
    found = graphed(detector, calibration.values)
    np.testing.assert_allclose(found["score"][:, 0], wanted, rtol=1e-4, atol=1e-5)
    assert set(found) == {"score", "state"}
    assert detector.kinds == []


def test_the_score_is_the_larger_of_floor_and_head(detector: LearnedEvidence, calibration: Rows) -> None:
    rows = as_rows(np.concatenate([calibration.values, shown(3).values]))
    assert detector.whole is not None
    floor = detector.floor_tail(floor_score(detector, rows))
    head = detector.head_tail(detector.whole.logits(rows.values[:, :WIDTH]))
    assert (head > floor).any()
    assert (head < floor).any()
    score = detector.reference(rows)
    np.testing.assert_array_equal(score, np.maximum(floor, head))
    np.testing.assert_allclose(graphed(detector, rows.values)["score"][:, 0], score, rtol=1e-4, atol=1e-4)


def test_incidents_like_those_shown_score_above_clean_time(detector: LearnedEvidence) -> None:
    fresh = shown(4)
    score = detector.reference(as_rows(fresh.values))
    attack = fresh.attack[fresh.bag]
    assert np.median(score[attack]) > np.quantile(score[~attack], 0.95)


def test_what_the_head_was_never_shown_is_left_to_the_floor(
    detector: LearnedEvidence, calibration: Rows
) -> None:
    odd = calibration.values[:50].copy()
    odd[:, WIDTH:] *= 12.0
    rows = as_rows(odd)
    assert (detector.reference(rows) >= detector.floor_tail(floor_score(detector, rows))).all()
    assert np.median(detector.reference(rows)) > 2.0


def test_no_user_is_calibrated_by_a_head_that_saw_it(detector: LearnedEvidence) -> None:
    """Whatever a user's own examples hold, the head of its fold is the same to the bit; the others are not."""
    base, values = shown(), noise(40, 5)[:, :WIDTH]
    assert set(detector.fold) == set(range(USERS))
    assert sorted(np.bincount(list(detector.fold.values()))) == [2, 2, 2]
    for user in (0, 3):
        other = base.values.copy()
        other[(base.user == user)[base.bag]] *= -3.0
        changed = fitted()
        changed.learn(Examples(other, base.bag, base.kind, base.user, base.weight), 0)
        for number, (one, two) in enumerate(zip(detector.parts, changed.parts, strict=True)):
            same = np.array_equal(one.logits(values), two.logits(values))
            assert same == (number == detector.fold[user])


def test_calibration_rests_on_the_parts(detector: LearnedEvidence, calibration: Rows) -> None:
    honest = detector.calibrate(calibration)
    own = np.array([detector.fold[int(user)] for user in calibration.user])
    logits = np.empty(len(calibration))
    for number, part in enumerate(detector.parts):
        logits[own == number] = part.logits(calibration.values[own == number, :WIDTH])
    floor = detector.floor_tail(floor_score(detector, calibration))
    np.testing.assert_allclose(honest, np.maximum(floor, fit_tail(logits)(logits)), atol=1e-9)
    assert not np.allclose(honest, detector.reference(calibration), atol=0.1)


def test_users_that_were_never_shown_are_calibrated_too(detector: LearnedEvidence) -> None:
    rows = as_rows(noise(300, 6))
    strangers = Rows(rows.values, rows.user + 50, rows.tick, rows.usable)
    assert np.isfinite(detector.calibrate(strangers)).all()


def test_one_attacked_user_is_enough_to_learn(calibration: Rows) -> None:
    detector = fitted()
    detector.learn(shown(attacked=(2,)), 0)
    assert len(detector.parts) == detector.folds
    assert np.isfinite(detector.calibrate(calibration)).all()


def test_the_graph_says_which_kind_and_time_scale(detector: LearnedEvidence) -> None:
    fresh = shown(7)
    found = graphed(detector, fresh.values)
    assert detector.kinds == ["flood", "wallet"]
    assert found["kind"].shape == (len(fresh.values), 3)
    np.testing.assert_allclose(found["kind"].sum(axis=1), 1.0, atol=1e-5)
    assert found["scale"].shape == (len(fresh.values), 1)
    assert set(found["scale"].ravel().tolist()) <= set(np.float32(SCALES).tolist())


def test_the_scale_is_that_of_the_columns_that_speak(detector: LearnedEvidence) -> None:
    """All attacks show in columns of one scale: rows that are far out there and usual elsewhere name it."""
    values = np.zeros((20, WIDTH + FLOOR_COLUMNS), np.float32)
    values[:, SPEAKS] = np.linspace(3.0, 30.0, 20)[:, None]
    np.testing.assert_array_equal(graphed(detector, values)["scale"], np.float32(SCALES[2]))
