"""What everybody's requests look like, minute by minute over the last hour and a quarter: integer counts alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from seqdetect.alert.met import Met
from seqdetect.events import MICROSECONDS
from seqdetect.score.engine import Scored
from seqdetect.sequence.requests import REQUEST

MINUTE_US: Final = 60 * MICROSECONDS
RECENT: Final = 15
"""Minutes that a surge's present is looked at over, at most."""
APART: Final = 15
"""Minutes before a surge's first alert that count neither as before nor as since: what tips the evidence slowly has
begun by then."""
USUAL: Final = 45
"""Minutes of the time before."""
MINUTES: Final = RECENT + APART + USUAL + 1
SIZES: Final = 48
"""Classes of token counts, two per doubling; the last one is open."""
JUDGED: Final = 60
"""Minutes for which a surge's evidence is looked at."""
NEW: Final = APART + JUDGED
"""Minutes for which a network or a user agent is new: what came with a surge does not become known meanwhile."""
FULL: Final = 0.5
_HALF: Final = 2.0**-0.5
BINS: Final = {
    "networks": 4096,
    "user_agents": 256,
    "endpoints": 128,
    "prompt_sizes": SIZES,
    "completion_sizes": SIZES,
    "answers": 4,
    "new_networks": 2,
    "new_user_agents": 2,
}
"""Counts by hash of network, user agent and endpoint (the first place is that of the unknown), by class of size, by
answer: unknown, fine, the client's error (4xx), the server's (5xx), and by whether a network or a user agent is new."""
_EDGES: Final = tuple(accumulate(BINS.values(), initial=0))
PLACES: Final = {name: slice(*edges) for name, edges in zip(BINS, pairwise(_EDGES), strict=True)}
WIDTH: Final = _EDGES[-1]
HASHED: Final = {"network": "networks", "agent": "user_agents", "endpoint": "endpoints"}
_MET: Final = {"network": "new_networks", "agent": "new_user_agents"}


@dataclass(frozen=True)
class Window:
    """The counts of some minutes, of which the last one may be a part."""

    minutes: float
    ticks: float
    counts: NDArray[np.int64]
    """[WIDTH] requests, by ``PLACES``."""
    tokens: NDArray[np.int64]
    """[2] prompt and completion tokens."""
    users: NDArray[np.int64]
    """[2] active users of each tick, summed over the ticks, and users never seen before."""

    def of(self, name: str) -> NDArray[np.int64]:
        """The counts of one of ``BINS``."""
        return self.counts[PLACES[name]]

    @property
    def requests(self) -> int:
        return int(self.of("answers").sum())


