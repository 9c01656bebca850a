"""The leaderboard: one row per detector, the random scorer last."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from seqdetect.report import quantity
from seqdetect.report.entry import Entry
from seqdetect.report.quantity import MISSING, Estimate

RECALL_BOUNDS = (0.0, 1.0)


@dataclass(frozen=True)
class Column:
    """A column's heading within its group, its unit and explanation; ``rising`` says that more is better."""

    group: str
    title: str
    unit: str
    about: str
    rising: bool = True


@dataclass(frozen=True)
class Cell:
    """What is shown, the interval beneath it, the number to sort by, and whether it leads its column."""

    text: str
    interval: str = ""
    key: float | None = None
    best: bool = False


@dataclass(frozen=True)
class Line:
    """One detector's row."""

    entry: Entry
    cells: tuple[Cell, ...]


def columns(week: str, day: str) -> tuple[Column, ...]:
    """Columns of the table, for the two budgets in words."""
    best = "Event recall with the best threshold that keeps the budget on the test span (compares rankings)"
    shipped = "Event recall with the threshold calibrated beforehand (what a user gets)"
    recalls = [
        Column(f"Event recall at {asked}", title, "mean of kinds", about)
        for asked in (week, day)
        for title, about in (("best", best), ("shipped", shipped))
    ]
    false_alerts = "False-alert episodes on the test span at the threshold shipped for the tighter budget"
    return (
        *recalls,
        Column("False alerts", "realised", f"asked: {week}", false_alerts, False),
        Column(
            "Ranking of minutes", "AUC-PR", "pooled", "Area under the precision-recall curve of all minutes"
        ),
        Column(
            "Ranking of minutes",
            "VUS-PR",
            "mean of users",
            "Volume under the range-aware precision-recall surface",
        ),
        Column(
            "Delay",
            "to detect",
            "median",
            f"At the threshold shipped for {week}, over the detector's own finds",
            False,
        ),
        Column("Cost", "time", "per step", "Scoring time of one user in one tick", False),
        Column("Cost", "state", "per user", "What the scorer remembers of one user", False),
    )


def groups(table: Sequence[Column]) -> list[tuple[str, int]]:
    """Neighbouring columns of one group: its name and how many they are."""
    return [
        (name, len(list(members))) for name, members in itertools.groupby(table, lambda column: column.group)
    ]


def lines(board: Sequence[Entry], chance: Entry | None) -> list[Line]:
    """Rows in the board's order; the best figure of each column among detectors is marked."""
    table = [[read(entry) for read in _READERS] for entry in board]
    for place, rising in enumerate(column.rising for column in columns("", "")):
        keys = [row[place].key for row in table]
        known = [key for key in keys if key is not None]
        # A single detector leads nothing, and fewest false alerts or least state isn't a merit by itself.
        if len(known) < 2 or place in (4, 9):
            continue
        lead = max(known) if rising else min(known)
        for row in table:
            row[place] = Cell(row[place].text, row[place].interval, row[place].key, row[place].key == lead)
    marked = [Line(entry, tuple(row)) for entry, row in zip(board, table, strict=True)]
    return marked + ([Line(chance, tuple(read(chance) for read in _READERS))] if chance else [])


def _recall(tier: str, choice: str) -> Callable[[Entry], Cell]:
    def read(entry: Entry) -> Cell:
        return _cell(entry.estimate(*entry.point(tier, choice), "recall", bounds=RECALL_BOUNDS))

    return read


def _false_alerts(entry: Entry) -> Cell:
    return _cell(entry.estimate(*entry.point("critical", "shipped"), "false_alerts"))


def _measure(name: str) -> Callable[[Entry], Cell]:
    def read(entry: Entry) -> Cell:
        return _cell(entry.estimate("test", name, bounds=RECALL_BOUNDS))

    return read


def _cell(estimate: Estimate) -> Cell:
    return Cell(quantity.number(estimate.value), estimate.interval, estimate.value)


def _time(entry: Entry) -> Cell:
    seconds = entry.mean(*entry.point("critical", "shipped"), "time_to_detect", "median_s")
    return Cell(quantity.duration(seconds), key=seconds)


def step_us(entry: Entry) -> float | None:
    """Microseconds of scoring per user and tick."""
    stated, speed = entry.mean("timing", "us_per_step"), entry.mean("timing", "steps_per_s")
    if stated is not None:
        return stated
    return 1e6 / speed if speed else None


def _cost(entry: Entry) -> Cell:
    cost = step_us(entry)
    return Cell(MISSING if cost is None else f"{quantity.number(cost)} µs", key=cost)


def _state(entry: Entry) -> Cell:
    size = entry.mean("state_bytes_per_user")
    return Cell(quantity.storage(size), key=size)


_READERS: tuple[Callable[[Entry], Cell], ...] = (
    _recall("critical", "best"),
    _recall("critical", "shipped"),
    _recall("warning", "best"),
    _recall("warning", "shipped"),
    _false_alerts,
    _measure("auc_pr"),
    _measure("vus_pr"),
    _time,
    _cost,
    _state,
)
