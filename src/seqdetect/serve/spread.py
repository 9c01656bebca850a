"""How scores are spread: a histogram per model, counted a whole batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

EDGES: Final = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0)
"""Upper edges. A calibrated score is minus the decimal logarithm of a share of clean steps: of those about a tenth
should be above 1, a hundredth above 2, a thousandth above 3. More than that for long is drift."""
_EDGES: Final = np.array(EDGES, np.float32)  # exact; of the scores' own type they are found faster


class Spread(Collector):
    """The scores of each model so far. The client's own histogram takes one value at a time, which is too slow."""

    def __init__(self) -> None:
        self._counts: dict[str, NDArray[np.int64]] = {}
        self._sums: dict[str, float] = {}

    def add(self, model: str, score: NDArray[np.float32]) -> None:
        """Count scores ``[n]``."""
        bins = np.bincount(np.searchsorted(_EDGES, score, side="left"), minlength=len(EDGES) + 1)
        self._counts[model] = self._counts.get(model, 0) + bins
        self._sums[model] = self._sums.get(model, 0.0) + float(score.sum(dtype=np.float64))

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily("seqdetect_score", "Scores of steps", labels=["model"])
        names = [*(str(edge) for edge in EDGES), "+Inf"]
        for model, counts in list(self._counts.items()):
            below = zip(names, counts.cumsum().tolist(), strict=True)
            family.add_metric([model], [(edge, count) for edge, count in below], self._sums[model])
        yield family
