"""The likelihood of a window, in torch and in the graph, and how steps count less as they age."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from detector.stepping import as_rows, hard_rows, largest_difference, walk
from seqdetect.detector import Rows
from seqdetect.detector.block.context import COLUMNS
from seqdetect.detector.graph import Graph
from seqdetect.detector.lstm_autoencoder import DOUBT, FADE_S, LOG_SCALE, Autoencoder, LstmAutoencoder

# lightning asks torch about trees in a way that torch deprecates
pytestmark = pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*:FutureWarning")


@pytest.fixture
def untrained() -> LstmAutoencoder:
    detector = LstmAutoencoder(window=4, hidden=6, code=3)
    detector.usual = -0.3
    with torch.random.fork_rng():
        torch.manual_seed(0)
        detector.net = Autoencoder(COLUMNS, 6, 3)
    return detector


def with_elapsed(values: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Rows ``[n, D + 1]``: gaps from one tick to a week."""
    gaps = np.random.default_rng(seed).choice([10.0, 60.0, 900.0, 7_200.0, 604_800.0], len(values))
    return np.column_stack([values, gaps]).astype(np.float32)


def walked(detector: LstmAutoencoder, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """[n] the graph's scores of the steps of one user."""
    graph = Graph(COLUMNS + 1, 1)
    context: Any = SimpleNamespace(graph=graph)
    score = detector.score(context, graph.features)
    return walk(graph, values[:, None], score=(score, 1))["score"][:, 0, 0]


def test_the_graph_scores_alike_while_the_window_is_short_and_after(untrained: LstmAutoencoder) -> None:
    values = with_elapsed(hard_rows(300, 1, COLUMNS), 2)
    reference = untrained.reference(as_rows(values, users=1))
    assert largest_difference(walked(untrained, values), reference) < 1e-5


def test_a_step_is_as_surprising_as_a_gaussian_says(untrained: LstmAutoencoder) -> None:
    net = untrained.net
    assert net is not None
    with torch.no_grad():
        for layer in (net.mean, net.log_scale):
            layer.weight.zero_()
            layer.bias.fill_(0.5)
        window = torch.from_numpy(hard_rows(40, 0, COLUMNS)).reshape(10, 4, COLUMNS)
        normal = torch.distributions.Normal(0.5, math.exp(0.5))
        wanted = -normal.log_prob(window).mean(dim=2) - 0.5 * math.log(2.0 * math.pi)
        np.testing.assert_allclose(net(window), wanted, rtol=1e-5)


def test_a_scale_stays_within_its_bounds(untrained: LstmAutoencoder) -> None:
    net = untrained.net
    assert net is not None
    with torch.no_grad():
        net.mean.weight.zero_()
        net.mean.bias.zero_()
        net.log_scale.bias.fill_(-100.0)
        assert net(torch.zeros(1, 4, COLUMNS)).numpy() == pytest.approx(LOG_SCALE[0])


def test_a_step_counts_less_as_it_ages(untrained: LstmAutoencoder) -> None:
    net = untrained.net
    assert net is not None
    with torch.no_grad():  # whatever the window, 0 give or take 1 is written: a step's surprise is its own
        for layer in (net.mean, net.log_scale):
            layer.weight.zero_()
            layer.bias.zero_()
    untrained.usual = 0.5
    values = np.zeros((3, COLUMNS + 1), np.float32)
    values[0, :-1] = 4.0  # a surprise of 8, then of 0 twice
    values[:, -1] = [604_800.0, 60.0, 840.0]
    found = untrained.reference(as_rows(values, users=1))
    for row, ages in enumerate([[0.0], [60.0, 0.0], [900.0, 840.0, 0.0]]):
        weight = np.exp(-np.array(ages) / FADE_S)
        excess = 8.0 * weight[0] - 0.5 * weight.sum()
        np.testing.assert_allclose(found[row], excess / np.sqrt(weight.sum() + DOUBT), rtol=1e-6)


def test_training_keeps_the_best_epoch_and_skips_unusable_rows() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(600, COLUMNS + 1)).astype(np.float32)
    usable = np.ones(600, bool)
    usable[200:260] = False
    values[200:260] = np.nan
    detector = LstmAutoencoder(window=3, hidden=4, trainer={"max_epochs": 3, "accelerator": "cpu"})
    detector.fit(Rows(values, np.arange(600, dtype=np.int32) % 5, np.arange(600), usable), 0)
    losses = [epoch["validation_loss"] for epoch in detector.history]
    assert np.isfinite(losses).all()
    assert min(losses) < losses[0]
    assert LOG_SCALE[0] < detector.usual < LOG_SCALE[1]


@pytest.mark.parametrize("usable", [[False, False, False, True], [True] * 4])
def test_next_to_no_data_is_still_fitted(usable: list[bool]) -> None:
    values = np.random.default_rng(0).normal(size=(4, COLUMNS + 1)).astype(np.float32)
    detector = LstmAutoencoder(window=3, hidden=4, trainer={"max_epochs": 1, "accelerator": "cpu"})
    rows = Rows(values, np.zeros(4, np.int32), np.full(4, 7), np.array(usable))
    detector.fit(rows, 0)
    assert np.isfinite(detector.reference(rows)).all()
