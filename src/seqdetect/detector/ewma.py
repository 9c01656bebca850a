"""An adaptive EWMA control chart of requests and tokens per minute."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from seqdetect.detector import Rows
from seqdetect.detector.block.context import Context
from seqdetect.detector.block.decay import decayed_sums
from seqdetect.detector.block.normal import LEAST_WEIGHT, Prior, normalise
from seqdetect.detector.graph import Value

FLOOR: Final = 0.05
RELATIVE_FLOOR: Final = 0.02
"""A change by this share of the mean is never many deviations, however steady the user: it is also as fine as
single precision can tell apart."""
WINSOR: Final = 3.0


@dataclass
class Ewma:
    """Score: the larger of two z-scores, of the short EWMA of requests and of tokens against their long one.

    Rates are compared as square roots, which makes the spread of counts independent of their size. The long
    mean and variance follow at most three deviations at a time (Roberts 1959; adaptive form after Capizzi and
    Masarotto 2003).
    """

    short_s: float = 120.0
    long_s: float = 86_400.0
    research_only: str | None = None
    prior: Prior = field(
        init=False, default_factory=lambda: Prior(np.zeros(2, np.float32), np.ones(2, np.float32))
    )

    def rows(self, context: Context) -> Value:
        """[n, 3] square roots of the decayed requests and thousand tokens per minute, and the elapsed seconds."""
        g = context.graph
        tokens = (context.amount("prompt_tokens") + context.amount("completion_tokens")) * 1e-3
        amounts = g.concat(context.amount("requests"), tokens)
        rates = decayed_sums(g, "ewma_rates", amounts, 2, context.elapsed, [self.short_s]) * (
            60.0 / self.short_s
        )
        return g.concat(rates.clip(low=0.0).sqrt(), context.elapsed)

    def fit(self, rows: Rows, seed: int) -> None:
        del seed  # nothing is drawn
        clean = rows.take(rows.usable)
        self.prior = Prior.of(clean.values[:, :2], clean.user)

    def score(self, context: Context, rows: Value) -> Value:
        normal = normalise(
            context.graph,
            "ewma",
            rows.columns(0, 2),
            rows.columns(2, 3),
            self.prior,
            self.long_s,
            np.full(2, FLOOR),
            WINSOR,
            RELATIVE_FLOOR,
        )
        return context.graph.op("Max", normal.z.columns(0, 1), normal.z.columns(1, 2))

    def reference(self, rows: Rows) -> NDArray[np.float64]:
        # in single precision, as the chart's running statistics are kept
        out = np.zeros(len(rows))
        for one in np.unique(rows.user):
            weight = np.float32(self.prior.weight)
            mean, variance = self.prior.mean, self.prior.variance
            for row in np.flatnonzero(rows.user == one):
                value, elapsed = rows.values[row, :2], rows.values[row, 2]
                deviation = np.maximum(np.sqrt(variance), np.maximum(FLOOR, RELATIVE_FLOOR * np.abs(mean)))
                out[row] = ((value - mean) / deviation).max()
                # expm1, since an exp near 1 has lost its digits
                weight = max(weight + weight * np.expm1(-elapsed / self.long_s), LEAST_WEIGHT) + 1.0
                heard = np.clip(value - mean, -WINSOR * deviation, WINSOR * deviation)
                # a state is float32 between steps, and its roundings add up
                weight = np.float32(weight)
                mean, variance = (
                    update.astype(np.float32).astype(np.float64)
                    for update in (mean + heard / weight, variance + (heard**2 - variance) / weight)
                )
        return out
