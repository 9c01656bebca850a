"""torch's layers as ONNX's."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from detector.stepping import walk
from seqdetect.detector.graph import Graph
from seqdetect.detector.torch_graph import flat, linear, lstm, sequence


def test_layers_are_the_same_in_both() -> None:
    torch.manual_seed(0)
    recurrent, last = nn.LSTM(3, 5, batch_first=True), nn.Linear(5, 2)
    steps = np.random.default_rng(0).normal(size=(9, 4, 3)).astype(np.float32)
    g = Graph(12, 1)
    every = linear(lstm(g, sequence(g, g.features, 4, 3), recurrent), last)
    found = walk(g, steps.reshape(1, 9, 12), every=(flat(g, every, 4, 2), 8))
    with torch.no_grad():
        wanted = last(recurrent(torch.from_numpy(steps))[0])
    np.testing.assert_allclose(found["every"][0], wanted.numpy().reshape(9, 8), atol=1e-6)
