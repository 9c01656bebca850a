"""Which networks and user agents were met before: by 16-bit hash the minute of the first time, in bounded memory."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

WEEK: Final = 7 * 24 * 60
"""Minutes in a week; weeks are counted from the epoch."""
HASHES: Final = 1 << 16
NEVER: Final = np.uint32(2**32 - 1)


class Met:
    """When each hash was met first. What does not come for one whole week is forgotten with the week before that."""

    def __init__(self) -> None:
        self.week = -1
        self.first_met: NDArray[np.uint32] = np.full((2, HASHES), NEVER)
        """[2, HASHES] the minute of the first time, of those met last week and of those met in this one."""

    def note(self, values: NDArray[np.uint16], minute: NDArray[np.int64]) -> None:
        """Take in ``values`` [n] as of ``minute`` [n], of no earlier week than those before."""
        for number in range(int(minute.min()) // WEEK, int(minute.max()) // WEEK + 1):
            which = (
                slice(None)
                if number == minute.min() // WEEK == minute.max() // WEEK
                else minute // WEEK == number
            )
            self._note(number, values[which], minute[which].astype(np.uint32))

    def _note(self, week: int, values: NDArray[np.uint16], minute: NDArray[np.uint32]) -> None:
        if not len(values):
            return
        if week > self.week:
            passed = np.full((2, HASHES), NEVER)
            if week == self.week + 1:
                passed[0] = self.first_met[1]
            self.first_met, self.week = passed, week
        last_week, this_week = self.first_met
        fresh = minute < this_week[values]
        if fresh.any():  # seldom, once a stream has begun
            values, minute = values[fresh], minute[fresh]
            np.minimum.at(this_week, values, np.minimum(minute, last_week[values]))

    def first(self, values: NDArray[np.uint16]) -> NDArray[np.int64]:
        """The minute in which each of ``values`` [n], all of them met, was met first."""
        last_week, this_week = self.first_met
        return np.asarray(np.minimum(last_week[values], this_week[values]), np.int64)

    @property
    def fill(self) -> float:
        """Share of the hashes that are taken: the chance that one which is met for the first time seems known."""
        return float((self.first_met.min(axis=0) != NEVER).mean())

    def memory(self) -> NDArray[np.int64]:
        """[3, hashes met] their numbers and minutes; in the first column the week."""
        place = np.flatnonzero(self.first_met.min(axis=0) != NEVER)
        rows = np.concatenate((place[None], self.first_met[:, place].astype(np.int64)))
        return np.concatenate((np.full((3, 1), self.week), rows), axis=1)

    def recall(self, memory: NDArray[np.int64]) -> None:
        """Take up what ``memory`` gave."""
        self.week = int(memory[0, 0])
        self.first_met[:] = NEVER
        self.first_met[:, memory[0, 1:]] = memory[1:, 1:]
