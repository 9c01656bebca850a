"""Histogram-based outlier score (Goldstein and Dengel 2012), PyOD's, on single steps."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pyod.models.hbos import HBOS

from seqdetect.detector import Rows, sample
from seqdetect.detector.block.context import Context
from seqdetect.detector.ecod import Staircase, staircase_sum
from seqdetect.detector.graph import Value

UP = np.float32(np.inf)


@dataclass
class Hbos:
    """Score: PyOD's ``decision_function``, minus the sum over columns of log2(density + ``alpha``).

    A value outside the histogram by at most ``tolerance`` bin widths counts as the outermost bin, further out
    as the emptiest bin of the column.
    """

    bins: int = 40
    """Equal in width, about half a deviation each when the extremes are in the fit rows."""
    alpha: float = 0.01
    """Density that counts as empty. PyOD's 0.1 exceeds that of most bins two deviations out: a burst that leaves all
    histograms then scores no higher than an odd ordinary step."""
    tolerance: float = 0.5
    fit_rows: int = 50_000
    research_only: str | None = None
    model: HBOS | None = field(default=None, init=False)

    def rows(self, context: Context) -> Value:
        """[n, D] the step in the user's own deviations."""
        return context.z

    def fit(self, rows: Rows, seed: int) -> None:
        self.model = HBOS(n_bins=self.bins, alpha=self.alpha, tol=self.tolerance)
        self.model.fit(sample(rows, self.fit_rows, seed).astype(np.float64))

    def score(self, context: Context, rows: Value) -> Value:
        assert self.model is not None
        return staircase_sum(context.graph, rows, staircases(self.model))

    def reference(self, rows: Rows) -> NDArray[np.float64]:
        assert self.model is not None
        return np.asarray(self.model.decision_function(rows.values.astype(np.float64)))


def staircases(model: HBOS) -> list[Staircase]:
    """Each column's histogram as a step function of float32 values."""
    out = []
    for density, edge in zip(model.hist_.T, model.bin_edges_.T, strict=True):
        part = -np.log2(density + model.alpha)
        inner = [_reach(e, 0.0) for e in edge[1:-1]]
        above = _reach(edge[-1], (edge[-1] - edge[-2]) * model.tol)
        below = np.nextafter(-_reach(-edge[0], (edge[1] - edge[0]) * model.tol), -UP)
        bound = np.array([below, *inner, above], np.float32)
        out.append(Staircase(bound, np.concatenate(([part.max()], part, [part.max()]))))
    return out


def _reach(edge: float, distance: float) -> np.float32:
    """The largest float32 that PyOD still counts as within ``distance`` above ``edge``."""
    value = np.float32(edge + distance)
    while float(value) - edge > distance:
        value = np.nextafter(value, -UP)
    while float(np.nextafter(value, UP)) - edge <= distance:
        value = np.nextafter(value, UP)
    return value