class Crowd:
    """A ring of the last ``MINUTES`` minutes. Its sums are exact, however the stream is cut into batches.

    ``begin`` shows it a batch, ``note`` takes in the steps of whole ticks with what stands behind them, and ``rest``
    what is left. Requests are counted when somebody asks or the batch ends, all at once: one scattered addition.
    """

    def __init__(self, tick_us: int) -> None:
        self._tick = tick_us
        self.first: int | None = None
        """Number of the minute in which anything was seen first."""
        self.newest = -1
        self.counts: NDArray[np.uint32] = np.zeros(MINUTES * WIDTH, np.uint32)
        self.tokens: NDArray[np.int64] = np.zeros((MINUTES, 2), np.int64)
        self.users: NDArray[np.int64] = np.zeros((MINUTES, 2), np.int64)
        self._requests: NDArray[np.void] = np.zeros(0, REQUEST)
        self._counted = self._noted = 0
        """Up to which time (microseconds) requests are counted, and up to which they may be."""
        self.met = {name: Met() for name in _MET}
        self._start = -1
        self._before = self.between(0, 0)

    def begin(self, scored: Scored) -> None:
        """Go on with the requests behind ``scored``, once those of the batch before are all counted."""
        self._requests = scored.requests
        self._counted = 0

    def note(self, ticks: NDArray[np.int64], before: NDArray[np.int64]) -> None:
        """Take in the steps of whole ticks, in order of time, with what stands behind them.

        ``ticks`` are their ends and ``before`` those of their users' steps before them (microseconds, [n]); 0 stands
        for a user who was never seen before.
        """
        if not len(ticks):
            return
        self._noted = int(ticks[-1])
        minute = (ticks - self._tick) // MINUTE_US
        self._reach(int(minute[0]), int(minute[-1]))
        kept = minute > self.newest - MINUTES
        for column, which in enumerate((kept, kept & (before == 0))):
            self.users[:, column] += np.bincount(minute[which] % MINUTES, minlength=MINUTES)

    def rest(self) -> None:
        """Count what is left of the batch."""
        self._count(self._requests if self._counted == 0 else self._between(self._counted, None))
        self._requests = self._requests[:0]

    def between(self, start: int, end: int) -> Window:
        """The minutes from number ``start`` on up to the time ``end`` (microseconds), as far as they are in the ring."""
        self._catch_up()
        first = max(start, self.newest - MINUTES + 1, self.first or 0)
        last = min((end - 1) // MINUTE_US, self.newest)
        rows = np.arange(first, last + 1) % MINUTES
        counts = self.counts.reshape(MINUTES, WIDTH)[rows].sum(axis=0, dtype=np.int64)
        length = 0 if self.first is None else max(0, end - first * MINUTE_US)
        return self._window(length, counts, self.tokens[rows].sum(axis=0), self.users[rows].sum(axis=0))

    def _window(self, length: int, *sums: NDArray[np.int64]) -> Window:
        return Window(length / MINUTE_US, length / self._tick, *sums)

    def before(self, start: int) -> Window:
        """The usual, as it was before a surge whose first alert began at ``start`` (microseconds).

        It is kept from the first time that it is asked for, since the ring forgets it while the surge goes on.
        """
        if self._start != start:
            minute = start // MINUTE_US
            self._start = start
            self._before = self.between(minute - APART - USUAL, (minute - APART) * MINUTE_US)
        return self._before

    def since(self, start: int, now: int) -> Window:
        """The present of a surge that is open since ``start``, at the end ``now`` of a tick: what is recent of it."""
        return self.between(max(start // MINUTE_US, (now - 1) // MINUTE_US - RECENT + 1), now)

    def full(self) -> list[str]:
        """Of what is new or known, that of which most hashes are taken: then what is new would seem known."""
        return [bins for name, bins in _MET.items() if self.met[name].fill > FULL]

    def memory(self) -> dict[str, NDArray[Any]]:
        """All that it knows, between two batches; of the counts only those above zero."""
        place = np.flatnonzero(self.counts)
        return {
            "since": np.array([-1 if self.first is None else self.first, self.newest, self._start]),
            "places": place,
            "counts": self.counts[place],
            "tokens": self.tokens,
            "users": self.users,
            "before_us": np.array([round(self._before.minutes * MINUTE_US)]),
            "before_counts": self._before.counts,
            "before_totals": np.stack((self._before.tokens, self._before.users)),
            **{f"met_{name}": met.memory() for name, met in self.met.items()},
        }

    def recall(self, memory: Mapping[str, NDArray[Any]]) -> None:
        """Take up what ``memory`` gave."""
        for name, met in self.met.items():
            met.recall(memory[f"met_{name}"])
        first, self.newest, self._start = (int(value) for value in memory["since"])
        self.first = None if first < 0 else first
        self.counts[:] = 0
        self.counts[memory["places"]] = memory["counts"]
        self.tokens, self.users = memory["tokens"].copy(), memory["users"].copy()
        self._before = self._window(
            int(memory["before_us"][0]), memory["before_counts"], *memory["before_totals"]
        )

    def _catch_up(self) -> None:
        if self._counted < self._noted and len(self._requests):
            self._count(self._between(self._counted, self._noted))
            self._counted = self._noted

    def _between(self, start: int, end: int | None) -> NDArray[np.void]:
        time = self._requests["time"]
        return self._requests[(time >= start) if end is None else (time >= start) & (time < end)]

    def _reach(self, minute: int, last: int) -> None:
        """Let the ring hold ``last``, which is no earlier than ``minute``, and forget what it displaces."""
        if self.first is None:
            self.first = minute
        if last <= self.newest:
            return
        stale = np.arange(max(self.newest + 1, last - MINUTES + 1), last + 1) % MINUTES
        self.newest = last
        self.counts.reshape(MINUTES, WIDTH)[stale] = 0
        self.tokens[stale] = self.users[stale] = 0

    def _count(self, requests: NDArray[np.void]) -> None:
        if not len(requests):
            return
        minute = requests["time"] // self._tick * self._tick // MINUTE_US  # as its step has it
        for name, met in self.met.items():
            met.note(requests[name], minute)
        kept = minute > self.newest - MINUTES
        if not kept.all():
            requests, minute = requests[kept], minute[kept]
        row = minute % MINUTES
        base = row * WIDTH
        one = np.uint32(1)  # a plain 1 would be cast at every place, at five hundred times the cost
        for name, bins in HASHED.items():
            start, width = PLACES[bins].start, BINS[bins] - 1
            place = requests[name].astype(np.int64)
            np.add.at(self.counts, base + start + np.where(place == 0, 0, place % width + 1), one)
        for column, name in enumerate(("prompt", "completion")):
            tokens = np.ascontiguousarray(requests[name])
            np.add.at(self.counts, base + PLACES[f"{name}_sizes"].start + sizes(tokens), one)
            np.add.at(self.tokens[:, column], row, tokens)  # not bincount, whose sums are of floats
        np.add.at(self.counts, base + PLACES["answers"].start + 1 + requests["error"], one)
        for name, bins in _MET.items():
            value: NDArray[np.uint16] = requests[name]
            stated = value > 0
            new = minute[stated] - self.met[name].first(value[stated]) <= NEW
            np.add.at(self.counts, base[stated] + PLACES[bins].start + new, one)


def sizes(tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    """The class of each of ``tokens`` [n]: twice the binary logarithm of one more, rounded down."""
    if tokens.max(initial=0) < len(_COMMON):
        return _COMMON[tokens]
    return _sizes(tokens)


def _sizes(tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    part, power = np.frexp(tokens + 1.0)
    return np.asarray(np.minimum(2 * power.astype(np.int64) - 2 + (part >= _HALF), SIZES - 1))


_COMMON: Final = _sizes(np.arange(1 << 16))
"""The classes of nearly all requests, looked up at a third of the cost."""
