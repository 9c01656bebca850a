"""Any detector, its score averaged over minutes and set against the user's own scores of the last day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from seqdetect.calibration.tail import Tail, fit_tail
from seqdetect.detector import Detector, Rows
from seqdetect.detector.block.adapt import FLOOR, LARGEST_SHARE, PRIOR_STEPS, WINSOR, recentred, smoothed
from seqdetect.detector.block.context import Context
from seqdetect.detector.block.normal import LEAST_WEIGHT, Prior
from seqdetect.detector.compose import write_tail
from seqdetect.detector.graph import Value
from seqdetect.events import MICROSECONDS
from seqdetect.sequence.features import GAP_CAP_S

LEAST_WIDTH: Final = 0.01
"""Share of the middle half's width that a tail's knots must lie apart: a score that saturates has knots so close
together that the map between them would turn float32's last digit into news."""
PRIOR_ROWS: Final = 100_000
"""Training rows, of whole users, that the prior is learnt from: neighbours are slow to ask about more."""
UNLEARNT: Final = Prior(np.zeros(1, np.float32), np.ones(1, np.float32))


@dataclass
class Adapted:
    """Score: how far the inner detector's score of the last minutes lies above the user's own usual.

    The inner score becomes the logarithm of its tail probability on training steps first, which makes all inner
    detectors alike: mean and deviation of a heavy tail would say nothing. Past the tail's end it counts as a
    logarithm, in the order it had.
    """

    inner: Detector
    tau_s: float = 900.0
    """Time constant of the average."""
    memory_s: float = 86_400.0
    """Time constant of the user's usual."""
    lag_s: float = 3_600.0
    """Nothing younger is part of the usual."""
    research_only: str | None = field(default=None, init=False)
    tail: Tail = field(init=False, default_factory=lambda: Tail(np.zeros(1), np.zeros(1), 1.0))
    usual: float = field(default=0.0, init=False)
    """What everybody's compressed score is on average."""
    prior: Prior = field(init=False, default=UNLEARNT)

    def __post_init__(self) -> None:
        self.research_only = self.inner.research_only

    def rows(self, context: Context) -> Value:
        """[n, D] the inner detector's."""
        return self.inner.rows(context)

    def fit(self, rows: Rows, seed: int) -> None:
        self.inner.fit(rows, seed)
        some = some_users(rows, PRIOR_ROWS, seed)
        raw, user = self._inner_scores(some), some.user[some.usable]
        self.tail = gentle_tail(raw[some.usable])
        levels = compressed(raw, self.tail)
        self.usual = float(Prior.of(_column(levels[some.usable]), user).mean[0])
        averages = np.zeros(len(some))
        for mine, elapsed in sequences(some):
            averages[mine] = averaged(levels[mine], elapsed, self.usual, self.tau_s)
        self.prior = Prior.of(_column(averages[some.usable]), user)

    def score(self, context: Context, rows: Value) -> Value:
        level = write_compressed(self.inner.score(context, rows), self.tail)
        average = smoothed(context.graph, "adapted_average", level, context.elapsed, self.usual, self.tau_s)
        return recentred(
            context.graph, "adapted", average, context.elapsed, self.prior, self.memory_s, self.lag_s
        )

    def reference(self, rows: Rows) -> NDArray[np.float64]:
        levels = compressed(self._inner_scores(rows), self.tail)
        out = np.zeros(len(rows))
        for mine, elapsed in sequences(rows):
            average = averaged(levels[mine], elapsed, self.usual, self.tau_s)
            out[mine] = set_apart(average, elapsed, self.prior, self.memory_s, self.lag_s)
        return out

    def _inner_scores(self, rows: Rows) -> NDArray[np.float64]:
        """[n] as exact as the graph hands them on."""
        return self.inner.reference(rows).astype(np.float32).astype(np.float64)


