"""COPOD (Li et al. 2020), its distribution frozen at fit: tail probabilities under an empirical copula."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from seqdetect.detector import Rows, sample
from seqdetect.detector.block.context import Context
from seqdetect.detector.ecod import Staircase, frozen_sum, skewed_tail, staircase_sum, tail_staircase
from seqdetect.detector.graph import Value


@dataclass
class Copod:
    """Score: sum over columns of the larger of the mean of both tails' -log probability and the skewed side's.

    Frozen at fit as ECOD is (``seqdetect.detector.ecod``), for the same reason and with the same care of ties.
    """

    fit_rows: int = 50_000
    resolution: float = 0.05
    """Log units: values whose tails differ by less share a step. 0 keeps every value of the fit rows apart."""
    research_only: str | None = None
    columns: list[Staircase] = field(default_factory=list, init=False)

    def rows(self, context: Context) -> Value:
        """[n, D] the step in the user's own deviations."""
        return context.z

    def fit(self, rows: Rows, seed: int) -> None:
        fitted = sample(rows, self.fit_rows, seed)
        self.columns = [tail_staircase(column, mean_or_skewed_tail, self.resolution) for column in fitted.T]

    def score(self, context: Context, rows: Value) -> Value:
        return staircase_sum(context.graph, rows, self.columns)

    def reference(self, rows: Rows) -> NDArray[np.float64]:
        return frozen_sum(rows.values, self.columns)


def mean_or_skewed_tail(
    left: NDArray[np.float64], right: NDArray[np.float64], skew: int
) -> NDArray[np.float64]:
    """COPOD's part of one column."""
    return np.maximum((left + right) / 2.0, skewed_tail(left, right, skew))
