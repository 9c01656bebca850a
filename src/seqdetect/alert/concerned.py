"""Which scored steps may concern an alert: hot ones, and those that are near enough to hold one open."""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

import numpy as np

from seqdetect.alert.payload import Form
from seqdetect.alert.prices import Prices
from seqdetect.score.engine import LEVELS, Scored


class Step(NamedTuple):
    """A scored step. No two have the same tick and user."""

    tick: int
    """Its end, microseconds."""
    user: str
    row: int
    cost: int | None
    """Millionths of a millionth of a USD; None where a price is not known."""


def concerned(
    scored: Scored, opened: Container[str], holds: float, prices: Prices | None, tick_us: int
) -> list[Step]:
    """Hot steps, and those from the score ``holds`` on of users who are hot too or in ``opened``; by tick and user."""
    hot = list(scored.causes)
    near = np.flatnonzero((scored.score >= holds) & (scored.level == 0)).tolist()
    names = [scored.names[user] for user in scored.user[hot + near].tolist()]
    begins = set(names[: len(hot)])
    kept = [
        (name, row)
        for place, (name, row) in enumerate(zip(names, hot + near, strict=True))
        if place < len(hot) or name in opened or name in begins
    ]
    rows = [row for _, row in kept]
    costs = [None] * len(rows) if prices is None else prices.costs(scored, rows, tick_us)
    ticks = scored.tick[rows].tolist()
    return sorted(
        Step(tick, name, row, cost) for tick, (name, row), cost in zip(ticks, kept, costs, strict=True)
    )


def holding(form: Form, hysteresis: float) -> float:
    """The score from which on a step holds an alert open: at least half the warning threshold, lest none ever ends."""
    lowest = min(
        (value for tier in LEVELS[1:] if (value := form.threshold(tier)) is not None), default=np.inf
    )
    return float(lowest - min(hysteresis, abs(lowest) / 2.0))
