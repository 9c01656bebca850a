"""Numbers, comparisons and causes in words."""

from __future__ import annotations

import pandas as pd
import pytest

from report import made_up
from seqdetect.report import Run, causes, heat, leaderboard, quantity
from seqdetect.report.comparison import against_baselines
from seqdetect.report.entry import Entry, at, entries, random_entry
from seqdetect.report.quantity import Estimate
from seqdetect.report.style import looks


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.468, "0.47"),
        (0.0551, "0.055"),
        (0.00178, "0.002"),
        (0.0, "0.00"),
        (19.59, "19.6"),
        (1450.2, "1,450"),
        (None, "—"),
    ],
)
def test_number(value: float | None, text: str) -> None:
    assert quantity.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.25, "0.2 s"),
        (40, "40 s"),
        (220, "3 min 40 s"),
        (600, "10 min"),
        (7500, "2 h 5 min"),
        (90_000, "1 d 1 h"),
        (None, "—"),
    ],
)
def test_duration(seconds: float | None, text: str) -> None:
    assert quantity.duration(seconds) == text


def test_estimate_has_its_interval_in_brackets() -> None:
    assert str(Estimate(0.468, 0.331, 0.58)) == "0.47 [0.33–0.58]"
    assert str(Estimate(0.468)) == "0.47"
    assert str(Estimate(0.004, -0.0001, 0.009)) == "0.004 [0.000–0.009]"


def test_budgets_and_lists() -> None:
    assert [quantity.budget(value) for value in (1.0, 7.0, 14.0, 3.5)] == [
        "1 per user-week",
        "1 per user-day",
        "2 per user-day",
        "3.5 per user-week",
    ]
    assert quantity.listed(["a", "b", "c"]) == "a, b and c"
    assert [quantity.listed(["a"]), quantity.listed([])] == ["a", ""]
    assert [quantity.storage(632), quantity.storage(1234)] == ["632 B", "1.2 kB"]


def run(
    name: str, seed: int, recall: float | None, low: float | None = None, high: float | None = None
) -> Run:
    found = {
        "macro": recall,
        "low": low,
        "high": high,
        "kinds": {"flood": {"recall": recall, "found": 3, "rows": 4}},
    }
    return Run(name, seed, {"test": {"budgets": {"critical": {"best": {"recall": found}}}}})


PATH = ("test", "budgets", "critical", "best", "recall")


def test_seeds_that_differ_give_students_interval_others_that_over_users() -> None:
    differ = Entry("x", (run("x", 0, 0.4), run("x", 1, 0.5), run("x", 2, 0.6)), "challenger")
    told = differ.estimate(*PATH)
    assert told.value == pytest.approx(0.5)
    assert told.low == pytest.approx(0.5 - 4.302653 * 0.1 / 3**0.5, abs=1e-6)
    agree = Entry("x", (run("x", 0, 0.4, 0.2, 0.5), run("x", 1, 0.4, 0.3, 0.7)), "challenger")
    assert agree.estimate(*PATH) == Estimate(0.4, 0.25, 0.6)
    assert Entry("x", (run("x", 0, None),), "challenger").estimate(*PATH) == Estimate()


def test_intervals_stay_within_bounds() -> None:
    wide = Entry("x", (run("x", 0, 0.1), run("x", 1, 0.9)), "challenger").estimate(*PATH, bounds=(0.0, 1.0))
    assert (wide.low, wide.high) == (0.0, 1.0)


def test_comparison_names_winners_and_losers() -> None:
    board = entries(
        [
            run("lstm_autoencoder", 0, 0.3),
            run("static_threshold", 0, 0.4),
            run("rolling_zscore", 0, 0.2),
            run("iforest", 0, 0.5),
            run("knn", 0, 0.4),
        ],
        None,
    )
    lead, deep, ahead, behind = against_baselines(board, "1 per user-week")
    assert lead.startswith("Compared at equal false alerts (1 per user-week")
    assert (
        deep
        == "lstm_autoencoder (0.30) does not beat static_threshold (0.40); it beats rolling_zscore (0.20)."
    )
    assert ahead == "Ahead of the best baseline, static_threshold (0.40): iforest (0.50)."
    assert behind == "Not ahead of it: knn (0.40)."


def test_a_win_within_the_intervals_is_qualified() -> None:
    close = entries([run("lstm", 0, 0.5, 0.3, 0.7), run("ewma", 0, 0.4, 0.3, 0.6)], None)
    assert (
        against_baselines(close, "")[1]
        == "lstm (0.50 [0.30–0.70]) beats ewma (0.40 [0.30–0.60]), though the intervals overlap."
    )
    assert against_baselines(entries([run("lstm", 0, 0.5)], None), "") == []


def test_board_is_ranked_and_its_best_figures_marked() -> None:
    runs = [run("ewma", 0, 0.2), run("iforest", 0, 0.5), run("knn", 0, None)]
    board = entries(runs, "ewma")
    assert [(entry.name, entry.role) for entry in board] == [
        ("iforest", "challenger"),
        ("ewma", "champion"),
        ("knn", "challenger"),
    ]
    first = [line.cells[0] for line in leaderboard.lines(board, random_entry(runs))]
    assert [(cell.text, cell.best) for cell in first] == [("0.50", True), ("0.20", False), ("—", False)]


def test_heat_pools_seeds() -> None:
    board = entries([run("x", 0, 0.75), run("x", 1, 0.75)], None)
    table = heat.recall_by_kind(board, "critical", "best", "t")
    assert table is not None
    assert table.rows == (("x", (heat.Share(6, 8),), 0.75),)
    assert heat.recall_by_kind(board, "warning", "best", "t") is None


def test_every_detector_has_a_look_of_its_own() -> None:
    board = entries([run(f"d{i:02d}", 0, 0.1) for i in range(14)], "d03")
    table = looks(board)
    assert len({(table[entry.name].colour, table[entry.name].marker) for entry in board}) == len(board)
    assert table["d03"].width > table["d04"].width


def test_nested_look_up_forgives() -> None:
    assert at({"a": {"b": 1}}, "a", "b") == 1
    assert at({"a": None}, "a", "b") is None
    assert at({"a": [1]}, "a", "b") is None


def alert(name: str, start: object, **more: object) -> dict[str, object]:
    return {
        "alert_id": name,
        "user_id": "u",
        "start": start,
        "end": None,
        "severity": "warning",
        "score": 3.0,
        **more,
    }


def test_alerts_keep_their_last_state_and_are_ordered() -> None:
    second = "2024-03-04T00:00:10Z"
    changes = [alert("b", second), alert("a", made_up.START_US), alert("b", second, severity="critical")]
    known = pd.DataFrame(
        {
            "incident_id": ["i"],
            "user_id": ["u"],
            "start": [made_up.START_US + 1],
            "end": [made_up.START_US + 2],
            "kind": ["flood"],
        }
    )
    told = causes.told(changes, known)
    assert [(one.alert_id, one.severity, one.truth) for one in told] == [
        ("a", "warning", ""),
        ("b", "critical", "flood"),
    ]
    assert told[1].began - told[0].began == 10_000_000


def test_causes_in_natural_units() -> None:
    assert causes.cause({"name": "requests", "value": 132.0, "expected": 4.0}) == "requests 132 instead of 4"
    assert (
        causes.cause({"name": "gap", "value": 250.0, "expected": 90_000.0})
        == "silence before the tick 250 ms instead of 1 min 30 s"
    )
    assert causes.cause({"name": "night_share", "value": 0.5}) == "night share 0.50"
