"""Principal component classifier (Shyu et al. 2003), PyOD's, on single steps."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pyod.models.pca import PCA
from sklearn.preprocessing import StandardScaler

from seqdetect.detector import Rows, sample
from seqdetect.detector.block.context import Context
from seqdetect.detector.graph import Value


@dataclass
class Pca:
    """Score: PyOD's ``decision_function``, the distances to all eigenvectors, each over its share of variance.

    Directions with next to no variance (constant columns, sums of other columns) are left out: their weight,
    one over almost nothing, would drown all others.
    """

    least_share: float = 1e-3
    """Least share of the variance that a direction must explain."""
    fit_rows: int = 50_000
    research_only: str | None = None
    model: PCA | None = field(default=None, init=False)

    def rows(self, context: Context) -> Value:
        """[n, D] the step in the user's own deviations."""
        return context.z

    def fit(self, rows: Rows, seed: int) -> None:
        fitted = sample(rows, self.fit_rows, seed).astype(np.float64)
        self.model = PCA(n_components=directions(fitted, self.least_share), random_state=seed)
        self.model.fit(fitted)
        # the graph holds float32: with a mean that is one, the difference to it is the same there and here
        self.model.scaler_.mean_ = self.model.scaler_.mean_.astype(np.float32).astype(np.float64)

    def score(self, context: Context, rows: Value) -> Value:
        assert self.model is not None
        scaler, vectors = self.model.scaler_, self.model.selected_components_
        width, count = vectors.shape[1], len(vectors)
        scaled: Value = (rows - scaler.mean_[None, :]) * (1.0 / scaler.scale_[None, :])
        square = (scaled * scaled).sum(width) + (vectors**2).sum(axis=1)[None, :]
        distance: Value = (square - scaled @ (2.0 * vectors.T)).clip(low=0.0).sqrt()
        weighted: Value = distance * (1.0 / self.model.selected_w_components_[None, :])
        return weighted.sum(count)

    def reference(self, rows: Rows) -> NDArray[np.float64]:
        assert self.model is not None
        return np.asarray(self.model.decision_function(rows.values.astype(np.float64)))


def directions(values: NDArray[np.float64], least_share: float) -> int:
    """How many principal directions of the standardised ``values [n, D]`` explain at least ``least_share``."""
    scaled = StandardScaler().fit_transform(values)
    share = np.linalg.eigvalsh(scaled.T @ scaled)
    return max(int((share / max(share.sum(), 1e-30) >= least_share).sum()), 1)
