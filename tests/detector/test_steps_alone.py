"""Detectors of single steps on rows that are hard on float32: ties, constant columns, extremes, repeats."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from detector.stepping import as_rows, graph_score, hard_rows, largest_difference
from seqdetect.detector import Detector
from seqdetect.detector.autoencoder import Autoencoder
from seqdetect.detector.copod import Copod
from seqdetect.detector.ecod import Ecod
from seqdetect.detector.hbos import Hbos
from seqdetect.detector.iforest import Iforest
from seqdetect.detector.knn import Knn
from seqdetect.detector.lof import Lof
from seqdetect.detector.ocsvm import Ocsvm
from seqdetect.detector.pca import Pca

MADE: dict[str, Callable[[], Detector]] = {
    "autoencoder": lambda: Autoencoder(epochs=2),
    "copod": Copod,
    "ecod": Ecod,
    "hbos": Hbos,
    "iforest": lambda: Iforest(trees=30),
    "knn": Knn,
    "lof": lambda: Lof(references=1_000),
    "ocsvm": lambda: Ocsvm(references=1_000),
    "pca": Pca,
}


@pytest.mark.parametrize("name", sorted(MADE))
def test_parity_on_rows_seen_and_unseen(name: str) -> None:
    detector = MADE[name]()
    seen, unseen = hard_rows(10_000, 0), hard_rows(10_000, 1)
    unseen[:20] *= -1.0
    unseen[:10, 5:7] = 10.0  # constant in training
    detector.fit(as_rows(seen), 0)
    rows = np.concatenate([seen, unseen])
    reference = detector.reference(as_rows(rows))
    assert np.isfinite(reference).all()
    assert largest_difference(graph_score(detector, rows), reference) <= 1e-5


@pytest.mark.parametrize("name", sorted(MADE))
def test_any_batch_gives_the_same_bits(name: str) -> None:
    detector = MADE[name]()
    rows = hard_rows(600, 2)
    detector.fit(as_rows(rows), 0)
    whole = graph_score(detector, rows)
    for part in (slice(0, 1), slice(1, 8), slice(40, 57), slice(300, 431)):
        np.testing.assert_array_equal(graph_score(detector, rows[part]), whole[part])
