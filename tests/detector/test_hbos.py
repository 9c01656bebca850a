"""HBOS at the edges of its bins, where float32 and float64 could decide differently."""

from __future__ import annotations

import numpy as np

from detector.stepping import as_rows, graph_score, hard_rows
from seqdetect.detector.hbos import Hbos


def test_every_edge_and_its_neighbours_fall_into_pyods_bin() -> None:
    detector = Hbos(bins=7)
    detector.fit(as_rows(hard_rows(2_000, 0)[:, :6] * np.float32(0.37)), 0)
    edges = detector.model.bin_edges_
    width = np.diff(edges, axis=0)[0]
    marks = np.concatenate([edges, edges[:1] - 0.5 * width, edges[-1:] + 0.5 * width]).astype(np.float32)
    nudged = [marks]
    for direction in (np.float32(-np.inf), np.float32(np.inf)):
        once = np.nextafter(marks, direction)
        nudged += [once, np.nextafter(once, direction)]
    values = np.concatenate([*nudged, marks - 5, marks + 5])
    np.testing.assert_allclose(graph_score(detector, values), detector.reference(as_rows(values)), rtol=1e-6)


def test_beyond_the_tolerance_the_emptiest_bin_counts() -> None:
    values = np.repeat(np.arange(10, dtype=np.float32), np.arange(1, 11))[:, None]
    detector = Hbos(bins=9)
    detector.fit(as_rows(values), 0)
    near, far = graph_score(detector, np.array([[9.4], [9.6]], np.float32))
    assert near < far
