"""Tables of shares: who finds which kind, and whom benign confounders fool. Counts are pooled over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seqdetect.attack import STRENGTHS
from seqdetect.report.entry import Entry, at


@dataclass(frozen=True)
class Share:
    """``hits`` of ``rows``; ``value`` is their ratio."""

    hits: int
    rows: int

    @property
    def value(self) -> float:
        return self.hits / self.rows


@dataclass(frozen=True)
class Table:
    """Shares by row and column; a cell is None where nothing was counted. Last in a row is its mean."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Share | None, ...], float | None], ...]


def recall_by_kind(board: Sequence[Entry], tier: str, choice: str, title: str) -> Table | None:
    """Detector × attack kind; None where no detector has such a measurement."""
    return _by_detector(board, (tier, choice), ("recall", "kinds"), title)


def benign_by_kind(board: Sequence[Entry], tier: str, choice: str, title: str) -> Table | None:
    """Detector × benign kind: the share of confounders that alerted."""
    return _by_detector(board, (tier, choice), ("benign",), title)


def _by_detector(
    board: Sequence[Entry], point: tuple[str, str], path: tuple[str, ...], title: str
) -> Table | None:
    found = {entry.name: entry.all(*entry.point(*point), *path) for entry in board}
    kinds = tuple(sorted({kind for tables in found.values() for table in tables for kind in table}))
    if not kinds:
        return None
    rows = []
    for name, tables in found.items():
        shares = tuple(_pooled([table.get(kind) for table in tables]) for kind in kinds)
        if any(shares):
            rows.append((name, shares, _mean(shares)))
    return Table(title, kinds, tuple(rows))


def recall_by_strength(entry: Entry, tier: str, choice: str, title: str) -> Table | None:
    """Attack kind × strength for one detector; None where incidents carry no strength."""
    tables: list[Mapping[str, Any]] = entry.all(*entry.point(tier, choice), "recall", "strengths")
    names = {strength for table in tables for kind in table.values() for strength in kind}
    columns = tuple(sorted(names, key=_strength_order))
    kinds = sorted({kind for table in tables for kind in table})
    if not kinds:
        return None
    rows = []
    for kind in kinds:
        shares = tuple(_pooled([at(table, kind, strength) for table in tables]) for strength in columns)
        rows.append((kind, shares, _mean(shares)))
    return Table(title, columns, tuple(rows))


def _strength_order(name: str) -> tuple[int, str]:
    known: tuple[str, ...] = STRENGTHS
    return known.index(name) if name in known else len(known), name


def _pooled(cells: Sequence[Mapping[str, Any] | None]) -> Share | None:
    known = [cell for cell in cells if cell]
    rows = sum(int(cell["rows"]) for cell in known)
    hits = sum(int(cell["found"] if "found" in cell else cell["alerted"]) for cell in known)
    return Share(hits, rows) if rows else None


def _mean(shares: Sequence[Share | None]) -> float | None:
    known = [share.value for share in shares if share]
    return sum(known) / len(known) if known else None
