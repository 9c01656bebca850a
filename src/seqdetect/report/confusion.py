"""What the incidents found were taken for: a heat table and its sum. Counts are pooled over seeds."""

from __future__ import annotations

from collections import Counter

from seqdetect.report.entry import Entry, at
from seqdetect.report.heat import Share, Table
from seqdetect.score.kind import UNKNOWN


def table(entry: Entry, tier: str, title: str) -> Table | None:
    """True kind × guess at the tier's shipped threshold; None where nothing was ever named."""
    counts: dict[str, Counter[str]] = {}
    for seed in entry.all("test", "confusion", tier, "counts"):
        for kind, guesses in seed.items():
            counts.setdefault(kind, Counter()).update(guesses)
    columns = tuple(sorted({guess for row in counts.values() for guess in row}, key=_order))
    if set(columns) <= {UNKNOWN}:
        return None
    return Table(
        title,
        columns,
        tuple((kind, _shares(counts[kind], columns), None) for kind in sorted(counts, key=_order)),
    )


def _shares(row: Counter[str], columns: tuple[str, ...]) -> tuple[Share | None, ...]:
    return tuple(Share(row[guess], row.total()) if row[guess] else None for guess in columns)


def _order(kind: str) -> tuple[bool, bool, str]:
    """Attacks, then benign kinds, what is unknown at the end."""
    return kind == UNKNOWN, kind.startswith("benign_"), kind


def accuracy(entry: Entry, tier: str) -> Share | None:
    """Rows named right among those found whose kind the detector knows; None without any."""
    seeds = entry.all("test", "confusion", tier)
    known = sum(int(at(seed, "known") or 0) for seed in seeds)
    return Share(sum(int(at(seed, "right") or 0) for seed in seeds), known) if known else None
