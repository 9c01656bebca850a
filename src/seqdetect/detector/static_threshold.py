"""The rule everybody starts with: tokens in the last five minutes against the user's mean + k sigma."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from seqdetect.detector import Rows
from seqdetect.detector.block.context import Context
from seqdetect.detector.graph import Value

SLOT_S: Final = 10.0
"""The window is kept in slots of this length; with the default tick that is one slot a tick, which is exact."""
PRIOR_STEPS: Final = 30.0
LEAST_DEVIATION: Final = 0.02
"""Of the mean: a smaller deviation is counted as this, which is as fine as single precision can tell apart."""


@dataclass
class StaticThreshold:
    """Score: how many of the user's own standard deviations the tokens of the window lie above the mean.

    The mean and deviation are those of all the user's earlier steps; a new user starts at the population's,
    which weighs as much as ``PRIOR_STEPS`` steps. Nothing is forgotten and nothing is robust: this is the
    baseline as people deploy it.
    """

    window_s: float = 300.0
    research_only: str | None = None
    mean: float = field(default=0.0, init=False)
    variance: float = field(default=1.0, init=False)

    @property
    def slots(self) -> int:
        return round(self.window_s / SLOT_S)

    def rows(self, context: Context) -> Value:
        """[n, 3] tokens of the step, seconds since the previous one, second of the day."""
        tokens = context.amount("prompt_tokens") + context.amount("completion_tokens")
        return context.graph.concat(tokens, context.elapsed, context.feature("second_of_day"))

    def fit(self, rows: Rows, seed: int) -> None:
        del seed  # nothing is drawn
        sums = self._window_sums(rows)[rows.usable]
        user = rows.user[rows.usable]
        means = np.array([sums[user == one].mean() for one in np.unique(user)])
        within = np.array([sums[user == one].var() for one in np.unique(user)])
        self.mean, self.variance = float(np.median(means)), float(max(np.median(within), 1.0))

    def score(self, context: Context, rows: Value) -> Value:
        g = context.graph
        total = self._ring(context, rows)
        count = g.state("static_count", [PRIOR_STEPS])
        mean = g.state("static_mean", [self.mean])
        variance = g.state("static_variance", [self.variance])
        grown = count + 1.0
        distance = total - mean
        g.update("static_count", grown)
        g.update("static_mean", mean + distance / grown)
        g.update("static_variance", variance + (distance * distance * (count / grown) - variance) / grown)
        return distance / variance.sqrt().clip(low=1.0).clip(low=mean * LEAST_DEVIATION)

    def _ring(self, context: Context, rows: Value) -> Value:
        """[n, 1] tokens of the window: one slot per tick of it, those that time has passed over emptied."""
        g, n = context.graph, self.slots
        ring = g.state("static_window", np.zeros(n))
        now = rows.columns(2, 3) * (1.0 / SLOT_S)
        now = g.op("Floor", now + 0.5)
        slot = now - g.op("Floor", (now + 0.5) * (1.0 / n)) * float(n)
        age = slot - np.arange(n, dtype=np.float32)[None, :]
        age = age + (age < 0.0).number() * float(n)
        gone = rows.columns(1, 2) * (1.0 / SLOT_S) - 0.5
        kept = ring * (age >= gone).number()
        filled = kept + (age < 0.5).number() * rows.columns(0, 1)
        g.update("static_window", filled)
        return filled.sum(n)

    def reference(self, rows: Rows) -> NDArray[np.float64]:
        sums = self._window_sums(rows)
        out = np.zeros(len(rows))
        for one in np.unique(rows.user):
            mine = np.flatnonzero(rows.user == one)
            count, mean, variance = PRIOR_STEPS, self.mean, self.variance
            for row in mine:
                distance = sums[row] - mean
                out[row] = distance / max(np.sqrt(variance), 1.0, LEAST_DEVIATION * mean)
                # a state is float32 between steps, and its roundings add up
                variance += (distance**2 * count / (count + 1) - variance) / (count + 1)
                mean, variance = float(np.float32(mean + distance / (count + 1))), float(np.float32(variance))
                count += 1
        return out

    def _window_sums(self, rows: Rows) -> NDArray[np.float64]:
        out = np.zeros(len(rows))
        for one in np.unique(rows.user):
            mine = np.flatnonzero(rows.user == one)
            total = np.concatenate(([0.0], np.cumsum(rows.values[mine, 0], dtype=np.float64)))
            tick = rows.tick[mine] / 1e6
            begin = np.searchsorted(tick, tick - self.window_s + SLOT_S / 2)
            out[mine] = total[1:] - total[begin]
        return out