def some_users(rows: Rows, limit: int, seed: int) -> Rows:
    """The rows of users drawn at random, all of each until ``limit``; only users with usable rows."""
    users = np.unique(rows.user[rows.usable])
    drawn = np.random.default_rng(seed).permutation(len(users))
    known = np.flatnonzero(np.isin(rows.user, users))
    order = np.argsort(drawn[np.searchsorted(users, rows.user[known])], kind="stable")
    return rows.take(np.sort(known[order[:limit]]))


def gentle_tail(raw: NDArray[np.float64]) -> Tail:
    """The tail of raw scores [n], nowhere steeper than one knot per ``LEAST_WIDTH`` of the middle half's width."""
    tail = fit_tail(raw)
    lower, upper = np.percentile(raw, [25, 75])
    width = LEAST_WIDTH * float(upper - lower or raw.max() - raw.min())
    kept = [0]
    for i, knot in enumerate(tail.knot):
        if knot - tail.knot[kept[-1]] >= width:
            kept.append(i)
    return replace(
        tail, knot=tail.knot[kept], value=tail.value[kept], slope=min(tail.slope, float(1.0 / width))
    )


def write_compressed(raw: Value, tail: Tail) -> Value:
    """``compressed`` as graph nodes, ``[n, 1]`` to ``[n, 1]``."""
    level, last = write_tail(raw.graph, raw, tail), float(tail.value[-1])
    beyond = (level - last).clip(low=0.0)
    return level.clip(high=last) + (beyond + 1.0).log(1)


def compressed(raw: NDArray[np.float64], tail: Tail) -> NDArray[np.float64]:
    """[n] minus the decimal logarithm of the tail probability, and past the last knot the logarithm of that."""
    level, last = tail(raw), tail.value[-1]
    return np.asarray(np.minimum(level, last) + np.log1p(np.maximum(level - last, 0.0)))


def sequences(rows: Rows) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Each user's row numbers in time order, and the seconds since the row before as the graph gets them."""
    order = np.argsort(rows.user, kind="stable")
    for mine in np.split(order, np.flatnonzero(np.diff(rows.user[order])) + 1):
        seconds = np.diff(rows.tick[mine], prepend=rows.tick[mine[:1]]) / MICROSECONDS
        yield mine, np.minimum(seconds, GAP_CAP_S).astype(np.float32).astype(np.float64)


def averaged(
    level: NDArray[np.float64], elapsed: NDArray[np.float64], usual: float, tau_s: float
) -> NDArray[np.float64]:
    """[n] ``smoothed`` of one user's steps."""
    out = np.zeros(len(level))
    total = count = 0.0
    for i, fade in enumerate(np.exp(-elapsed / tau_s)):
        total, count = total * fade + level[i] - usual, count * fade + 1.0
        out[i] = usual + total / (count + PRIOR_STEPS)
    return out


def set_apart(
    average: NDArray[np.float64], elapsed: NDArray[np.float64], prior: Prior, memory_s: float, lag_s: float
) -> NDArray[np.float64]:
    """[n] ``recentred`` of one user's steps."""
    out = np.zeros(len(average))
    weight, mean, variance = prior.weight, float(prior.mean[0]), float(prior.variance[0])
    floor, age = FLOOR * float(np.sqrt(variance)), 0.0
    waiting: list[float] = []
    present: list[float] = []
    for i, value in enumerate(average.tolist()):
        # in single precision, as the graph has it: both must find a stretch due at the same step
        age = float(np.float32(age + elapsed[i]))
        deviation = max(float(np.sqrt(variance)), floor)
        out[i] = (value - mean) / deviation
        heard = min(max(value, mean - WINSOR * deviation), mean + WINSOR * deviation)
        if age < lag_s:
            present.append(heard)
            continue
        weight = max(weight * float(np.exp(-age / memory_s)), LEAST_WEIGHT)
        if waiting:
            added = min(float(len(waiting)), LARGEST_SHARE * weight)
            share, apart = added / (weight + added), float(np.mean(waiting)) - mean
            variance += share * (float(np.var(waiting)) - variance + apart * apart * (1.0 - share))
            mean, weight = mean + apart * share, weight + added
        waiting, present, age = present, [heard], 0.0
    return out


def _column(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return values.astype(np.float32)[:, None]
