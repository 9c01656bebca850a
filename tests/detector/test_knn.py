"""Neighbours in the graph against plain numpy."""

from __future__ import annotations

import numpy as np

from detector.stepping import as_rows, graph_score, hard_rows
from seqdetect.detector.knn import Knn
from seqdetect.detector.lof import Lof


def test_distance_to_the_third_nearest() -> None:
    references, queries = hard_rows(400, 0), hard_rows(200, 1)
    detector = Knn(neighbours=3, references=10_000)
    detector.fit(as_rows(references), 0)
    each = np.linalg.norm(queries[:, None].astype(np.float64) - references[None], axis=2)
    np.testing.assert_allclose(graph_score(detector, queries), np.sort(each)[:, 2], rtol=1e-6, atol=1e-12)


def test_close_neighbours_far_from_the_rest_are_told_apart() -> None:
    """Squares of 2,500 leave float32 no digits for distances of a thousandth: the exact ones must decide."""
    rng = np.random.default_rng(0)
    corner = np.full((15, 25), 10.0) - 1e-4 * rng.random((15, 25))
    references = np.concatenate([np.clip(rng.normal(0, 1, (500, 25)), -10, 10), corner]).astype(np.float32)
    detector = Knn(neighbours=5, references=10_000)
    detector.fit(as_rows(references), 0)
    query = np.full((1, 25), 10.0, np.float32)
    each = np.sort(np.linalg.norm(query.astype(np.float64) - references, axis=1))
    np.testing.assert_allclose(graph_score(detector, query), each[4:5], rtol=1e-6)


def test_fewer_references_than_neighbours() -> None:
    values = hard_rows(40, 0)[20:25]
    for detector in (Knn(neighbours=9), Lof(neighbours=9)):
        detector.fit(as_rows(values, users=1), 0)
        assert np.isfinite(graph_score(detector, values)).all()
        np.testing.assert_allclose(
            graph_score(detector, values), detector.reference(as_rows(values)), rtol=1e-5, atol=1e-9
        )


def test_repeated_references_do_not_make_a_density_infinite() -> None:
    values = np.concatenate([np.zeros((100, 25), np.float32), hard_rows(200, 0)])
    detector = Lof(neighbours=10)
    detector.fit(as_rows(values), 0)
    assert np.abs(detector.reference(as_rows(values))).max() < 1e6
