"""A recurrent marked point process (Du et al. 2016): what a user does next, and when, given all it did before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log
from typing import Final

import lightning
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from seqdetect.detector import Rows
from seqdetect.detector.block.context import COLUMNS
from seqdetect.sequence.features import INDEX

MARKS: Final = tuple(INDEX[name] for name in ("gap", "requests", "prompt_mean", "completion_mean"))
"""Columns of a row that are predicted, in the order in which each is told to the next."""
CLOCK: Final = 3
"""Columns after the deviations: two of the time of day, then log(1 + elapsed seconds)."""
LIMIT: Final = 6.0
"""Deviations are read and predicted up to this."""
COMPONENTS: Final = 3
SCALES: Final = (log(0.1), log(4.0))
"""Log-scales of a component, in deviations. The lower end keeps a constant mark from being infinitely probable."""
PREFERENCE: Final = 4.0
"""Bound of a component's log-weight."""
LOGIT_SCALE: Final = 1.702
"""A logit over this is a normal deviate within 0.01 in probability (Camilli 1994)."""
SCORE_LIMIT: Final = log(1e5 - 1.0) / LOGIT_SCALE
"""Of a normal score: a mark that one step in a hundred thousand would pass; further out the model knows nothing."""
BURN_IN: Final = 16
"""Steps that a chunk reads before its first prediction counts, so that it does not start from nothing."""


class PointProcess(nn.Module):
    """A GRU reads the steps; from its state before a step, each mark is a mixture of logistic distributions.

    Logistic rather than normal: both tails keep all their digits in single precision.
    """

    known: Tensor

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.reader = nn.GRU(COLUMNS + CLOCK, hidden, batch_first=True)
        self.head = nn.Linear(hidden + CLOCK - 1 + len(MARKS), 3 * len(MARKS) * COMPONENTS)
        self.register_buffer("known", _known(hidden))

    @property
    def weight(self) -> Tensor:
        """Of the head, without what is not known yet when a mark is predicted."""
        return self.head.weight * self.known

    def read(self, rows: Tensor) -> Tensor:
        """What the GRU reads of ``rows [..., D]``."""
        return torch.cat([rows[..., :COLUMNS].clamp(-LIMIT, LIMIT), rows[..., COLUMNS:][..., :CLOCK]], -1)

    def mixtures(self, before: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Distances in scales, log-scales and log-weights (not normalised), each ``[..., mark, component]``.

        ``before [..., hidden]`` is the state before the step that ``rows [..., D]`` hold.
        """
        marks = rows[..., list(MARKS)].clamp(-LIMIT, LIMIT)
        told = torch.cat([before, rows[..., COLUMNS : COLUMNS + CLOCK - 1], marks], -1)
        out = functional.linear(told, self.weight, self.head.bias)
        mean, scale, weight = out.view(*out.shape[:-1], 3, len(MARKS), COMPONENTS).unbind(-3)
        scale = scale.clamp(*SCALES)
        return (marks[..., None] - mean) * torch.exp(-scale), scale, weight.clamp(-PREFERENCE, PREFERENCE)

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``mixtures`` of sequences ``[batch, time, D]`` that begin with an empty state."""
        after, _ = self.reader(self.read(rows))
        return self.mixtures(functional.pad(after[:, :-1], (0, 0, 1, 0)), rows)


def _known(hidden: int) -> Tensor:
    """[outputs, inputs] 1 where a mark may look: the gap at the state alone, since the time would tell it."""
    mark = torch.arange(len(MARKS)).repeat_interleave(COMPONENTS).repeat(3)[:, None]
    state = torch.ones(len(mark), hidden)
    time = (mark > 0).float().expand(-1, CLOCK - 1)
    return torch.cat([state, time, (torch.arange(len(MARKS))[None, :] < mark).float()], 1)


def normal_score(distance: Tensor, scale: Tensor, weight: Tensor) -> Tensor:
    """``[..., mark]`` how far up its mixture a mark lies, as a standard normal deviate, within ``SCORE_LIMIT``."""
    del scale  # the distance is in scales already
    below = torch.logsumexp(functional.logsigmoid(distance) + weight, -1)
    above = torch.logsumexp(functional.logsigmoid(-distance) + weight, -1)
    return ((below - above) / LOGIT_SCALE).clamp(-SCORE_LIMIT, SCORE_LIMIT)


def negative_log_density(distance: Tensor, scale: Tensor, weight: Tensor) -> Tensor:
    """``[..., mark]`` of the mixtures that ``PointProcess.mixtures`` describes."""
    one = -distance - 2.0 * functional.softplus(-distance) - scale
    return -torch.logsumexp(one + torch.log_softmax(weight, -1), -1)


class Module(lightning.LightningModule):
    """Mean negative log density of the usable steps, summed over the marks."""

    def __init__(self, net: PointProcess, learning_rate: float) -> None:
        super().__init__()
        self.net = net
        self.learning_rate = learning_rate

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        rows, counted = batch
        each = negative_log_density(*self.net(rows)).sum(-1)
        loss: Tensor = (each * counted).sum() / counted.sum()
        return loss

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        loss = self.loss(batch)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        self.log("validation_loss", self.loss(batch))

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        optimizer = torch.optim.Adam(self.parameters(), lr=self.learning_rate)
        steps = int(self.trainer.estimated_stepping_batches)
        # few epochs have to do: one cycle of rates (Smith and Topin 2018) takes half as many as a constant one
        scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.learning_rate, total_steps=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


@dataclass(frozen=True)
class Chunks:
    """Stretches of consecutive steps of one user each, and which of them count."""

    index: NDArray[np.int64]
    """[chunk, time] rows."""
    counted: NDArray[np.bool_]
    """[chunk, time] False for the burn-in, for unusable rows, and past a user's last step."""

    @classmethod
    def of(cls, rows: Rows, steps: int) -> Chunks:
        """Every row counts in one chunk of ``steps``; those that follow others read ``BURN_IN`` rows of them first."""
        order = np.argsort(rows.user, kind="stable")
        user = rows.user[order]
        begin = np.flatnonzero(np.diff(user, prepend=-1))
        length = np.diff(np.append(begin, len(user)))
        pieces = -(-length // steps)
        owner = np.repeat(np.arange(len(begin)), pieces)
        first = (np.arange(len(owner)) - np.repeat(np.cumsum(pieces) - pieces, pieces)) * steps
        start = np.maximum(first - BURN_IN, 0)
        place = start[:, None] + np.arange(steps + BURN_IN)
        inside = (place >= first[:, None]) & (place < np.minimum(first + steps, length[owner])[:, None])
        index = order[begin[owner][:, None] + np.minimum(place, length[owner][:, None] - 1)]
        return cls(index, inside & rows.usable[index])

    def take(self, chunks: NDArray[np.int64]) -> Chunks:
        """A selection of chunks."""
        return Chunks(self.index[chunks], self.counted[chunks])


class Batches:
    """Batches of chunks in a new order each time: ``[batch, time, D]``, and ``[batch, time]`` 1 where a step counts."""

    def __init__(self, rows: Rows, chunks: Chunks, batch: int, seed: int) -> None:
        self.values = torch.from_numpy(rows.values)
        self.index = torch.from_numpy(chunks.index)
        self.counted = torch.from_numpy(chunks.counted.astype(np.float32))
        self.batch = batch
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return -(-len(self.index) // self.batch)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(self.index), generator=self.generator)
        for start in range(0, len(order), self.batch):
            chosen = order[start : start + self.batch]
            yield self.values[self.index[chosen]], self.counted[chosen]
