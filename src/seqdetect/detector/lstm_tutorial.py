"""The usual LSTM autoencoder of tutorials (Malhotra et al. 2016): one code for a whole window of a user's steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqdetect.detector import Rows
from seqdetect.detector.block.context import COLUMNS, Context
from seqdetect.detector.block.window import last_steps
from seqdetect.detector.graph import Value
from seqdetect.detector.seeding import undisturbed
from seqdetect.detector.torch_graph import flat, linear, lstm, sequence
from seqdetect.detector.window_training import LARGE_BATCH, Batches, clean_windows, in_parts, train


class Autoencoder(nn.Module):
    """Reads a window ``[batch, time, feature]`` and writes it from the encoder's last hidden state alone."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.encoder = nn.LSTM(features, hidden, batch_first=True)
        self.decoder = nn.LSTM(hidden, hidden, batch_first=True)
        self.output = nn.Linear(hidden, features)

    def forward(self, window: Tensor) -> Tensor:
        """[batch, time] the mean squared error of each step."""
        _, (last, _) = self.encoder(window)
        decoded, _ = self.decoder(last[0][:, None, :].expand(-1, window.shape[1], -1))
        error: Tensor = ((self.output(decoded) - window) ** 2).mean(dim=2)
        return error


@dataclass
class LstmTutorial:
    """Score: mean squared reconstruction error over the steps and features of the window, absent steps masked."""

    window: int = 16
    """Steps."""
    hidden: int = 32
    learning_rate: float = 3e-3
    batch_size: int = 256
    fit_windows: int = 40_000
    trainer: Mapping[str, Any] = field(default_factory=lambda: {"max_epochs": 12, "accelerator": "cpu"})
    research_only: str | None = None
    net: Autoencoder | None = field(default=None, init=False)
    history: list[dict[str, float]] = field(default_factory=list, init=False)

    def rows(self, context: Context) -> Value:
        """[n, D] the step in the user's own deviations."""
        return context.z

    def fit(self, rows: Rows, seed: int) -> None:
        training, held_back = clean_windows(rows, self.window, self.fit_windows, seed)
        with undisturbed():
            torch.manual_seed(seed)
            shuffled = Batches(training, self.batch_size, torch.Generator().manual_seed(seed))
            self.net = Autoencoder(COLUMNS, self.hidden)
            self.history = train(
                self.net, shuffled, Batches(held_back, LARGE_BATCH), self.learning_rate, self.trainer
            )

    def score(self, context: Context, rows: Value) -> Value:
        assert self.net is not None
        g, steps, width = context.graph, self.window, COLUMNS
        window, mask = last_steps(g, "tutorial", rows, width, steps)
        encoded = lstm(g, sequence(g, window, steps, width), self.net.encoder)
        # the window ends with the present step, so the last code is of a step that is there
        last = g.op("Slice", encoded, g.integers([steps - 1]), g.integers([steps]), g.integers([0]))
        repeated = g.op("Expand", last, g.integers([steps, 1, 1]))
        written = linear(lstm(g, repeated, self.net.decoder), self.net.output)
        error = (flat(g, written, steps, width) - window) * (
            mask @ np.kron(np.eye(steps), np.ones((1, width)))
        )
        return (error * error).sum(steps * width) / (mask.sum(steps) * float(width))

    def reference(self, rows: Rows) -> NDArray[np.float64]:
        assert self.net is not None
        out = np.empty(len(rows))
        with torch.no_grad():
            for part, window, mask in in_parts(rows, self.window):
                out[part] = ((self.net(window) * mask).sum(dim=1) / mask.sum(dim=1)).numpy()
        return out
