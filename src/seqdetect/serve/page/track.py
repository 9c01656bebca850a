"""One model's users in one part of the input, by their rows of the key table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from seqdetect.score.engine import Scored
from seqdetect.sequence.requests import Keys
from seqdetect.serve.page.hour import Hour
from seqdetect.serve.page.watch import Watched


@dataclass
class Track:
    """What the last hour brought, and which rows are watched."""

    keys: Keys
    hour: Hour = field(default_factory=Hour)
    _ring: NDArray[np.int16] = field(default_factory=lambda: np.zeros(0, np.int16))
    """[users] ring of a row's user, -1 for none."""
    _placed: dict[int, tuple[Watched, int]] = field(default_factory=dict)
    """By ring: who has it, and the row."""

    def place(self, watched: Iterable[Watched]) -> None:
        """Find the rows of ``watched``, which are all that there are; who is not known here has none."""
        self._ring[[row for _, row in self._placed.values()]] = -1
        self._placed = {}
        for one in watched:
            row = self.keys.find(one.who[1])
            if row is not None:
                self._grow(row + 1)
                self._ring[row] = one.ring
                self._placed[one.ring] = (one, row)

    def watched(self, scored: Scored) -> tuple[NDArray[np.int64], NDArray[np.int16]]:
        """The rows [n] of ``scored`` that are of watched users, and their rings [n]."""
        self._grow(len(scored.names))
        ring = self._ring[scored.user]
        for found in set(ring[ring >= 0].tolist()):
            one, row = self._placed[found]
            if scored.names[row] != one.who[1]:  # the row is somebody else's by now
                ring[ring == found] = -1
        rows = np.flatnonzero(ring >= 0)
        return rows, ring[rows]

    def _grow(self, users: int) -> None:
        missing = users - len(self._ring)
        if missing > 0:
            self._ring = np.pad(self._ring, (0, missing + users // 2), constant_values=-1)
