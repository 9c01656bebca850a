"""Put an attack's requests among the user's own, and say from when to when it was."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqdetect.attack import Outcome
from seqdetect.attack.arrivals import scattered
from seqdetect.attack.usual import own_events, usual


def woven(events: pd.DataFrame, rows: pd.DataFrame, end: int | None = None) -> Outcome:
    """``events`` with ``rows`` added in time order, and one incident per user of ``rows``.

    ``end`` (microseconds) is given where the change is for good; else an incident ends after its last row.
    """
    return Outcome(merged(events, rows), labelled(rows, end))


def merged(events: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """``events`` with ``rows`` added; both in time order, and so is the result."""
    if rows.empty:
        return events
    together = pd.concat([events, rows[events.columns]], ignore_index=True)
    order = np.argsort(together["timestamp"].to_numpy(dtype=np.int64), kind="stable")
    return together.take(order).reset_index(drop=True)


def labelled(touched: pd.DataFrame, end: int | None = None) -> pd.DataFrame:
    """Incidents ``user_id, start, end`` (microseconds, half open) over each user's ``touched`` events."""
    times = touched["timestamp"].to_numpy(dtype=np.int64)
    codes, users = pd.factorize(touched["user_id"], sort=True)
    first = np.full(len(users), np.iinfo(np.int64).max)
    last = np.full(len(users), np.iinfo(np.int64).min)
    np.minimum.at(first, codes, times)
    np.maximum.at(last, codes, times)
    ends = last + 1 if end is None else np.full_like(last, end)
    return pd.DataFrame({"user_id": users.astype(str), "start": first, "end": ends})


def overwritten(events: pd.DataFrame, places: NDArray[np.int64], rows: pd.DataFrame) -> pd.DataFrame:
    """A copy of ``events`` in which row ``places[i]`` holds row i of ``rows``; times must be the same."""
    columns: Mapping[str, pd.Series] = {name: events[name].copy() for name in events.columns}
    for name, column in columns.items():
        new = rows[name].array
        if not new.equals(events[name].array[places]):
            column.iloc[places] = new
    return pd.DataFrame(columns)


def inside(events: pd.DataFrame, start: int, end: int) -> NDArray[np.int64]:
    """Positions of the events in [start, end) microseconds; ``events`` in time order."""
    times = events["timestamp"].to_numpy(dtype=np.int64)
    first, stop = np.searchsorted(times, [start, end])
    return np.arange(first, stop, dtype=np.int64)


def lively(
    events: pd.DataFrame, user: str, window: tuple[int, int], least: int, rng: np.random.Generator
) -> pd.DataFrame:
    """``events`` with at least ``least`` of them in ``window`` (start, end; microseconds), added as ``user``.

    For attacks that change what is sent: on a silent stretch they would otherwise change nothing.
    """
    short = least - len(inside(events, *window))
    if short <= 0:
        return events
    own = usual(own_events(events, user), window[0])
    return merged(events, own.draw(scattered(short, *window, rng), rng))
