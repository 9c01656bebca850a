"""One-class support vector machine (Schölkopf et al. 2001) with a Gaussian kernel, PyOD's, on single steps."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pyod.models.ocsvm import OCSVM

from seqdetect.detector import Rows, sample
from seqdetect.detector.block.context import COLUMNS, Context
from seqdetect.detector.graph import Value


@dataclass
class Ocsvm:
    """Score: PyOD's ``decision_function``, positive outside the learnt region, at most its offset far away."""

    nu: float = 0.5
    """Least share of the references that become support vectors; PyOD's default."""
    gamma: float = 1.0 / COLUMNS
    """Width of the kernel, per squared deviation; the default is PyOD's ``auto``."""
    references: int = 2_000
    """Rows to fit on; at most 5,000, since the fit takes the square of it."""
    research_only: str | None = None
    model: OCSVM | None = field(default=None, init=False)

    def rows(self, context: Context) -> Value:
        """[n, D] the step in the user's own deviations."""
        return context.z

    def fit(self, rows: Rows, seed: int) -> None:
        self.model = OCSVM(kernel="rbf", nu=self.nu, gamma=self.gamma)
        self.model.fit(sample(rows, self.references, seed).astype(np.float64))

    def score(self, context: Context, rows: Value) -> Value:
        assert self.model is not None
        g, vectors = context.graph, self.model.support_vectors_
        centre = vectors.mean(axis=0).astype(np.float32)
        centred = vectors - centre  # smaller numbers, so that less cancels in the squared distance
        moved = rows - centre[None, :]
        extended = g.concat(moved, (moved * moved).sum(vectors.shape[1]))
        weights = self.gamma * np.vstack([2.0 * centred.T, -np.ones(len(vectors))])
        exponent = extended @ weights - self.gamma * (centred**2).sum(axis=1)[None, :]
        kernel: Value = exponent.clip(high=0.0).exp()
        inside: Value = kernel @ self.model.dual_coef_.T
        return -inside - float(self.model.intercept_[0])

    def reference(self, rows: Rows) -> NDArray[np.float64]:
        assert self.model is not None
        return np.asarray(self.model.decision_function(rows.values.astype(np.float64)))
