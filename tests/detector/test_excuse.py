"""What people judged harmless damps the floor where time looks like it, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from detector.test_learned_evidence import HEAD, WIDTH, as_rows, fitted, floor_score, graphed, noise, shown
from seqdetect.detector import Examples, Rows
from seqdetect.detector.learned_evidence import DAY_US, LearnedEvidence

HABIT = slice(0, 6)
"""Columns that a habit shows in."""
SETTINGS = HEAD | {"epochs": 30}


def judged(seed: int = 1) -> Examples:
    """Bags with attacks among them, of which every fifth clean one is a habit that somebody judged; ten to a day."""
    base = shown(seed)
    harmless = np.where((np.arange(len(base.kind)) % 5 == 1) & ~base.attack, 3.0, 0.0)
    values = base.values.copy()
    values[np.ix_((harmless > 0)[base.bag], np.arange(WIDTH)[HABIT])] -= 4.0
    tick = np.arange(len(base.kind)) // 10 * DAY_US + 1
    return replace(base, values=values, harmless=harmless, tick=tick)


@pytest.fixture(scope="module")
def detector() -> LearnedEvidence:
    made = fitted()
    made.head = SETTINGS
    made.learn(judged(), 0)
    made.calibrate(as_rows(noise(900, 2)))
    return made


def alarming(habit: bool) -> Rows:
    """Rows that the floor finds very odd."""
    values = noise(60, 7)
    values[:, WIDTH:] *= 12.0
    if habit:
        values[:, HABIT] -= 4.0
    return as_rows(values)


def test_the_floor_is_damped_where_it_looks_like_the_habit(detector: LearnedEvidence) -> None:
    assert detector.excuse is not None
    floor = {habit: detector.floor_tail(floor_score(detector, alarming(habit))) for habit in (False, True)}
    score = {habit: detector.reference(alarming(habit)) for habit in (False, True)}
    assert np.median(score[True]) < 0.5 * np.median(floor[True])
    assert np.median(score[False]) > 0.9 * np.median(floor[False])
    assert (score[True] <= floor[True] + 1e-9).mean() > 0.8


def test_the_graph_damps_as_the_model_does(detector: LearnedEvidence) -> None:
    for habit in (False, True):
        rows = alarming(habit)
        np.testing.assert_allclose(
            graphed(detector, rows.values)["score"][:, 0], detector.reference(rows), rtol=1e-4, atol=1e-4
        )


def test_no_known_attack_is_excused(detector: LearnedEvidence) -> None:
    assert detector.excuse is not None
    fresh = judged(4)
    logits = detector.excuse.logits(fresh.values[:, :WIDTH])
    attack, harmless = fresh.attack[fresh.bag], (fresh.harmless > 0)[fresh.bag]
    assert np.median(logits[harmless]) > 0
    assert np.quantile(logits[attack], 0.9) < 0


def test_days_are_calibrated_by_parts_that_did_not_see_them(detector: LearnedEvidence) -> None:
    base, values = judged(), noise(40, 5)[:, :WIDTH]
    assert base.tick is not None
    day = base.tick // DAY_US
    other = base.values.copy()
    other[(day == 4)[base.bag]] *= -3.0
    changed = fitted()
    changed.head = SETTINGS
    changed.learn(replace(base, values=other), 0)
    for number in range(detector.folds):
        pairs = (
            (detector.parts[number], changed.parts[number]),
            (detector.excuses[number], changed.excuses[number]),
        )
        for one, two in pairs:
            assert one is not None
            assert two is not None
            same = np.array_equal(one.logits(values), two.logits(values))
            assert same == (number == 4 % detector.folds)


def test_nobody_judged_nothing_is_excused() -> None:
    made = fitted()
    made.learn(replace(judged(), harmless=None), 0)
    assert made.excuse is None
    assert set(made.excuses) == {None}
    assert made.fold is not None, "and users are the folds"
