"""Deliveries that came twice: dropped by ``event_id`` alone, of the same user, within a stated horizon."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from seqdetect.events import MICROSECONDS, Tally

HORIZON_S: Final = 600
"""An event whose time is at most this far from the latest one of its id came twice. Rows without an id stay."""


class Duplicates:
    """Remembers the ids of the last ``HORIZON_S`` seconds of event time."""

    def __init__(self, tally: Tally) -> None:
        self.ids: NDArray[np.uint64] = np.zeros(0, np.uint64)
        self.times: NDArray[np.int64] = np.zeros(0, np.int64)
        self.tally = tally

    def push(self, batch: NDArray[np.void], closed: int | None) -> NDArray[np.void]:
        """``batch`` (requests in arrival order) without repeated ones; ids long before ``closed`` are forgotten."""
        named = batch["event_id"] != 0
        if not named.any():
            return batch
        ids = np.concatenate((self.ids, batch["event_id"][named]))
        times = np.concatenate((self.times, batch["time"][named]))
        order = np.argsort(ids, kind="stable")
        same = ids[order][1:] == ids[order][:-1]
        latest = _latest_so_far(times[order], np.concatenate(([True], ~same)))
        close = np.abs(times[order][1:] - latest[:-1]) <= HORIZON_S * MICROSECONDS
        repeated = np.zeros(len(ids), bool)
        repeated[order[1:][same & close]] = True
        keep = np.ones(len(batch), bool)
        keep[np.flatnonzero(named)] = ~repeated[len(self.ids) :]
        dropped = int((~keep).sum())
        if dropped:
            self.tally.reject("duplicate", "event", "an event_id came twice", dropped)
        last = np.concatenate((~same, [True]))
        if closed is not None:
            last &= latest >= closed - HORIZON_S * MICROSECONDS
        self.ids, self.times = ids[order][last], latest[last]
        return batch[keep]

    def forget_ahead(self, latest: int | None, held: NDArray[np.uint64]) -> None:
        """Forget ids ahead of ``latest`` (microseconds) that are not among those ``held``: their events were dropped.

        Time never comes to pass a clock that is wrong by years, and ids of such times would pile up.
        """
        ahead = np.ones(len(self.ids), bool) if latest is None else self.times > latest
        if ahead.any():
            keep = ~ahead | np.isin(self.ids, held)
            self.ids, self.times = self.ids[keep], self.times[keep]


def _latest_so_far(times: NDArray[np.int64], first: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The running maximum of ``times`` [n] within each group; ``first`` [n] marks where a group begins."""
    distinct, rank = np.unique(times, return_inverse=True)
    floor = (np.cumsum(first) - 1) * len(distinct)
    highest: NDArray[np.int64] = distinct[np.maximum.accumulate(rank + floor) - floor]
    return highest
