"""Events in arrival order to complete ticks: the one road that training and streaming both take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from seqdetect.events import Tally
from seqdetect.sequence.duplicates import Duplicates
from seqdetect.sequence.features import FEATURES, Featurizer, Steps
from seqdetect.sequence.order import AHEAD_S, Clock
from seqdetect.sequence.population import NAMES, Population, histograms
from seqdetect.sequence.requests import REQUEST, Keys, ordered, requests


@dataclass(frozen=True)
class History:
    """The steps of some consecutive ticks, with the population vector that each tick is scored with."""

    steps: Steps
    ticks: NDArray[np.int64]
    """[T] ends of the active ticks, microseconds, ascending."""
    population: NDArray[np.float32]
    """[T, P]"""
    forgotten: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    """Rows of the key table whose users are forgotten after the tick of that place in ``ticks``."""
    requests: NDArray[np.void] = field(default_factory=lambda: np.zeros(0, REQUEST))
    """``REQUEST`` records that the steps were made of, by tick where users were forgotten, then user, then time."""

    def until(self, time: int) -> History:
        """The part whose ticks end at or before ``time`` (microseconds)."""
        rows, ticks = (
            np.searchsorted(self.steps.tick, time, "right"),
            np.searchsorted(self.ticks, time, "right"),
        )
        steps = Steps(*(getattr(self.steps, n)[:rows] for n in ("tick", "user", "features", "tokens")))
        return History(
            steps,
            self.ticks[:ticks],
            self.population[:ticks],
            requests=self.requests[self.requests["time"] < time],
        )

    @classmethod
    def joined(cls, parts: list[History]) -> History:
        """Consecutive histories as one."""
        fields = ("tick", "user", "features", "tokens")
        steps = Steps(*(np.concatenate([getattr(part.steps, name) for part in parts]) for name in fields))
        forgotten: dict[int, NDArray[np.int64]] = {}
        before = 0
        for part in parts:
            forgotten |= {before + place: rows for place, rows in part.forgotten.items()}
            before += len(part.ticks)
        ticks, population = (
            np.concatenate([getattr(p, name) for p in parts]) for name in ("ticks", "population")
        )
        return cls(steps, ticks, population, forgotten, np.concatenate([part.requests for part in parts]))

    def each_tick(self) -> list[tuple[slice, NDArray[np.float32]]]:
        """Row range and population vector of every tick, in order."""
        begin = np.searchsorted(self.steps.tick, self.ticks)
        end = np.append(begin, len(self.steps))[1:]
        return [(slice(int(b), int(e)), p) for b, e, p in zip(begin, end, self.population, strict=True)]


class Stream:
    """Holds what is open: events of ticks that are not complete, and what the next ones need to know.

    At most ``max_users`` users are remembered (None: all). When a tick has more, those seen longest ago (then by
    name) are forgotten after it, and begin anew when they come back. Which they are does not depend on how the
    stream is cut into batches.
    """

    def __init__(
        self,
        tick_s: float,
        lateness_s: float,
        tally: Tally,
        max_users: int | None = None,
        ahead_s: float = AHEAD_S,
    ) -> None:
        if max_users is not None and max_users < 1:
            raise ValueError(f"max_users is {max_users}; at least one user must be remembered")
        self.tally = tally
        self.max_users = max_users
        self.keys = Keys()
        self.clock = Clock(tick_s, lateness_s, tally, ahead_s)
        self.duplicates = Duplicates(tally)
        self.featurizer = Featurizer(tick_s, reserved(max_users))
        self.population = Population()
        self._open: list[NDArray[np.void]] = [np.zeros(0, REQUEST)]
        self._completed: int | None = None
        self.evicted = 0
        """Users forgotten so far."""

    @property
    def pending(self) -> NDArray[np.void]:
        """The accepted events of ticks that are not complete."""
        if len(self._open) > 1:
            self._open = [np.concatenate(self._open)]
        return self._open[0]

    @pending.setter
    def pending(self, events: NDArray[np.void]) -> None:
        self._open = [events]
        self._completed = None

    def push(self, table: pa.Table) -> History:
        """Take in events; the ticks that they complete."""
        batch = self.duplicates.push(requests(table, self.keys), self.clock.closed)
        accepted = self.clock.push(batch)
        if len(accepted):
            self._open.append(accepted)
        closed = self.clock.closed
        if self.clock.lateness is not None:
            self.duplicates.forget_ahead(self.clock.latest, self.clock.held["event_id"])
        if closed is None or closed == self._completed:
            # a live stream comes in many small batches: the open events are not to be looked through at each
            self._free_rows()  # but late events with names of their own must not pile up while time stands still
            return self._steps(batch[:0])
        self._completed = closed
        return self._complete(self.pending["time"] < closed)

    def flush(self) -> History:
        """At the end of the input every tick is complete; later events of the same ticks would be late."""
        self._open.append(self.clock.flush())
        history = self._complete(np.ones(len(self.pending), bool))
        if len(history.ticks) and self.clock.lateness is not None:
            self.clock.latest = max(self.clock.latest or 0, int(history.ticks[-1]) + self.clock.lateness)
        return history

    def _complete(self, ready: NDArray[np.bool_]) -> History:
        batch = self.pending[ready]
        self._open = [self.pending[~ready]]
        if not self._may_overflow(batch):
            history = self._steps(batch)
        else:
            history = History.joined([self._bounded(part) for part in self._by_tick(batch)])
        self._free_rows()
        return history

    def _steps(self, batch: NDArray[np.void]) -> History:
        batch = ordered(batch)
        steps = self.featurizer(batch, len(self.keys))
        tick = self.featurizer.tick
        numbers, counts = histograms(batch, steps, tick)
        vectors = np.zeros((len(numbers), len(NAMES)), np.float32)
        for i, number in enumerate(numbers.tolist()):
            vectors[i] = self.population.before(number)
            self.population.add(number, counts[i])
        return History(steps, (numbers + 1) * tick, vectors, requests=batch)

    def _may_overflow(self, batch: NDArray[np.void]) -> bool:
        """Whether ``batch`` could lead to more users than are remembered; then each tick must be looked at."""
        if self.max_users is None or len(batch) == 0 or self.keys.used <= self.max_users:
            return False
        facts = self.featurizer.facts
        facts.grow(len(self.keys))
        new = np.zeros(len(self.keys), bool)
        new[batch["user"]] = True
        new &= facts.last_tick[: len(new)] == 0
        return int(np.count_nonzero(facts.last_tick) + np.count_nonzero(new)) > self.max_users

    def _by_tick(self, batch: NDArray[np.void]) -> Iterator[NDArray[np.void]]:
        number = batch["time"] // self.featurizer.tick
        order = np.argsort(number, kind="stable")
        edges = np.flatnonzero(np.diff(number[order])) + 1
        yield from np.split(batch[order], edges)

    def _bounded(self, batch: NDArray[np.void]) -> History:
        """The steps of one tick, after which the users seen longest ago are forgotten."""
        history = self._steps(batch)
        facts = self.featurizer.facts
        known = np.flatnonzero(facts.last_tick)
        surplus = len(known) - (self.max_users or 0)
        if surplus <= 0:
            return history
        seen = facts.last_time[known]
        edge = np.partition(seen, surplus - 1)[surplus - 1]
        older, tied = known[seen < edge], known[seen == edge]
        tied = np.array(sorted(tied.tolist(), key=self.keys.names.__getitem__), np.int64)
        rows = np.concatenate((older, tied[: surplus - len(older)]))
        facts.forget(rows)
        self.evicted += len(rows)
        history.forgotten[0] = rows
        return history

    def _free_rows(self) -> None:
        """Rows of users without history and without an open event can be somebody else's: from the next push on."""
        if self.max_users is None or self.keys.used <= self.max_users:
            return
        facts = self.featurizer.facts
        facts.grow(len(self.keys))
        idle = facts.last_tick[: len(self.keys)] == 0
        for waiting in (self.pending, self.clock.held):
            idle[waiting["user"]] = False
        idle[self.keys.free] = False
        self.keys.drop(np.flatnonzero(idle).tolist())


