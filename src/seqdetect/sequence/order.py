"""Event time: which events are late, which are too far ahead to be believed, which ticks are complete."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from seqdetect.events import MICROSECONDS, Tally
from seqdetect.sequence.requests import REQUEST

AHEAD_S: Final = 3600.0
"""An event more than this many seconds ahead of all others is held until others confirm it, unless another bound is
chosen: a tighter one believes fewer wrong clocks, and makes sparse traffic wait for confirmation after every silence."""
CONFIRMATIONS: Final = 3
"""Arrivals in a row, all far ahead, that move time forward: traffic that fell silent and came back. Each event that
waits from before at about the same time, because time went on without it, makes it one more: a clock that is often
wrong."""
FIRST_CONFIRMATIONS: Final = 10
"""The same at the very beginning, over those that contradict: a wrong start would make all others late."""
FAR_S: Final = 30 * 86_400
FAR_CONFIRMATIONS: Final = 100
"""The same for a jump of more than 30 days, which is a broken clock far more often than a silence; not in a row,
but in excess of arrivals near the present, so that a start at a broken clock's time can be left again."""
ALONE: Final = 5
"""One user alone must say it this many times as often: it may be its clock that is wrong."""
HELD_LIMIT: Final = 2_000
_AT_ONCE: Final = 4_096


