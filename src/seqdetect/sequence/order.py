"""Event time: which events are late, which are too far ahead to be believed, which ticks are complete."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from seqdetect.events import MICROSECONDS, Tally
from seqdetect.sequence.requests import REQUEST

AHEAD_S: Final = 3600
"""An event more than this many seconds ahead of all others is held until others confirm it."""
CONFIRMATIONS: Final = 3
"""Arrivals in a row, all far ahead, that move time forward: traffic that fell silent and came back."""
FAR_S: Final = 30 * 86_400
FAR_CONFIRMATIONS: Final = 100
"""The same for a jump of more than 30 days, which is a broken clock far more often than a silence."""
HELD_LIMIT: Final = 10_000


class Clock:
    """A watermark with bounded lateness that one broken clock cannot move.

    ``push`` takes requests in arrival order and returns those that are accepted; ``closed`` is the end of the
    last tick that no accepted event can fall into any more. All decisions are made per event in arrival order,
    so how the stream is cut into batches changes nothing.
    """

    def __init__(self, tick_s: float, lateness_s: float, tally: Tally) -> None:
        self.tick = round(tick_s * MICROSECONDS)
        self.lateness = round(lateness_s * MICROSECONDS) if np.isfinite(lateness_s) else None
        self.latest: int | None = None
        self.held: NDArray[np.void] = np.zeros(0, REQUEST)
        self.run = 0
        self.tally = tally

    @property
    def closed(self) -> int | None:
        """End of the last complete tick, microseconds; None before the first event or without a watermark."""
        if self.latest is None or self.lateness is None:
            return None
        return (self.latest - self.lateness) // self.tick * self.tick

    def push(self, batch: NDArray[np.void]) -> NDArray[np.void]:
        """The accepted requests among ``batch`` and among those held before; late ones are counted."""
        accepted = []
        while len(batch):
            taken, batch = self._advance(batch)
            accepted.append(taken)
        accepted.append(self._release())
        return np.concatenate(accepted) if accepted else batch

    def flush(self) -> NDArray[np.void]:
        """At the end of the input: believe what is plausible of the held, reject and count the rest."""
        if self.latest is None and len(self.held):
            self.latest = self._earliest_plausible()
        accepted = []
        held = np.sort(self.held, order="time")
        for request in held:
            if self.latest is not None and request["time"] - self.latest <= FAR_S * MICROSECONDS:
                accepted.append(self._accept(request[None]))
            else:
                when = np.datetime64(int(request["time"]), "us")
                self.tally.reject("far_future", "event", f"{when}Z is over 30 days ahead of all other events")
        self.held = self.held[:0]
        self.run = 0
        return np.concatenate(accepted) if accepted else self.held

    def _advance(self, batch: NDArray[np.void]) -> tuple[NDArray[np.void], NDArray[np.void]]:
        """Take requests up to and including the first that is far ahead."""
        if self.latest is None:
            return self._hold(batch)
        times = batch["time"]
        before = np.maximum.accumulate(np.concatenate(([self.latest], times[:-1])))
        far = np.flatnonzero(times - before > AHEAD_S * MICROSECONDS)
        upto = int(far[0]) if len(far) else len(batch)
        if upto == 0:
            return self._hold(batch)
        self.run = 0
        return self._accept(batch[:upto]), batch[upto:]

    def _accept(self, batch: NDArray[np.void]) -> NDArray[np.void]:
        assert self.latest is not None
        reached = np.maximum.accumulate(np.concatenate(([self.latest], batch["time"])))
        self.latest = int(reached[-1])
        if self.lateness is None:
            return batch
        closed = (reached[:-1] - self.lateness) // self.tick * self.tick
        late = batch["time"] < closed
        self.tally.late += int(late.sum())
        return batch[~late]

    def _hold(self, batch: NDArray[np.void]) -> tuple[NDArray[np.void], NDArray[np.void]]:
        """Hold the first request; when it confirms those before it, time moves to the earliest of the run."""
        if len(self.held) >= HELD_LIMIT:
            self.tally.reject("far_future", "event", "too many events far ahead of all others are waiting")
            return batch[:0], batch[1:]
        self.held = np.append(self.held, batch[:1])
        self.run += 1
        run = np.sort(self.held["time"][-self.run :])
        first = self.latest is None
        jump = 0 if first else int(run[0]) - (self.latest or 0)
        needed = CONFIRMATIONS if jump <= FAR_S * MICROSECONDS else FAR_CONFIRMATIONS
        if self.run < needed:
            return batch[:0], batch[1:]
        self.latest = self._earliest_plausible() if first else int(run[0])
        self.run = 0
        return self._release(), batch[1:]

    def _earliest_plausible(self) -> int:
        """The earliest held time that is not 30 days before the median: the first clock may be the broken one."""
        times = np.sort(self.held["time"])
        middle = times[(len(times) - 1) // 2]
        return int(times[middle - times <= FAR_S * MICROSECONDS][0])

    def _release(self) -> NDArray[np.void]:
        """Held requests that time has caught up with, in time order."""
        released = self.held[:0]
        while self.latest is not None and len(self.held):
            near = self.held["time"] - self.latest <= AHEAD_S * MICROSECONDS
            if not near.any():
                break
            released = np.append(released, self._accept(np.sort(self.held[near], order="time")))
            self.held = self.held[~near]
        return released