def reserved(max_users: int | None) -> int:
    """Rows to set apart at once where at most ``max_users`` are remembered: some come before others go."""
    return 0 if max_users is None else max_users + max_users // 8 + 1024


def history(table: pa.Table, tick_s: float, tally: Tally) -> tuple[History, Keys]:
    """All steps of a whole event table, whatever the order of its rows, and the key table."""
    stream = Stream(tick_s, float("inf"), tally)
    stream.push(table)
    return stream.flush(), stream.keys


def fill(
    features: NDArray[np.float32], neutral: NDArray[np.float32], observed: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """``[n, F]`` with ``neutral [F]`` in place of missing values, and wherever training had ``observed`` none."""
    return np.where(np.isnan(features) | ~observed, neutral, features).astype(np.float32)


def neutral_values(features: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Per feature its neutral value, the median of training rows ``[n, F]``, and whether it was ever observed."""
    neutral = np.array([feature.neutral for feature in FEATURES], np.float32)
    observed = np.ones(len(FEATURES), bool)
    for i, feature in enumerate(FEATURES):
        known = features[:, i][~np.isnan(features[:, i])]
        observed[i] = len(known) > 0 or feature.column is None
        if len(known) < len(features) and len(known) and feature.neutral == 0.0:
            neutral[i] = np.median(known)
    return neutral, observed
