"""What goes wrong between a gateway and the scorer: wrong clocks, what is sent twice, disorder, a gateway that is down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from seqdetect.events import MICROSECONDS

HOUR_US: Final = 3600 * MICROSECONDS
DISORDER_S: Final = 6.0
"""Events arrive up to this much later than they are stamped, each by chance."""
SKEWS_S: Final = (4.0, -6.0, 3.0)
"""Constant errors of some users' clocks, within the lateness."""
WRONG_S: Final = (120.0, -45.0, 86_400.0)
"""Errors of three clocks that break for some hours: beyond what can be put right."""
WRONG_HOURS: Final = (2.0, 5.0)
DUPLICATES: Final = 0.02
"""Share of events that are sent again within two minutes, with the same id."""
REPLAYED_S: Final = 300
"""Length of three stretches that are sent again as a whole, right after they were sent."""
DOWN_MINUTES: Final = (10.0, 45.0)
"""Three times the gateway is down for between so long; what users would have sent then is lost."""


@dataclass(frozen=True)
class Arrivals:
    """Events in the order they are posted. ``arrival [n]`` is when, in microseconds of the simulated time."""

    table: pa.Table
    arrival: NDArray[np.int64]
    clean: pa.Table
    """The events that were meant: each once, with right times, without those lost while the gateway was down."""
    told: dict[str, int]
    """How many events each kind of trouble hit."""


def disturbed(week: pa.Table, rng: np.random.Generator) -> Arrivals:
    """``week`` as it arrives."""
    rows = week.num_rows
    week = week.append_column("event_id", pa.array([f"e{row:08d}" for row in range(rows)]))
    time = week.column("timestamp").cast(pa.int64()).to_numpy()
    down = _windows(time, 3, tuple(minutes / 60 for minutes in DOWN_MINUTES), rng)
    kept = ~_inside(time, down)
    week, time = week.filter(pa.array(kept)), time[kept]
    users = np.array(week.column("user_id").to_pylist(), object)
    stamped, skewed, wrong = _clocks(time, users, rng)
    arrival = time + (rng.uniform(0, DISORDER_S, len(time)) ** 2 / DISORDER_S * MICROSECONDS).astype(np.int64)
    again, later = _again(time, arrival, rng)
    place = week.column_names.index("timestamp")
    sent = week.set_column(
        place, week.schema.field("timestamp"), pa.array(stamped).cast(week.schema.field("timestamp").type)
    )
    table = pa.concat_tables([sent, sent.take(pa.array(again))])
    arrivals = np.concatenate((arrival, later))
    order = np.argsort(arrivals, kind="stable")
    told = {
        "lost while the gateway was down": int((~kept).sum()),
        "stamped by a clock a few seconds off": skewed,
        "stamped by a broken clock": wrong,
        "sent twice": len(again),
    }
    return Arrivals(table.take(pa.array(order)), arrivals[order], week, told)


def _clocks(
    time: NDArray[np.int64], users: NDArray[np.object_], rng: np.random.Generator
) -> tuple[NDArray[np.int64], int, int]:
    """Times as stamped [n], how many are a few seconds off, and how many are wrong by more."""
    stamped = time.copy()
    names = sorted(set(users.tolist()))
    chosen = rng.choice(len(names), size=len(SKEWS_S) + len(WRONG_S), replace=False)
    skewed = wrong = 0
    for place, skew in zip(chosen, SKEWS_S, strict=False):
        own = users == names[place]
        stamped[own] += round(skew * MICROSECONDS)
        skewed += int(own.sum())
    for place, skew in zip(chosen[len(SKEWS_S) :], WRONG_S, strict=True):
        own = (users == names[place]) & _inside(
            time, _windows(time[users == names[place]], 1, WRONG_HOURS, rng)
        )
        stamped[own] += round(skew * MICROSECONDS)
        wrong += int(own.sum())
    return stamped, skewed, wrong


def _again(
    time: NDArray[np.int64], arrival: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows that are sent again, and when."""
    single = np.flatnonzero(rng.random(len(time)) < DUPLICATES)
    later = arrival[single] + (rng.uniform(1, 120, len(single)) * MICROSECONDS).astype(np.int64)
    rows, when = [single], [later]
    for start, _ in _windows(time, 3, (1.0, 1.0), rng):
        stretch = np.flatnonzero((time >= start) & (time < start + REPLAYED_S * MICROSECONDS))
        rows.append(stretch)
        when.append(np.full(len(stretch), start + (REPLAYED_S + 10) * MICROSECONDS))
    return np.concatenate(rows), np.concatenate(when)


def _windows(
    time: NDArray[np.int64], count: int, hours: tuple[float, ...], rng: np.random.Generator
) -> list[tuple[int, int]]:
    """``count`` stretches of ``hours`` (least, most) that begin with an event, in microseconds."""
    found = []
    for _ in range(count):
        start = int(time[rng.integers(0, max(1, int(len(time) * 0.9)))])
        found.append((start, start + round(rng.uniform(*hours) * HOUR_US)))
    return found


def _inside(time: NDArray[np.int64], windows: list[tuple[int, int]]) -> NDArray[np.bool_]:
    hit = np.zeros(len(time), bool)
    for start, end in windows:
        hit |= (time >= start) & (time < end)
    return hit


def reference(clean: pa.Table) -> pa.Table:
    """The same events in time order, as a run that nothing disturbed would see them."""
    return clean.take(pc.sort_indices(clean, sort_keys=[("timestamp", "ascending")]))
