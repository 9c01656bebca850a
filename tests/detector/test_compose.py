"""The calibrated tail as graph nodes is the tail as numpy."""

from __future__ import annotations

import numpy as np

from detector.stepping import walk
from seqdetect.calibration.tail import fit_tail
from seqdetect.detector.compose import write_tail
from seqdetect.detector.graph import Graph


def test_the_graph_draws_the_same_curve() -> None:
    rng = np.random.default_rng(0)
    tail = fit_tail(rng.gamma(2.0, 3.0, 30_000))
    raw = np.concatenate([rng.gamma(2.0, 3.0, 500), [-50.0, 0.0, 400.0], tail.knot])
    g = Graph(1, 1)
    found = walk(g, raw[None, :, None], score=(write_tail(g, g.features, tail), 1))["score"][0, :, 0]
    np.testing.assert_allclose(found, tail(raw), rtol=1e-4, atol=1e-5)
    assert found[500] == 0.0
