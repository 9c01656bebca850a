"""One code for the whole window, in torch and in the graph."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from detector.stepping import as_rows, hard_rows, largest_difference, walk
from seqdetect.detector.block.context import COLUMNS
from seqdetect.detector.graph import Graph
from seqdetect.detector.lstm_tutorial import Autoencoder, LstmTutorial


@pytest.fixture
def untrained() -> LstmTutorial:
    detector = LstmTutorial(window=4, hidden=6)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        detector.net = Autoencoder(COLUMNS, 6)
    return detector


def walked(detector: LstmTutorial, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """[n] the graph's scores of the steps of one user."""
    graph = Graph(COLUMNS, 1)
    context: Any = SimpleNamespace(graph=graph)
    score = detector.score(context, graph.features)
    return walk(graph, values[:, None], score=(score, 1))["score"][:, 0, 0]


def test_the_window_is_written_from_its_last_code(untrained: LstmTutorial) -> None:
    net = untrained.net
    assert net is not None
    window = torch.from_numpy(hard_rows(40, 0, COLUMNS)).reshape(10, 4, COLUMNS)
    with torch.no_grad():
        code = net.encoder(window)[0][:, -1]
        written = net.output(net.decoder(torch.stack([code] * 4, dim=1))[0])
        wanted = ((written - window) ** 2).mean(dim=2)
        np.testing.assert_allclose(net(window), wanted, rtol=1e-5)


def test_the_graph_scores_alike_while_the_window_is_short_and_after(untrained: LstmTutorial) -> None:
    values = hard_rows(300, 1, COLUMNS)
    reference = untrained.reference(as_rows(values, users=1))
    assert largest_difference(walked(untrained, values), reference) < 1e-5
