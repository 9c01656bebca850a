"""Distance to the k-th nearest neighbour (Ramaswamy et al. 2000), PyOD's, and neighbours as graph nodes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto
from pyod.models.knn import KNN

from seqdetect.detector import Rows, sample
from seqdetect.detector.block.context import Context
from seqdetect.detector.graph import Graph, Value

SPARE: Final = 12
"""Further candidates whose exact distance is computed, should float32 have ranked the nearest wrongly."""


@dataclass
class Knn:
    """Score: PyOD's ``decision_function``, the distance to the ``neighbours``-th nearest of the references."""

    neighbours: int = 5
    references: int = 2_000
    """Rows kept to measure distances to; at most 5,000."""
    research_only: str | None = None
    model: KNN | None = field(default=None, init=False)
    kept: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32), init=False)

    def rows(self, context: Context) -> Value:
        """[n, D] the step in the user's own deviations."""
        return context.z

    def fit(self, rows: Rows, seed: int) -> None:
        self.kept = sample(rows, self.references, seed)
        self.model = KNN(n_neighbors=min(self.neighbours, len(self.kept) - 1))
        self.model.fit(self.kept.astype(np.float64))

    def score(self, context: Context, rows: Value) -> Value:
        assert self.model is not None
        distance, _ = nearest(context.graph, rows, self.kept, self.model.n_neighbors)
        last = distance.columns(self.model.n_neighbors - 1, self.model.n_neighbors)
        return context.graph.op("Cast", last, to=TensorProto.FLOAT)

    def reference(self, rows: Rows) -> NDArray[np.float64]:
        assert self.model is not None
        return np.asarray(self.model.decision_function(rows.values.astype(np.float64)))


def nearest(graph: Graph, rows: Value, references: NDArray[np.float32], count: int) -> tuple[Value, Value]:
    """Euclidean distances of ``rows [n, D]`` to the ``count`` nearest references, ascending, and their indices.

    Both ``[n, count]``, float64 and int64. A matrix product in float32 picks a few candidates more than wanted;
    only theirs are exact. Differences of squares would not be near the references.
    """
    candidates = min(count + SPARE, len(references))
    centre = references.mean(axis=0, dtype=np.float64).astype(np.float32)
    centred = references.astype(np.float64) - centre
    closeness = (rows - centre[None, :]) @ (2.0 * centred.T) - (centred**2).sum(axis=1)[None, :]
    _, index = graph.ops("TopK", closeness, graph.integers([candidates]), outputs=2)
    exact = graph.op("Gather", graph.constant(references, np.float64), index, axis=0)
    point = graph.op("Unsqueeze", graph.op("Cast", rows, to=TensorProto.DOUBLE), graph.integers([1]))
    difference = exact - point
    square = graph.op("ReduceSum", difference * difference, graph.integers([2]), keepdims=0)
    found, place = graph.ops("TopK", square, graph.integers([count]), outputs=2, largest=0)
    return found.sqrt(), graph.op("GatherElements", index, place, axis=1)
