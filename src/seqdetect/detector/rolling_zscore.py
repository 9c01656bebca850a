"""A seasonal z-score: this minute against the same hour of the user's last days."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from seqdetect.detector import Rows
from seqdetect.detector.block.context import Context
from seqdetect.detector.block.decay import decayed_sums, lost
from seqdetect.detector.block.normal import Prior
from seqdetect.detector.graph import Value

HOURS: Final = 24
SHRINK: Final = 60.0
"""Steps in an hour of the day that weigh as much as the user's overall mean."""
FLOOR: Final = 0.05
RELATIVE_FLOOR: Final = 0.02
"""Least deviations that count: absolute, and as a share of the mean, which is as fine as single precision goes."""
QUANTITIES: Final = 2


@dataclass
class RollingZscore:
    """Score: the larger z-score of requests and tokens in the last minute against an hourly profile.

    Each hour of the day keeps a mean and a variance that forget with ``memory_s`` (up to seven days of history
    count); an hour seen seldom leans on the user's overall mean, and that on the population's.
    """

    memory_s: float = 7 * 86_400.0
    minute_s: float = 60.0
    research_only: str | None = None
    prior: Prior = field(
        init=False, default_factory=lambda: Prior(np.zeros(2, np.float32), np.ones(2, np.float32))
    )

    def rows(self, context: Context) -> Value:
        """[n, 4] square roots of requests and thousand tokens in a minute, elapsed seconds, hour of day."""
        g = context.graph
        tokens = (context.amount("prompt_tokens") + context.amount("completion_tokens")) * 1e-3
        amounts = g.concat(context.amount("requests"), tokens)
        rates = decayed_sums(g, "zscore_rates", amounts, QUANTITIES, context.elapsed, [self.minute_s])
        # the tick that ends at midnight belongs to the hour before it
        hour = g.op("Floor", (context.feature("second_of_day") - 0.5) * (1.0 / 3600.0))
        hour = hour + (hour < 0.0).number() * float(HOURS)
        return g.concat(rates.clip(low=0.0).sqrt(), context.elapsed, hour)

    def fit(self, rows: Rows, seed: int) -> None:
        del seed  # nothing is drawn
        clean = rows.take(rows.usable)
        self.prior = Prior.of(clean.values[:, :QUANTITIES], clean.user)

    def score(self, context: Context, rows: Value) -> Value:
        g = context.graph
        fading = lost(rows.columns(2, 3), self.memory_s)
        hour = rows.columns(3, 4) - np.arange(HOURS, dtype=np.float32)[None, :]
        here = (hour.abs() < 0.5).number()
        scores = []
        for i in range(QUANTITIES):
            value = rows.columns(i, i + 1)
            overall = self._learn(
                context, f"zscore_all{i}", value, fading, 1.0, self._prior(i, 1, self.prior.weight)
            )
            hourly = self._learn(context, f"zscore_hour{i}", value, fading, here, self._prior(i, HOURS, 0.0))
            weight, mean, square = ((part * here).sum(HOURS) for part in hourly)
            trust = weight / (weight + SHRINK)
            mean = overall[1] + (mean - overall[1]) * trust
            square = overall[2] + (square - overall[2]) * trust
            deviation = square.clip(low=0.0).sqrt().clip(low=FLOOR).clip(low=mean.abs() * RELATIVE_FLOOR)
            scores.append((value - mean) / deviation)
        return g.op("Max", *scores)

    def _prior(self, i: int, width: int, weight: float) -> NDArray[np.float64]:
        """[3, width] weight, mean and variance of a user never seen."""
        mean, variance = float(self.prior.mean[i]), float(self.prior.variance[i])
        return np.array([[weight] * width, [mean] * width, [variance] * width])

    def _learn(
        self,
        context: Context,
        name: str,
        value: Value,
        fading: Value,
        here: Value | float,
        prior: NDArray[np.float64],
    ) -> tuple[Value, Value, Value]:
        """Weight, mean and variance before the step, for each column of ``here``; they then learn the value."""
        g = context.graph
        parts = [
            g.state(f"{name}_{part}", row)
            for part, row in zip(("weight", "mean", "variance"), prior, strict=True)
        ]
        weight, mean, variance = parts
        grown = weight - weight * fading + here
        share = (1.0 / grown.clip(low=1e-6)) * here
        distance = value - mean
        g.update(f"{name}_weight", grown)
        g.update(f"{name}_mean", mean + distance * share)
        g.update(f"{name}_variance", variance + (distance * distance * (1.0 - share) - variance) * share)
        return weight, mean, variance

    def reference(self, rows: Rows) -> NDArray[np.float64]:
        out = np.zeros(len(rows))
        for one in np.unique(rows.user):
            profile = [
                [self._prior(i, 1, self.prior.weight), self._prior(i, HOURS, 0.0)] for i in range(QUANTITIES)
            ]
            for row in np.flatnonzero(rows.user == one):
                elapsed, hour = float(rows.values[row, 2]), int(rows.values[row, 3])
                fade = np.exp(-elapsed / self.memory_s)
                scores = []
                for i, (overall, hourly) in enumerate(profile):
                    value = float(rows.values[row, i])
                    trust = hourly[0, hour] / (hourly[0, hour] + SHRINK)
                    mean, square = overall[1:, 0] + (hourly[1:, hour] - overall[1:, 0]) * trust
                    deviation = max(np.sqrt(max(square, 0.0)), FLOOR, RELATIVE_FLOOR * abs(mean))
                    scores.append((value - mean) / deviation)
                    for table, at in ((overall, 0), (hourly, hour)):
                        table[0] *= fade
                        table[0, at] += 1.0
                        share, distance = 1.0 / table[0, at], value - table[1, at]
                        table[1, at] += distance * share
                        table[2, at] += (distance**2 * (1 - share) - table[2, at]) * share
                        table[:] = table.astype(np.float32)  # as a state is between steps: roundings add up
                out[row] = max(scores)
        return out
