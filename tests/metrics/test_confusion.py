"""Which kind an incident was taken for: at its highest step, among the rows found, benign ones too."""

from __future__ import annotations

import pandas as pd

from seqdetect.metrics.confusion import Guesses, Named, confusion, confusions, name_rows
from seqdetect.metrics.grid import MINUTE_US
from seqdetect.metrics.recall import attack_peaks
from seqdetect.metrics.ticks import Ticks

from .frames import incidents_of, minutes, scores_of

KINDS = ["unknown", "flood", "drip", "benign_campaign"]


def guesses_of(**steps: list[tuple[float, str]]) -> Guesses:
    """What users' steps were taken for, as ``user=[(minute, kind), ...]``."""
    named = {(user, round(at * MINUTE_US)): kind for user, pairs in steps.items() for at, kind in pairs}
    return Guesses(KINDS, named)


def named(scores: pd.DataFrame, rows: pd.DataFrame, guesses: Guesses) -> list[Named]:
    return name_rows(attack_peaks(Ticks.of(scores), rows), guesses)


def test_the_step_of_the_highest_score_speaks_and_the_first_of_equals() -> None:
    scores = scores_of(u=[(9, 9.0), (11, 2.0), (13, 5.0), (14, 5.0), (30, 9.0)])
    guesses = guesses_of(u=[(9, "drip"), (11, "drip"), (13, "flood"), (14, "drip"), (30, "drip")])
    assert named(scores, incidents_of(("u", 10, 20, "flood")), guesses) == [Named("flood", "flood", 5.0)]


def test_a_step_that_was_not_named_is_unknown_and_a_row_without_steps_is_none() -> None:
    rows = incidents_of(("u", 10, 20, "flood"), ("u", 50, 60, "flood"), ("nobody", 10, 20, "flood"))
    assert named(scores_of(u=[(11, 2.0)]), rows, guesses_of()) == [Named("flood", "unknown", 2.0)]


def test_only_rows_found_are_counted_and_only_kinds_that_can_be_named_are_right_or_wrong() -> None:
    rows = [
        Named("flood", "flood", 5.0),
        Named("flood", "drip", 4.0),
        Named("flood", "unknown", 3.0),
        Named("flood", "flood", 0.9),
        Named("our own", "flood", 5.0),
        Named("unknown", "unknown", 5.0),
        Named("benign_campaign", "benign_campaign", 1.0),
    ]
    assert confusion(rows, KINDS, 1.0) == {
        "counts": {
            "benign_campaign": {"benign_campaign": 1},
            "flood": {"drip": 1, "flood": 1, "unknown": 1},
            "our own": {"flood": 1},
            "unknown": {"unknown": 1},
        },
        "right": 2,
        "known": 4,
        "accuracy": 0.5,
    }
    nothing = {"counts": {}, "right": 0, "known": 0, "accuracy": None}
    assert confusion(rows, KINDS, 9.0) == nothing
    assert confusion([], KINDS, 0.0) == nothing


def test_by_tier_over_the_rows_that_start_in_the_span() -> None:
    rows = incidents_of(
        ("u", 10, 12, "flood"),
        ("u", 30, 32, "drip"),
        ("u", 50, 52, "benign_campaign"),
        ("u", 98, 110, "flood"),
        ("u", 120, 130, "drip"),
    )
    scores = scores_of(u=[(11, 5.0), (31, 2.0), (51, 2.0), (99, 2.0), (104, 9.0), (121, 9.0)])
    guesses = guesses_of(
        u=[(11, "flood"), (31, "flood"), (51, "benign_campaign"), (99, "flood"), (104, "drip"), (121, "drip")]
    )
    found = confusions(scores, rows, minutes(100), {"critical": 3.0, "warning": 1.0}, guesses)
    assert found["critical"]["counts"] == {"flood": {"flood": 1}}
    assert found["warning"]["counts"] == {
        "benign_campaign": {"benign_campaign": 1},
        "drip": {"flood": 1},
        "flood": {"flood": 2},
    }
    assert (found["warning"]["right"], found["warning"]["known"]) == (3, 4)


def test_without_incidents_nothing_fails() -> None:
    found = confusions(scores_of(u=[(1, 2.0)]), incidents_of(), minutes(10), {"critical": 1.0}, guesses_of())
    assert found["critical"]["counts"] == {}
