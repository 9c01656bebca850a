"""An LSTM autoencoder over a user's last steps (Malhotra et al. 2016), trained with Lightning."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping
from numpy.typing import NDArray
from torch import Tensor, nn

from seqdetect.detector import Rows
from seqdetect.detector.block.context import COLUMNS, Context
from seqdetect.detector.block.window import last_steps, windows
from seqdetect.detector.graph import Graph, Value
from seqdetect.detector.seeding import undisturbed

log = logging.getLogger(__name__)
for name in ("lightning.pytorch", "lightning.fabric"):
    logging.getLogger(name).setLevel(logging.ERROR)  # our own line per epoch says what matters
HELD_BACK: Final = 0.1
"""The last part of the training time that early stopping looks at."""


class Autoencoder(nn.Module):
    """Encodes each step of a window ``[batch, time, feature]`` into a few numbers and writes the window from them.

    One code per step rather than one for the whole window: usual steps are then written almost exactly, and what
    is left over is news. With a single code most of the error is the ordinary raggedness of traffic.
    """

    def __init__(self, features: int, hidden: int, code: int) -> None:
        super().__init__()
        self.encoder = nn.LSTM(features, hidden, batch_first=True)
        self.code = nn.Linear(hidden, code)
        self.decoder = nn.LSTM(code, hidden, batch_first=True)
        self.output = nn.Linear(hidden, features)

    def forward(self, window: Tensor) -> Tensor:
        encoded, _ = self.encoder(window)
        decoded, _ = self.decoder(self.code(encoded))
        out: Tensor = self.output(decoded)
        return out


class Module(lightning.LightningModule):
    """Masked mean squared reconstruction error."""

    def __init__(self, net: Autoencoder, learning_rate: float) -> None:
        super().__init__()
        self.net = net
        self.learning_rate = learning_rate

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        window, mask = batch
        error = ((self.net(window) - window) ** 2).mean(dim=2)
        loss: Tensor = (error * mask).sum() / mask.sum()
        return loss

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        loss = self.loss(batch)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        self.log("validation_loss", self.loss(batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate)


class Best(Callback):
    """Keeps the weights of the best epoch in memory, and the loss of every epoch."""

    def __init__(self) -> None:
        self.history: list[dict[str, float]] = []
        self.weights: dict[str, Tensor] = {}

    def on_validation_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        if trainer.sanity_checking:
            return
        losses = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if all(losses["validation_loss"] < past["validation_loss"] for past in self.history):
            self.weights = copy.deepcopy(pl_module.state_dict())
        self.history.append(losses)
        log.info("epoch %d: validation loss %.4f", len(self.history), losses["validation_loss"])


@dataclass
class LstmAutoencoder:
    """Score: mean squared reconstruction error over the steps and features of the window, absent steps masked."""

    window: int = 16
    """Steps."""
    hidden: int = 32
    code: int = 10
    """Numbers that each step is encoded into; fewer than a row's columns, or nothing is learned."""
    learning_rate: float = 3e-3
    batch_size: int = 256
    fit_windows: int = 40_000
    trainer: Mapping[str, Any] = field(default_factory=lambda: {"max_epochs": 12, "accelerator": "cpu"})
    patience: int = 3
    research_only: str | None = None
    net: Autoencoder | None = field(default=None, init=False)
    history: list[dict[str, float]] = field(default_factory=list, init=False)

    def rows(self, context: Context) -> Value:
        """[n, D] the step in the user's own deviations."""
        return context.z

    def fit(self, rows: Rows, seed: int) -> None:
        rng = np.random.default_rng(seed)
        index, mask = windows(rows.values, rows.user, self.window)
        clean = rows.usable & (rows.usable[index] | ~mask).all(axis=1)
        if not clean.any():  # so little data that every window reaches back into the warm-up
            clean = rows.usable
        boundary = np.quantile(rows.tick[clean], 1.0 - HELD_BACK)
        late = np.flatnonzero(clean & (rows.tick >= boundary))
        early = np.flatnonzero(clean & (rows.tick < boundary))
        early = early if len(early) else late
        early = rng.permutation(early)[: self.fit_windows]
        late = rng.permutation(late)[: self.fit_windows // 8]
        with undisturbed():
            torch.manual_seed(seed)
            generator = torch.Generator().manual_seed(seed)
            self._train(
                Batches(rows.values[index[early]], mask[early], self.batch_size, generator),
                Batches(rows.values[index[late]], mask[late], 1024, None),
            )

    def _train(self, train: Batches, validation: Batches) -> None:
        module = Module(Autoencoder(COLUMNS, self.hidden, self.code), self.learning_rate)
        best = Best()
        trainer = lightning.Trainer(
            callbacks=[best, EarlyStopping("validation_loss", patience=self.patience)],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            **self.trainer,
        )
        trainer.fit(module, train, validation)
        module.load_state_dict(best.weights)
        self.net = module.net.cpu().eval()
        self.history = best.history

    def score(self, context: Context, rows: Value) -> Value:
        assert self.net is not None
        g, steps, width = context.graph, self.window, COLUMNS
        window, mask = last_steps(g, "autoencoder", rows, width, steps)
        wide = mask @ np.kron(np.eye(steps), np.ones((1, width)))
        window = window * wide
        sequence = g.op("Transpose", g.op("Reshape", window, g.integers([-1, steps, width])), perm=[1, 0, 2])
        encoded = lstm(g, sequence, self.net.encoder)
        decoded = lstm(g, linear(encoded, self.net.code), self.net.decoder)
        written = g.op("Transpose", linear(decoded, self.net.output), perm=[1, 0, 2])
        error = (g.op("Reshape", written, g.integers([-1, steps * width])) - window) * wide
        return (error * error).sum(steps * width) / (mask.sum(steps) * float(width))

    def reference(self, rows: Rows) -> NDArray[np.float64]:
        assert self.net is not None
        index, mask = windows(rows.values, rows.user, self.window)
        out = np.empty(len(rows))
        with torch.no_grad():
            for start in range(0, len(rows), 4096):
                part = slice(start, start + 4096)
                present = torch.from_numpy(mask[part])
                window = torch.from_numpy(rows.values[index[part]]) * present[:, :, None]
                error = ((self.net(window) - window) ** 2).mean(dim=2) * present
                out[part] = (error.sum(dim=1) / present.sum(dim=1)).numpy()
        return out


class Batches:
    """Shuffled batches of windows and masks, without a process or a copy more than needed."""

    def __init__(
        self, values: NDArray[Any], mask: NDArray[Any], batch: int, generator: torch.Generator | None
    ) -> None:
        self.mask = torch.from_numpy(mask.astype(np.float32))
        self.values = torch.from_numpy(values) * self.mask[:, :, None]
        self.batch = batch
        self.generator = generator

    def __len__(self) -> int:
        return -(-len(self.values) // self.batch)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        count = len(self.values)
        order = (
            torch.arange(count) if self.generator is None else torch.randperm(count, generator=self.generator)
        )
        for start in range(0, count, self.batch):
            rows = order[start : start + self.batch]
            yield self.values[rows], self.mask[rows]


def linear(values: Value, layer: nn.Linear) -> Value:
    """A torch linear layer on the last axis."""
    out: Value = values @ layer.weight.detach().numpy().T
    return out + layer.bias.detach().numpy()


def lstm(graph: Graph, sequence: Value, layer: nn.LSTM) -> Value:
    """A torch LSTM layer as an ONNX LSTM: ``[time, n, in]`` to ``[time, n, hidden]``.

    torch orders the gates input, forget, cell, output; ONNX input, output, forget, cell.
    """
    hidden = layer.hidden_size

    def gates(name: str) -> NDArray[np.float32]:
        parts = getattr(layer, name).detach().numpy().reshape(4, hidden, -1)
        return np.asarray(parts[[0, 3, 1, 2]].reshape(4 * hidden, -1))

    weights, recurrent = gates("weight_ih_l0")[None], gates("weight_hh_l0")[None]
    bias = np.concatenate([gates("bias_ih_l0"), gates("bias_hh_l0")]).reshape(1, -1)
    constants = [graph.constant(values) for values in (weights, recurrent, bias)]
    every = graph.op("LSTM", sequence, *constants, hidden_size=hidden)
    return graph.op("Squeeze", every, graph.integers([1]))
