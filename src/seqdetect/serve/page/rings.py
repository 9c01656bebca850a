"""The last steps of a fixed number of users, in memory of a fixed size."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from seqdetect.score.engine import VOLUME, Scored

STEP: Final = np.dtype(
    [
        ("tick", "<i8"),  # the tick's end, microseconds
        ("score", "<f4"),
        ("level", "i1"),  # index into LEVELS
        ("volume", "<f4", (len(VOLUME),)),  # log(1 + requests, prompt and completion tokens)
        ("expected", "<f4", (len(VOLUME),)),  # the same as the bundle expected them
    ]
)
"""One step as it is kept: 37 bytes."""


class Rings:
    """``users`` rings of ``steps`` steps each; a full one loses its oldest."""

    def __init__(self, users: int, steps: int) -> None:
        self._kept: NDArray[np.void] = np.zeros((users, steps), STEP)
        self._count: NDArray[np.int64] = np.zeros(users, np.int64)

    def clear(self, ring: int) -> None:
        self._count[ring] = 0

    def put(self, ring: NDArray[Any], steps: NDArray[np.void]) -> None:
        """Add each of ``steps`` [n] to the ring of that number; those of one ring come in order."""
        if not len(ring):
            return
        order = np.argsort(ring, kind="stable")
        own = ring[order]
        first = np.flatnonzero(np.append(True, own[1:] != own[:-1]))
        rank = np.arange(len(own)) - np.repeat(first, np.diff(np.append(first, len(own))))
        size = self._kept.shape[1]
        self._kept[own, (self._count[own] + rank) % size] = steps[order]
        self._count += np.bincount(own, minlength=len(self._count))

    def steps(self, ring: int) -> NDArray[np.void]:
        """A copy of what is in the ring, oldest first."""
        count, size = int(self._count[ring]), self._kept.shape[1]
        if count <= size:
            return self._kept[ring, :count].copy()
        return np.roll(self._kept[ring], -(count % size))


def records(scored: Scored, rows: NDArray[np.int64]) -> NDArray[np.void]:
    """``STEP`` records of ``rows`` [n] of scored steps."""
    out = np.zeros(len(rows), STEP)
    for name in STEP.names or ():
        out[name] = getattr(scored, name)[rows]
    return out
