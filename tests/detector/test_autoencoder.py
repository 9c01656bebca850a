"""The autoencoder: its seed is its own affair, and columns that never moved cannot blow up."""

from __future__ import annotations

import os
import random

import numpy as np
import torch

from detector.stepping import as_rows, graph_score, hard_rows
from seqdetect.detector.autoencoder import Autoencoder, layers


def small() -> Autoencoder:
    return Autoencoder(hidden=(8, 4), epochs=1)


def test_fitting_leaves_everybody_elses_randomness_alone(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("PYTHONHASHSEED", "17")
    random.seed(1)
    torch.manual_seed(1)
    undisturbed = random.random(), torch.rand(1).item()
    random.seed(1)
    torch.manual_seed(1)
    small().fit(as_rows(hard_rows(300, 0)), 5)
    assert (random.random(), torch.rand(1).item()) == undisturbed
    assert os.environ["PYTHONHASHSEED"] == "17"


def test_seeds_matter() -> None:
    rows = as_rows(hard_rows(600, 0))
    scores = []
    for seed in (0, 0, 1):
        detector = small()
        detector.fit(rows, seed)
        scores.append(detector.reference(rows))
    np.testing.assert_array_equal(scores[0], scores[1])
    assert not np.allclose(scores[0], scores[2])


def test_layers_are_the_network() -> None:
    detector = small()
    detector.fit(as_rows(hard_rows(600, 0)), 0)
    net = detector.model.model.eval()
    given = np.random.default_rng(0).normal(size=(50, 25))
    written = given
    for weights, bias, rectified in layers(net):
        written = written @ weights + bias
        written = np.maximum(written, 0.0) if rectified else written
    with torch.no_grad():
        wanted = net(torch.from_numpy(given.astype(np.float32))).numpy()
    np.testing.assert_allclose(written, wanted, rtol=1e-4, atol=1e-5)


def test_a_column_constant_in_training_may_move_later() -> None:
    values = hard_rows(600, 0)
    detector = small()
    detector.fit(as_rows(values), 0)
    values[:, 5] = 0.3
    assert graph_score(detector, values).max() < 1e3
    np.testing.assert_allclose(graph_score(detector, values), detector.reference(as_rows(values)), rtol=1e-5)
