"""PCA where some directions have no variance."""

from __future__ import annotations

import numpy as np

from detector.stepping import as_rows, hard_rows
from seqdetect.detector.pca import Pca, directions


def test_constant_and_repeated_columns_are_no_directions() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(500, 4))
    assert directions(values, 1e-3) == 4
    assert directions(np.column_stack([values, values[:, 0], np.ones(500)]), 1e-3) == 4
    assert directions(np.ones((10, 3)), 1e-3) == 1


def test_weights_stay_in_proportion() -> None:
    detector = Pca()
    detector.fit(as_rows(hard_rows(2_000, 0)), 0)
    share = detector.model.selected_w_components_
    assert share.min() >= 1e-3
    assert len(share) == 23  # all but the two constant ones
