"""Training a network on windows of clean steps, with Lightning."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Mapping
from typing import Any, Final

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping
from numpy.typing import NDArray
from torch import Tensor, nn

from seqdetect.detector import Rows
from seqdetect.detector.block.window import windows

log = logging.getLogger(__name__)
for name in ("lightning.pytorch", "lightning.fabric"):
    logging.getLogger(name).setLevel(logging.ERROR)  # our own line per epoch says what matters
Windows = tuple[NDArray[np.float32], NDArray[np.bool_]]
"""``[n, time, D]`` and mask ``[n, time]``; what is masked may hold anything."""
HELD_BACK: Final = 0.1
"""The last part of the training time that early stopping looks at."""
LARGE_BATCH: Final = 1024
"""Windows at a time where nothing is learned from them."""
PATIENCE: Final = 3
"""Epochs without progress after which training stops."""


def clean_windows(rows: Rows, steps: int, limit: int, seed: int) -> tuple[Windows, Windows]:
    """At most ``limit`` windows to train on, and an eighth as many of the time after them to hold back.

    Windows are of usable rows alone, unless there are so few data that every one reaches back into the warm-up.
    """
    rng = np.random.default_rng(seed)
    index, mask = windows(rows.values, rows.user, steps)
    clean = rows.usable & (rows.usable[index] | ~mask).all(axis=1)
    if not clean.any():
        clean = rows.usable
    boundary = np.quantile(rows.tick[clean], 1.0 - HELD_BACK)
    late = np.flatnonzero(clean & (rows.tick >= boundary))
    early = np.flatnonzero(clean & (rows.tick < boundary))
    early = early if len(early) else late
    early = rng.permutation(early)[:limit]
    late = rng.permutation(late)[: max(limit // 8, 1)]
    return (rows.values[index[early]], mask[early]), (rows.values[index[late]], mask[late])


def train(
    net: nn.Module, training: Batches, held_back: Batches, learning_rate: float, trainer: Mapping[str, Any]
) -> list[dict[str, float]]:
    """Train ``net`` in place, which ends with the weights of its best epoch. Returns the losses of every epoch.

    ``net`` gives each step of windows ``[batch, time, D]`` a loss ``[batch, time]``; ``trainer`` are settings of
    Lightning's.
    """
    module = Module(net, learning_rate)
    best = Best()
    lightning.Trainer(
        callbacks=[best, EarlyStopping("validation_loss", patience=PATIENCE)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **trainer,
    ).fit(module, training, held_back)
    module.load_state_dict(best.weights)
    net.cpu().eval()
    return best.history


def in_parts(rows: Rows, steps: int, size: int = 4096) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """The windows of all rows, ``size`` at a time: their rows, ``[size, time, D]`` and mask ``[size, time]``."""
    index, mask = windows(rows.values, rows.user, steps)
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        present = torch.from_numpy(mask[part].astype(np.float32))
        yield part, torch.from_numpy(rows.values[index[part]]) * present[:, :, None], present


class Module(lightning.LightningModule):
    """The mean loss of the steps that are there."""

    def __init__(self, net: nn.Module, learning_rate: float) -> None:
        super().__init__()
        self.net = net
        self.learning_rate = learning_rate

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        window, mask = batch
        loss: Tensor = (self.net(window) * mask).sum() / mask.sum()
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


class Batches:
    """Batches of windows ``[batch, time, D]`` and masks ``[batch, time]``, shuffled where a generator is given."""

    def __init__(self, chosen: Windows, batch: int, generator: torch.Generator | None = None) -> None:
        values, mask = chosen
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
