"""Local outlier factor (Breunig et al. 2000), PyOD's, of new steps among references."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto
from pyod.models.lof import LOF

from seqdetect.detector import Rows, sample
from seqdetect.detector.block.context import Context
from seqdetect.detector.graph import Value
from seqdetect.detector.knn import nearest


@dataclass
class Lof:
    """Score: PyOD's ``decision_function``: how much sparser it is around the row than around its neighbours.

    Near 1 where the row lies as densely as they do. References are distinct: where more copies of one point
    than ``neighbours`` were kept, its density would be infinite.
    """

    neighbours: int = 20
    references: int = 2_000
    """Rows kept to compare with; at most 5,000."""
    research_only: str | None = None
    model: LOF | None = field(default=None, init=False)
    kept: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32), init=False)

    def rows(self, context: Context) -> Value:
        """[n, D] the step in the user's own deviations."""
        return context.z

    def fit(self, rows: Rows, seed: int) -> None:
        self.kept = np.unique(sample(rows, self.references, seed), axis=0)
        self.model = LOF(n_neighbors=min(self.neighbours, len(self.kept) - 1))
        self.model.fit(self.kept.astype(np.float64))

    def score(self, context: Context, rows: Value) -> Value:
        assert self.model is not None
        g, fitted = context.graph, self.model.detector_
        count = fitted.n_neighbors_
        distance, index = nearest(g, rows, self.kept, count)
        reach = g.constant(fitted._distances_fit_X_[:, -1], np.float64)
        density = g.constant(fitted._lrd, np.float64)
        reached = g.op("Max", distance, g.op("Gather", reach, index, axis=0))
        around = g.op("ReduceMean", g.op("Gather", density, index, axis=0), g.integers([1]))
        # 1e-10 is scikit-learn's guard against a zero distance
        here = g.op("ReduceMean", reached, g.integers([1])) + g.constant(1e-10, np.float64)
        return g.op("Cast", around * here, to=TensorProto.FLOAT)

    def reference(self, rows: Rows) -> NDArray[np.float64]:
        assert self.model is not None
        return np.asarray(self.model.decision_function(rows.values.astype(np.float64)))
