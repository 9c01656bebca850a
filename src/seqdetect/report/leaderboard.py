"""The leaderboard: one row per detector, the random scorer last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from seqdetect.report import quantity
from seqdetect.report.entry import Entry
from seqdetect.report.quantity import MISSING, Estimate

RECALL_BOUNDS = (0.0, 1.0)


@dataclass(frozen=True)
class Column:
    """A column's heading, unit and explanation; ``rising`` says that more is better."""

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
    best = "with the best threshold that keeps the budget on the test span (compares rankings)"
    shipped = "with the threshold calibrated beforehand (what a user gets)"
    return (
        Column(f"Recall, {week}, best", "macro mean over kinds", f"Event recall {best}"),
        Column(f"Recall, {week}, shipped", "macro mean over kinds", f"Event recall {shipped}"),
        Column(f"Recall, {day}, best", "macro mean over kinds", f"Event recall {best}"),
        Column(f"Recall, {day}, shipped", "macro mean over kinds", f"Event recall {shipped}"),
        Column("False alerts realised", f"per user-week; asked: {week}", "At the shipped threshold", False),
        Column("AUC-PR", "pooled minutes", "Area under the precision-recall curve"),
        Column("VUS-PR", "mean over users", "Volume under the range-aware precision-recall surface"),
        Column("Time to detect", "median", f"At the shipped threshold for {week}, over its own finds", False),
        Column("Cost", "µs per step", "Scoring time of one user in one tick", False),
        Column("State", "per user", "What the scorer remembers of one user", False),
    )


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
