"""A probabilistic LSTM autoencoder over a user's last steps, trained with Lightning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqdetect.detector import Rows
from seqdetect.detector.block.context import COLUMNS, Context
from seqdetect.detector.block.window import last_steps
from seqdetect.detector.graph import Graph, Value
from seqdetect.detector.seeding import undisturbed
from seqdetect.detector.torch_graph import flat, linear, lstm, sequence
from seqdetect.detector.window_training import LARGE_BATCH, Batches, clean_windows, in_parts, train

LOG_SCALE: Final = (-1.0, 2.0)
"""Within which a scale's logarithm is kept, in the user's own deviations. A code of a step lets most of it be
written almost exactly; without the lower end errors of a hundredth of a deviation would be alarming."""
FADE_S: Final = 900.0
"""A step weighs 1 / e in the score when it is this old (seconds): an attack of hours ago is none of now."""
DOUBT: Final = 3.0
"""Steps that a window's weight is raised by: one odd step alone is little evidence yet."""


class Autoencoder(nn.Module):
    """Encodes each step of a window ``[batch, time, feature]`` into a few numbers and writes the window from them.

    One code per step rather than one for the whole window: usual steps are then written almost exactly, and what
    is left over is news. With a single code most of the error is the ordinary raggedness of traffic. What is
    written is a mean and a scale for every value, so that an error counts by how large errors usually are there.
    """

    def __init__(self, features: int, hidden: int, code: int) -> None:
        super().__init__()
        self.features = features
        self.encoder = nn.LSTM(features, hidden, batch_first=True)
        self.code = nn.Linear(hidden, code)
        self.decoder = nn.LSTM(code, hidden, batch_first=True)
        self.mean = nn.Linear(hidden, features)
        self.log_scale = nn.Linear(hidden, features)

    def forward(self, window: Tensor) -> Tensor:
        """[batch, time] mean negative log likelihood of each step's values, but for a constant.

        Gaussian: under Student's t the network passes over rare values, and benign ones then score like attacks.
        Columns after the features are passed over.
        """
        window = window[:, :, : self.features]
        encoded, _ = self.encoder(window)
        decoded, _ = self.decoder(self.code(encoded))
        log_scale = self.log_scale(decoded).clamp(*LOG_SCALE)
        error = (window - self.mean(decoded)) * (-log_scale).exp()
        surprise: Tensor = (log_scale + 0.5 * error * error).mean(dim=2)
        return surprise


@dataclass
class LstmAutoencoder:
    """Score: by how much the window's steps are less likely than usual, the older a step the less it counts.

    The excess of their negative log likelihoods is summed and divided by the root of their weight, as a sum of so
    many would vary by chance. A mean would let one odd step weigh as much as ten.
    """

    window: int = 16
    """Steps."""
    hidden: int = 32
    code: int = 10
    """Numbers that each step is encoded into; fewer than a row's columns, or nothing is learned."""
    learning_rate: float = 3e-3
    batch_size: int = 256
    fit_windows: int = 40_000
    trainer: Mapping[str, Any] = field(default_factory=lambda: {"max_epochs": 12, "accelerator": "cpu"})
    research_only: str | None = None
    net: Autoencoder | None = field(default=None, init=False)
    usual: float = field(default=0.0, init=False)
    """Median surprise of a present step."""
    history: list[dict[str, float]] = field(default_factory=list, init=False)

    def rows(self, context: Context) -> Value:
        """[n, D + 1] the step in the user's own deviations, and the seconds since the one before."""
        return context.graph.concat(context.z, context.elapsed)

    def fit(self, rows: Rows, seed: int) -> None:
        training, held_back = clean_windows(rows, self.window, self.fit_windows, seed)
        with undisturbed():
            torch.manual_seed(seed)
            shuffled = Batches(training, self.batch_size, torch.Generator().manual_seed(seed))
            self.net = Autoencoder(COLUMNS, self.hidden, self.code)
            unseen = Batches(held_back, LARGE_BATCH)
            self.history = train(self.net, shuffled, unseen, self.learning_rate, self.trainer)
            with torch.no_grad():
                self.usual = float(self.net(unseen.values)[:, -1].median())

    def score(self, context: Context, rows: Value) -> Value:
        assert self.net is not None
        g, steps, width = context.graph, self.window, COLUMNS
        window, mask = last_steps(g, "autoencoder", rows, width + 1, steps)
        values = window.pick([i for i in range(steps * (width + 1)) if i % (width + 1) < width])
        elapsed = window.pick([i * (width + 1) + width for i in range(steps)])
        age = elapsed @ np.tri(steps, k=-1)
        weight = mask * (age * (-1.0 / FADE_S)).exp()
        excess = written_surprise(g, values, steps, self.net) - self.usual
        return (weight * excess).sum(steps) / (weight.sum(steps) + DOUBT).sqrt()

    def reference(self, rows: Rows) -> NDArray[np.float64]:
        assert self.net is not None
        out = np.empty(len(rows))
        with torch.no_grad():
            for part, window, mask in in_parts(rows, self.window):
                elapsed = window[:, :, -1]
                age = elapsed.sum(dim=1, keepdim=True) - elapsed.cumsum(dim=1)
                weight = mask * (-age / FADE_S).exp()
                excess = (weight * (self.net(window) - self.usual)).sum(dim=1)
                out[part] = (excess / (weight.sum(dim=1) + DOUBT).sqrt()).numpy()
        return out


def written_surprise(graph: Graph, values: Value, steps: int, net: Autoencoder) -> Value:
    """[n, steps] what ``net`` makes of the steps of a window ``[n, steps * feature]``."""
    width = net.features
    encoded = lstm(graph, sequence(graph, values, steps, width), net.encoder)
    decoded = lstm(graph, linear(encoded, net.code), net.decoder)
    mean = flat(graph, linear(decoded, net.mean), steps, width)
    log_scale = flat(graph, linear(decoded, net.log_scale), steps, width).clip(*LOG_SCALE)
    error = (values - mean) * (-log_scale).exp()
    surprise = log_scale + error * error * 0.5
    return surprise @ np.kron(np.eye(steps), np.full((width, 1), 1.0 / width))
