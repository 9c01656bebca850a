"""Scores by user in time order: who scored what between two moments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from seqdetect.metrics.grid import codes, microseconds
from seqdetect.metrics.segments import Floats, Ints


@dataclass(frozen=True)
class Ticks:
    """Scores sorted by (user, tick end); the rows of user ``u`` are ``bounds[u]`` to ``bounds[u + 1]``."""

    users: tuple[str, ...]
    bounds: Ints
    time_us: Ints
    score: Floats

    @classmethod
    def of(cls, scores: pd.DataFrame, users: tuple[str, ...] | None = None) -> Ticks:
        """Index a scores frame (user_id, timestamp, score); rows of users outside ``users`` are left out."""
        names = users or tuple(sorted(scores["user_id"].astype(str).unique()))
        user, time_us = codes(names, scores["user_id"]), microseconds(scores["timestamp"])
        order = np.lexsort((time_us, user))
        order = order[np.searchsorted(user[order], 0) :]
        bounds = np.searchsorted(user[order], np.arange(len(names) + 1)).astype(np.int64)
        score = scores["score"].to_numpy(dtype=np.float64)[order]
        return cls(names, bounds, time_us[order], score)

    def between(self, user: int, after_us: Ints, until_us: Ints) -> tuple[Ints, Ints]:
        """First row and one past the last of ``user``'s ticks in each (after, until]; none for user -1."""
        if user < 0:
            nothing = np.zeros(after_us.shape, dtype=np.int64)
            return nothing, nothing
        low, high = int(self.bounds[user]), int(self.bounds[user + 1])
        own = self.time_us[low:high]
        first, stop = (np.searchsorted(own, times, side="right") for times in (after_us, until_us))
        return low + first, low + stop

    def peaks(self, user: int, after_us: Ints, until_us: Ints) -> Floats:
        """Largest score of ``user`` in each (after, until], minus infinity where there is none."""
        low, high = self.between(user, after_us, until_us)
        padded = np.append(self.score[low.min() : high.max()], -np.inf)
        pairs = np.stack([low, high], axis=1).ravel() - low.min()
        return np.where(high > low, np.maximum.reduceat(padded, pairs)[::2], -np.inf)
