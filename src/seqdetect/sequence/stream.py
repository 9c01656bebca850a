"""Events in arrival order to complete ticks: the one road that training and streaming both take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from seqdetect.events import Tally
from seqdetect.sequence.duplicates import Duplicates
from seqdetect.sequence.features import FEATURES, Featurizer, Steps
from seqdetect.sequence.order import Clock
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

    def until(self, time: int) -> History:
        """The part whose ticks end at or before ``time`` (microseconds)."""
        rows, ticks = (
            np.searchsorted(self.steps.tick, time, "right"),
            np.searchsorted(self.ticks, time, "right"),
        )
        steps = Steps(*(getattr(self.steps, n)[:rows] for n in ("tick", "user", "features", "tokens")))
        return History(steps, self.ticks[:ticks], self.population[:ticks])

    def each_tick(self) -> list[tuple[slice, NDArray[np.float32]]]:
        """Row range and population vector of every tick, in order."""
        begin = np.searchsorted(self.steps.tick, self.ticks)
        end = np.append(begin, len(self.steps))[1:]
        return [(slice(int(b), int(e)), p) for b, e, p in zip(begin, end, self.population, strict=True)]


class Stream:
    """Holds what is open: events of ticks that are not complete, and what the next ones need to know."""

    def __init__(self, tick_s: float, lateness_s: float, tally: Tally) -> None:
        self.tally = tally
        self.keys = Keys()
        self.clock = Clock(tick_s, lateness_s, tally)
        self.duplicates = Duplicates(tally)
        self.featurizer = Featurizer(tick_s)
        self.population = Population()
        self.pending: NDArray[np.void] = np.zeros(0, REQUEST)

    def push(self, table: pa.Table) -> History:
        """Take in events; the ticks that they complete."""
        batch = self.duplicates.push(requests(table, self.keys), self.clock.closed)
        self.pending = np.concatenate((self.pending, self.clock.push(batch)))
        closed = self.clock.closed
        ready = np.zeros(len(self.pending), bool) if closed is None else self.pending["time"] < closed
        return self._complete(ready)

    def flush(self) -> History:
        """At the end of the input every tick is complete; later events of the same ticks would be late."""
        self.pending = np.concatenate((self.pending, self.clock.flush()))
        history = self._complete(np.ones(len(self.pending), bool))
        if len(history.ticks) and self.clock.lateness is not None:
            self.clock.latest = max(self.clock.latest or 0, int(history.ticks[-1]) + self.clock.lateness)
        return history

    def _complete(self, ready: NDArray[np.bool_]) -> History:
        batch = ordered(self.pending[ready])
        self.pending = self.pending[~ready]
        steps = self.featurizer(batch, len(self.keys))
        tick = self.featurizer.tick
        numbers, counts = histograms(batch, steps, tick)
        vectors = np.zeros((len(numbers), len(NAMES)), np.float32)
        for i, number in enumerate(numbers.tolist()):
            vectors[i] = self.population.before(number)
            self.population.add(number, counts[i])
        return History(steps, (numbers + 1) * tick, vectors)


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
