"""Deliveries that came twice: dropped by ``event_id`` alone, within a stated horizon."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from seqdetect.events import MICROSECONDS, Tally

HORIZON_S: Final = 600
"""Two events with one id and times at most this far apart are one event. Rows without an id are never dropped."""


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
        order = np.lexsort((np.arange(len(ids)), ids))
        same = (ids[order][1:] == ids[order][:-1]) & (
            np.abs(times[order][1:] - times[order][:-1]) <= HORIZON_S * MICROSECONDS
        )
        repeated = np.zeros(len(ids), bool)
        repeated[order[1:][same]] = True
        keep = np.ones(len(batch), bool)
        keep[np.flatnonzero(named)] = ~repeated[len(self.ids) :]
        dropped = int((~keep).sum())
        if dropped:
            self.tally.reject("duplicate", "event", "an event_id came twice", dropped)
        recent = ~repeated
        if closed is not None:
            recent &= times >= closed - HORIZON_S * MICROSECONDS
        self.ids, self.times = ids[recent], times[recent]
        return batch[keep]
