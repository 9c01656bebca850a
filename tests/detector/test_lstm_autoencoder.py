"""torch's LSTM as ONNX's, and the autoencoder's windows while they are short."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from detector.stepping import walk
from seqdetect.detector import Rows
from seqdetect.detector.graph import Graph
from seqdetect.detector.lstm_autoencoder import LstmAutoencoder, lstm


def test_a_layer_is_the_same_in_both() -> None:
    torch.manual_seed(0)
    layer = nn.LSTM(3, 5, batch_first=True)
    steps = np.random.default_rng(0).normal(size=(9, 4, 3)).astype(np.float32)
    g = Graph(12, 1)
    sequence = g.op("Transpose", g.op("Reshape", g.features, g.integers([-1, 4, 3])), perm=[1, 0, 2])
    every = lstm(g, sequence, layer)
    flat = g.op("Reshape", g.op("Transpose", every, perm=[1, 0, 2]), g.integers([-1, 20]))
    found = walk(g, steps.reshape(1, 9, 12), every=(flat, 20))
    with torch.no_grad():
        wanted, _ = layer(torch.from_numpy(steps))
    np.testing.assert_allclose(found["every"][0], wanted.numpy().reshape(9, 20), atol=1e-6)


# lightning asks torch about trees in a way that torch deprecates
@pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*:FutureWarning")
def test_training_keeps_the_best_epoch_and_skips_unusable_rows() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(600, 25)).astype(np.float32)
    usable = np.ones(600, bool)
    usable[200:260] = False
    values[200:260] = np.nan
    detector = LstmAutoencoder(window=3, hidden=4, trainer={"max_epochs": 3, "accelerator": "cpu"})
    detector.fit(Rows(values, np.arange(600, dtype=np.int32) % 5, np.arange(600), usable), 0)
    losses = [epoch["validation_loss"] for epoch in detector.history]
    assert np.isfinite(losses).all()
    assert min(losses) < losses[0]


@pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*:FutureWarning")
@pytest.mark.parametrize("usable", [[False, False, False, True], [True] * 4])
def test_next_to_no_data_is_still_fitted(usable: list[bool]) -> None:
    values = np.random.default_rng(0).normal(size=(4, 25)).astype(np.float32)
    detector = LstmAutoencoder(window=3, hidden=4, trainer={"max_epochs": 1, "accelerator": "cpu"})
    rows = Rows(values, np.zeros(4, np.int32), np.full(4, 7), np.array(usable))
    detector.fit(rows, 0)
    assert np.isfinite(detector.reference(rows)).all()
