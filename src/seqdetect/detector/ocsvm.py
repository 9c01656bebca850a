"""One-class support vector machine (Schölkopf et al. 2001) with a Gaussian kernel, PyOD's, on single steps."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto
from pyod.models.ocsvm import OCSVM

from seqdetect.detector import Rows, sample
from seqdetect.detector.block.context import Context
from seqdetect.detector.graph import PACKET, Value


@dataclass
class Ocsvm:
    """Score: PyOD's ``decision_function``, positive outside the learnt region, at most its offset far away."""

    nu: float = 0.5
    """Least share of the references that become support vectors; PyOD's default."""
    gamma: float | str = "scale"
    """Width of the kernel, per squared unit; ``scale`` is one over the references' total variance, so that heavy
    tails do not leave every row alone with itself."""
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
        g, fitted = context.graph, self.model.detector_
        padding = ((0, -len(fitted.support_vectors_) % PACKET), (0, 0))
        vectors = np.pad(fitted.support_vectors_, padding)
        weights = np.pad(fitted.dual_coef_.T, padding)
        # in float64: the sum is compared to an offset that is nearly the same wherever kernels are narrow
        point = g.op("Cast", rows, to=TensorProto.DOUBLE)
        square = g.op("ReduceSum", point * point, g.integers([1]))
        cross = g.op("MatMul", point, g.constant(2.0 * vectors.T, np.float64))
        apart = square + g.constant((vectors**2).sum(axis=1)[None, :], np.float64) - cross
        kernel: Value = (apart * g.constant(-fitted._gamma, np.float64)).exp()
        inside = g.op("MatMul", kernel, g.constant(weights, np.float64))
        score = -inside - g.constant(fitted.intercept_, np.float64)
        return g.op("Cast", score, to=TensorProto.FLOAT)

    def reference(self, rows: Rows) -> NDArray[np.float64]:
        assert self.model is not None
        return np.asarray(self.model.decision_function(rows.values.astype(np.float64)))
