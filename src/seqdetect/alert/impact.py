"""What an alert means for the business: what it costs, how much of the traffic it is, what it burns of an objective.

All of it is over the alert's recent time: since it opened, and at most the last hour, in periods of five minutes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqdetect.alert.policy import Objectives
from seqdetect.events import MICROSECONDS
from seqdetect.score.engine import Scored
from seqdetect.sequence.runs import starts

PERIOD_US: Final = 300 * MICROSECONDS
PERIODS: Final = 12
"""An hour, of which the last period is the one under way."""
FLOOR_US: Final = 600 * MICROSECONDS
"""Costs are taken as spread over at least this long: the first tick of an alert must not be taken for a rate."""
PICO_USD: Final = 10**12
HOUR_US: Final = 3600 * MICROSECONDS
LEAST_REQUESTS: Final = 20
"""With fewer requests of known outcome a share of failures says nothing."""


class Impact(NamedTuple):
    """Over the recent time of one alert; None is not known."""

    cost_per_hour_usd: float | None = None
    traffic_share: float | None = None
    """Share of all tokens."""
    slo_burn: float | None = None
    """How many times as fast as allowed the service uses up its error budget, as the SRE workbook has it
    (https://sre.google/workbook/alerting-on-slos/): share of failures / (1 - objective)."""


NO_IMPACT: Final = Impact()


class Spent(NamedTuple):
    """What an alert's steps of one period came to."""

    period: int
    """Number of the period since the epoch."""
    tokens: int
    cost: int | None
    """Millionths of a millionth of a USD; None where a price is not known."""

    @classmethod
    def at(cls, tick: int, tokens: int, cost: int | None) -> Spent:
        """Of one step; ``tick`` is its end, microseconds."""
        return cls(period(tick), tokens, cost)


def period(tick: int) -> int:
    """The period that the tick ending at ``tick`` (microseconds) is part of."""
    return (tick - 1) // PERIOD_US


def added(before: tuple[Spent, ...], later: tuple[Spent, ...]) -> tuple[Spent, ...]:
    """Both together by period, of the last ``PERIODS`` alone."""
    if len(later) == 1 and before and before[-1].period == later[0].period:
        return *before[:-1], _sum(before[-1], later[0])
    found: dict[int, Spent] = {}
    for one in (*before, *later):
        found[one.period] = _sum(found[one.period], one) if one.period in found else one
    newest = max(found, default=0)
    return tuple(found[number] for number in sorted(found) if number > newest - PERIODS)


def _sum(one: Spent, other: Spent) -> Spent:
    cost = None if one.cost is None or other.cost is None else one.cost + other.cost
    return Spent(one.period, one.tokens + other.tokens, cost)


class Counts(NamedTuple):
    """All traffic of some time. A request failed with a status of 500 and above; it is slow over the objective's limit."""

    tokens: int = 0
    stated: int = 0
    failed: int = 0
    timed: int = 0
    slow: int = 0


class Traffic:
    """All traffic of the last hour, by period: exact sums, however the stream is cut into batches."""

    def __init__(self, tick_us: int, objectives: Objectives) -> None:
        self._tick = tick_us
        self._objectives = objectives
        self.periods: dict[int, Counts] = {}
        self._ticks = np.zeros(0, np.int64)
        self._counts = np.zeros((0, len(Counts._fields)), np.int64)

    def begin(self, scored: Scored) -> None:
        """Count ``scored`` by tick; ``upto`` takes the ticks in."""
        first = np.flatnonzero(starts(scored.tick))
        self._ticks = scored.tick[first]
        self._counts = np.zeros((len(self._ticks), len(Counts._fields)), np.int64)
        if not len(first):
            return
        self._counts[:, 0] = np.add.reduceat(scored.tokens, first).sum(axis=1)
        requests = scored.requests
        if not len(requests):
            return
        place = self._places(requests["time"])
        limit = self._objectives.latency_ms
        self._count(
            1, place, requests["error"] // 2
        )  # what the client got wrong is no failure of the service
        if limit is not None:
            latency = requests["latency"]
            self._count(3, place, np.where(np.isnan(latency), -1, latency > limit))

    def upto(self, tick: int) -> None:
        """Take in the ticks that end at or before ``tick`` (microseconds)."""
        self._take(int(np.searchsorted(self._ticks, tick, "right")))

    def rest(self) -> None:
        """Take in what is left."""
        self._take(len(self._ticks))

    def over(self, first: int, now: int) -> Counts:
        """The sums of the periods from ``first`` to the one of the tick that ends at ``now`` (microseconds)."""
        last = period(now)
        rows = [counts for number, counts in self.periods.items() if first <= number <= last]
        return Counts(*(sum(column) for column in zip(*rows, strict=True)))

    def burn(self, counts: Counts) -> float | None:
        """The faster of the two burn rates; None where too few requests say how they ended."""
        promised = self._objectives
        rates = []
        if counts.stated >= LEAST_REQUESTS:
            rates.append(counts.failed / counts.stated / (1.0 - promised.availability))
        if counts.timed >= LEAST_REQUESTS:
            rates.append(counts.slow / counts.timed / (1.0 - promised.latency))
        return max(rates, default=None)

    def _places(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        """The place of each time's tick among those of the batch; where they are dense, without a search for each."""
        number, first = times // self._tick, int(self._ticks[0]) // self._tick - 1
        span = int(self._ticks[-1]) // self._tick - first
        if span > 8 * len(times):
            return np.searchsorted(self._ticks // self._tick - 1, number)
        place = np.zeros(span, np.int64)
        place[self._ticks // self._tick - 1 - first] = np.arange(len(self._ticks))
        return place[number - first]

    def _count(
        self, column: int, place: NDArray[np.int64], bad: NDArray[np.int8] | NDArray[np.int64]
    ) -> None:
        """Into ``column`` the requests that are known to be ``bad`` (1) or not (0, -1 is not known), then the bad."""
        found = np.bincount(3 * place + bad + 1, minlength=3 * len(self._ticks)).reshape(-1, 3)
        self._counts[:, column] = found[:, 1:].sum(axis=1)
        self._counts[:, column + 1] = found[:, 2]

    def _take(self, ticks: int) -> None:
        if not ticks:
            return
        numbers, first = np.unique((self._ticks[:ticks] - 1) // PERIOD_US, return_index=True)
        sums = np.add.reduceat(self._counts[:ticks], first)
        for number, row in zip(numbers.tolist(), sums.tolist(), strict=True):
            before = self.periods.get(number, Counts())
            self.periods[number] = Counts(*(a + b for a, b in zip(before, row, strict=True)))
        newest = max(self.periods)
        self.periods = {n: one for n, one in self.periods.items() if n > newest - PERIODS}
        self._ticks, self._counts = self._ticks[ticks:], self._counts[ticks:]


def impact(recent: Iterable[Spent], since: int, now: int, traffic: Traffic, burns: bool) -> Impact:
    """What an alert that is open ``since`` then means at ``now`` (both microseconds); ``recent`` is what it spent.

    Where ``burns`` is false the error budget is none of its affair. The share of the traffic is taken over two
    periods at least, so that at first it is too small rather than too large.
    """
    first = max(period(now) - PERIODS + 1, period(since + 1))
    spent = [one for one in recent if one.period >= first]
    costs = [one.cost for one in spent if one.cost is not None]
    span_us = max(FLOOR_US, now - max(since, first * PERIOD_US))
    counts = traffic.over(min(first, period(now) - 1), now)
    burn = traffic.burn(counts) if burns else None
    return Impact(
        round(sum(costs) / PICO_USD * HOUR_US / span_us, 4) if len(costs) == len(spent) else None,
        round(min(1.0, sum(one.tokens for one in spent) / counts.tokens), 6) if counts.tokens else None,
        None if burn is None else round(burn, 3),
    )
