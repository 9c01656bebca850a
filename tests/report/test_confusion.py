"""What incidents were taken for, as a table: pooled over seeds, absent where nothing was named."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from report import made_up
from report.test_page import outline
from seqdetect.report import Run, causes, confusion, page
from seqdetect.report.entry import Entry
from seqdetect.report.heat import Share

Counts = dict[str, dict[str, int]]


def run(seed: int, counts: Counts, right: int, known: int) -> Run:
    found = {"counts": counts, "right": right, "known": known, "accuracy": right / known if known else None}
    return Run("x", seed, {"test": {"confusion": {"critical": found}}})


def test_seeds_are_pooled_and_kinds_ordered() -> None:
    runs = (
        run(0, {"flood": {"flood": 2, "unknown": 1}, "benign_campaign": {"flood": 1}}, 2, 4),
        run(1, {"flood": {"flood": 1}, "drip": {"benign_campaign": 1}, "ours": {"drip": 1}}, 1, 2),
    )
    entry = Entry("x", runs, "challenger")
    table = confusion.table(entry, "critical", "t")
    assert table is not None
    assert table.columns == ("drip", "flood", "benign_campaign", "unknown")
    assert table.rows == (
        ("drip", (None, None, Share(1, 1), None), None),
        ("flood", (None, Share(3, 4), None, Share(1, 4)), None),
        ("ours", (Share(1, 1), None, None, None), None),
        ("benign_campaign", (None, Share(1, 1), None, None), None),
    )
    assert confusion.accuracy(entry, "critical") == Share(3, 6)
    assert confusion.table(entry, "warning", "t") is None
    assert confusion.accuracy(entry, "warning") is None


@pytest.mark.parametrize("counts", [{}, {"flood": {"unknown": 3}}])
def test_nothing_is_shown_where_nothing_was_named(counts: Counts) -> None:
    entry = Entry("x", (run(0, counts, 0, 0),), "challenger")
    assert confusion.table(entry, "critical", "t") is None
    assert confusion.accuracy(entry, "critical") is None


@pytest.fixture(scope="module")
def bench() -> tuple[list[Run], Any, Any]:
    return made_up.benchmark({"iforest": 4.0}, 1, users=6)


def write(path: Path, bench: tuple[list[Run], Any, Any], counts: Counts, kind: str) -> str:
    """The page's text; each alert is of ``kind``."""
    (one,), first, known = bench
    metrics: dict[str, Any] = copy.deepcopy(dict(one.metrics))
    metrics["test"]["confusion"] = run(0, counts, 3, 4).metrics["test"]["confusion"]
    timeline = made_up.timeline(first, known, np.random.default_rng(0))
    for alert in timeline.alerts:
        alert["kind"] = kind  # type: ignore[index]
    page.write(path, "t", [Run("iforest", 0, metrics)], "iforest", timeline, {})
    return outline(path).said


def test_the_page_shows_the_table_and_the_kinds_of_alerts(
    tmp_path: Path, bench: tuple[list[Run], Any, Any]
) -> None:
    said = write(tmp_path / "r.html", bench, {"flood": {"flood": 3, "agent_loop": 1}}, "agent_loop")
    assert "iforest, what it takes them for" in said
    assert "3 of 4 rows found (75 %) are named right. Kinds that it cannot name" in said
    assert "0.753/4" in said.replace(" ", "")
    assert "taken for" in said.split("First alerts")[1]
    assert "agent_loop" in said.split("First alerts")[1]


def test_the_page_is_silent_where_all_is_unknown(tmp_path: Path, bench: tuple[list[Run], Any, Any]) -> None:
    said = write(tmp_path / "r.html", bench, {"flood": {"unknown": 4}}, "unknown")
    assert "what it takes them for" not in said
    assert "named right" not in said
    assert "taken for" not in said


def test_the_time_scale_is_told_once() -> None:
    feature = {"name": "requests", "value": 132.0, "expected": 4.0, "contribution": 2.5}
    other = {"name": "errors", "value": 0.4, "expected": 0.0, "contribution": 1.0}
    told = causes.causes({"top_features": [feature | {"scale_s": 3600.0}, other | {"scale_s": 3600.0}]})
    assert told[0] == "requests 132 instead of 4"
    assert told[2:] == ("evidence of about 1 h",)
    assert causes.causes({"top_features": [feature]}) == ("requests 132 instead of 4",)