class Clock:
    """A watermark with bounded lateness that one broken clock cannot move.

    ``push`` takes requests in arrival order and returns those that are accepted; ``closed`` is the end of the
    last tick that no accepted event can fall into any more. All decisions are made per event in arrival order,
    so how the stream is cut into batches changes nothing. Without a lateness (infinity) all is accepted.
    """

    def __init__(self, tick_s: float, lateness_s: float, tally: Tally, ahead_s: float = AHEAD_S) -> None:
        if not 0 < ahead_s <= FAR_S:
            raise ValueError(f"ahead_s is {ahead_s:g}; it must be above 0 and at most {FAR_S} (30 days)")
        self.ahead = round(ahead_s * MICROSECONDS)
        self.tick = round(tick_s * MICROSECONDS)
        self.lateness = round(lateness_s * MICROSECONDS) if np.isfinite(lateness_s) else None
        self.latest: int | None = None
        self.held: NDArray[np.void] = np.zeros(0, REQUEST)
        self.run = 0
        self.lead = 0
        self.tally = tally

    @property
    def closed(self) -> int | None:
        """End of the last complete tick, microseconds; None before the first event or without a watermark."""
        if self.latest is None or self.lateness is None:
            return None
        return (self.latest - self.lateness) // self.tick * self.tick

    def push(self, batch: NDArray[np.void]) -> NDArray[np.void]:
        """The accepted requests among ``batch`` and among those held before; late ones are counted."""
        if self.lateness is None:
            return batch
        accepted = []
        while len(batch):
            taken, batch = self._advance(batch)
            accepted.append(taken)
        return np.concatenate(accepted) if accepted else batch

    def flush(self) -> NDArray[np.void]:
        """At the end of the input: believe what is plausible of the held, reject and count the rest."""
        if self.latest is None and len(self.held):
            self.latest = self._earliest_plausible(len(self.held))
        accepted = []
        held = np.sort(self.held, order="time")
        for request in held:
            if self.latest is not None and request["time"] - self.latest <= FAR_S * MICROSECONDS:
                accepted.append(self._accept(request[None]))
            else:
                self._reject(request)
        self.held = self.held[:0]
        self.run = self.lead = 0
        return np.concatenate(accepted) if accepted else self.held

    def _advance(self, batch: NDArray[np.void]) -> tuple[NDArray[np.void], NDArray[np.void]]:
        """Take requests up to the first that is far ahead, or up to where one that is held becomes due."""
        if self.latest is None:
            return self._hold(batch)
        times = batch["time"][:_AT_ONCE]
        reached = np.maximum.accumulate(np.concatenate(([self.latest], times)))
        far = np.flatnonzero(times - reached[:-1] > self.ahead)
        upto = int(far[0]) if len(far) else len(times)
        if upto == 0:
            return self._hold(batch)
        if len(self.held):
            upto = min(upto, int(np.searchsorted(reached[1:], self.held["time"].min())) + 1)
        self.run, self.lead = 0, max(0, self.lead - upto)
        return np.concatenate((self._accept(batch[:upto]), self._release(0))), batch[upto:]

    def _accept(self, batch: NDArray[np.void]) -> NDArray[np.void]:
        assert self.latest is not None
        assert self.lateness is not None
        reached = np.maximum.accumulate(np.concatenate(([self.latest], batch["time"])))
        self.latest = int(reached[-1])
        closed = (reached[:-1] - self.lateness) // self.tick * self.tick
        late = batch["time"] < closed
        self.tally.late += int(late.sum())
        return batch[~late]

    def _hold(self, batch: NDArray[np.void]) -> tuple[NDArray[np.void], NDArray[np.void]]:
        """Hold the first request; when it confirms those before it, time moves on and what is due is released."""
        self.held = np.append(self.held, batch[:1])
        self.run += 1
        self.lead += 1
        if len(self.held) > HELD_LIMIT:
            self._drop_farthest()
        believed = self._first_believed() if self.latest is None else self._confirmed(self.latest)
        if believed is None:
            return batch[:0], batch[1:]
        self.latest, self.run, self.lead = believed, 0, 0
        return self._release(self.ahead), batch[1:]

    def _first_believed(self) -> int | None:
        """Where time begins: at the stretch that enough more events lie in than do not."""
        begin = self._earliest_plausible(len(self.held))
        ahead = self.held["time"] - begin
        within = (ahead >= 0) & (ahead <= FAR_S * MICROSECONDS)
        lead = 2 * int(within.sum()) - len(self.held)
        return begin if lead >= _needed(FIRST_CONFIRMATIONS, self.held[within]) else None

    def _confirmed(self, latest: int) -> int | None:
        """The time to move on to from ``latest``, if the events held say so."""
        within = self.held["time"] - latest <= FAR_S * MICROSECONDS
        begin = len(self.held) - self.run
        row = self.held[begin:][within[begin:]]
        if len(row):
            target = int(row["time"].min())
            waiting = int((np.abs(self.held["time"][:begin] - target) <= self.ahead).sum())
            if len(row) >= _needed(CONFIRMATIONS, row) + waiting:
                return target
        lead = min(self.lead, len(self.held))
        if lead >= _needed(FAR_CONFIRMATIONS, self.held[-lead:]):
            return self._earliest_plausible(lead)
        return None

    def _earliest_plausible(self, newest: int) -> int:
        """The beginning of the stretch of time, without gaps of 30 days, that most of the ``newest`` held lie in."""
        order = np.argsort(self.held["time"], kind="stable")
        times = self.held["time"][order]
        stretch = np.concatenate(([0], np.cumsum(np.diff(times) > FAR_S * MICROSECONDS)))
        votes = stretch[order >= len(self.held) - newest]
        return int(times[np.searchsorted(stretch, np.bincount(votes).argmax())])

    def _release(self, ahead: int) -> NDArray[np.void]:
        """Held requests at most ``ahead`` microseconds ahead, in time order."""
        released = self.held[:0]
        while self.latest is not None and len(self.held):
            near = self.held["time"] - self.latest <= ahead
            if not near.any():
                break
            released = np.append(released, self._accept(np.sort(self.held[near], order="time")))
            self.held = self.held[~near]
        return released

    def _drop_farthest(self) -> None:
        place = int(self.held["time"].argmax())
        self._reject(self.held[place])
        if place >= len(self.held) - self.run:
            self.run -= 1
        self.held = np.delete(self.held, place)

    def _reject(self, request: np.void) -> None:
        when = np.datetime64(int(request["time"]), "us")
        self.tally.reject("far_future", "event", f"{when}Z is far ahead of all other events")


def _needed(count: int, held: NDArray[np.void]) -> int:
    """How many events it takes for ``count`` confirmations, by whether more than one user is among ``held``."""
    several = len(held) > 0 and bool((held["user"] != held["user"][0]).any())
    return count if several else count * ALONE
