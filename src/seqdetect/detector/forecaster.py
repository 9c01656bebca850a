"""A neural forecaster of each user's next step; what it did not expect adds up over time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping
from numpy.typing import NDArray
from torch.nn import functional
from torch.nn.utils.rnn import pack_sequence, unpack_sequence

from seqdetect.detector import Rows
from seqdetect.detector.block.context import COLUMNS, Context
from seqdetect.detector.graph import Value
from seqdetect.detector.point_process import (
    CLOCK,
    COMPONENTS,
    LIMIT,
    LOGIT_SCALE,
    MARKS,
    PREFERENCE,
    SCALES,
    SCORE_LIMIT,
    Batches,
    Chunks,
    Module,
    PointProcess,
    normal_score,
)
from seqdetect.detector.seeding import undisturbed
from seqdetect.detector.window_training import HELD_BACK, PATIENCE, Best

EVIDENCE_S: Final = (90.0, 900.0, 10_800.0)
"""Time constants that surprise is added up with."""
KINDS: Final = 2 * len(MARKS)
"""Amounts added up: each mark's normal score, then how much larger than usual it is, whichever its sign."""
WIDTH: Final = KINDS * len(EVIDENCE_S)
DECAY_S: Final = np.append(np.repeat(EVIDENCE_S, KINDS), EVIDENCE_S)
"""[``WIDTH`` + 3] time constants of the sums, then of the steps that are in them."""
ELAPSED: Final = COLUMNS + CLOCK
"""Column of the rows."""
FEW_STEPS: Final = 3.0
"""Steps that a sum is taken to have beyond its own, so that the first ones prove little."""
DISTANCE_LIMIT: Final = 30.0
"""Scales from a component's mean beyond which an exponential would overflow; the score is at its limit long before."""


@dataclass
class Forecaster:
    """Score: mean square of the decayed sums of normal scores, each over what it is on usable training steps.

    A GRU predicts the distribution of a step's gap, requests and lengths before it sees them; where in it they
    lie is their normal score. The gap is one of them, so a silence is noticed at the step that ends it.
    """

    hidden: int = 24
    learning_rate: float = 2e-2
    batch_size: int = 32
    """Chunks."""
    chunk_steps: int = 64
    fit_chunks: int = 8_000
    trainer: Mapping[str, Any] = field(default_factory=lambda: {"max_epochs": 12, "accelerator": "cpu"})
    research_only: str | None = None
    net: PointProcess | None = field(default=None, init=False)
    usual_size: NDArray[np.float64] = field(init=False, default_factory=lambda: np.zeros(len(MARKS)))
    """[4] mean absolute normal score of usable training steps."""
    usual_sum: NDArray[np.float64] = field(init=False, default_factory=lambda: np.ones(WIDTH))
    """[``WIDTH``] root mean square of the sums over usable training steps."""
    history: list[dict[str, float]] = field(default_factory=list, init=False)

    def rows(self, context: Context) -> Value:
        """[n, D + 4] deviations, time of day (2), log(1 + elapsed seconds), elapsed seconds."""
        elapsed = context.elapsed
        return context.graph.concat(context.z, context.time_of_day(), (elapsed + 1.0).log(1), elapsed)

    def fit(self, rows: Rows, seed: int) -> None:
        chunks = Chunks.of(rows, self.chunk_steps)
        chunks = chunks.take(np.flatnonzero(chunks.counted.any(axis=1)))
        end = (rows.tick[chunks.index] * chunks.counted).max(axis=1)
        boundary = np.quantile(rows.tick[rows.usable], 1.0 - HELD_BACK)
        rng = np.random.default_rng(seed)
        late = rng.permutation(np.flatnonzero(end >= boundary))
        early = rng.permutation(np.flatnonzero(end < boundary))
        early = early if len(early) else late
        with undisturbed():
            torch.manual_seed(seed)
            self._train(
                Batches(rows, chunks.take(early[: self.fit_chunks]), self.batch_size, seed),
                Batches(rows, chunks.take(late[: max(self.fit_chunks // 8, 1)]), 256, seed),
            )
        self._learn_usual(rows)

    def _train(self, train: Batches, validation: Batches) -> None:
        module = Module(PointProcess(self.hidden), self.learning_rate)
        best = Best()
        trainer = lightning.Trainer(
            callbacks=[best, EarlyStopping("validation_loss", patience=PATIENCE)],
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

    def _learn_usual(self, rows: Rows) -> None:
        scores = self.normal_scores(rows)
        self.usual_size = np.abs(scores[rows.usable]).mean(axis=0)
        sums = accumulated(self._amounts(scores), rows)[rows.usable]
        self.usual_sum = np.sqrt((sums**2).mean(axis=0)).clip(1e-3)

    def _amounts(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.concatenate((scores, np.abs(scores) - self.usual_size), axis=1)

    def surprise(self, context: Context, rows: Value) -> Value:
        """[n, 4] normal scores of the step's gap, requests, prompt and completion; once per graph.

        Declares the GRU's state. 0 is what was expected, 3 is beyond all but one in seven hundred; a positive
        score is a longer gap, more requests, longer texts than expected.
        """
        assert self.net is not None
        g, size = context.graph, 4 * self.hidden
        before = g.state("forecaster", np.zeros(self.hidden))
        bound = np.full((1, ELAPSED), np.finfo(np.float32).max)
        bound[:, :COLUMNS] = LIMIT
        read = g.concat(rows.columns(0, ELAPSED).clip(g.constant(-bound), g.constant(bound)), before)
        weights, biases = one_product(self.net)
        products: Value = read @ weights + biases
        g.update("forecaster", self._after(products.columns(0, size), before))
        return _normal_score(products.columns(size, len(biases[0])))

    def _after(self, products: Value, before: Value) -> Value:
        """[n, hidden] the GRU's state after the step, by torch's formula."""
        g, size = products.graph, self.hidden
        opened = g.op("Sigmoid", products.columns(0, 2 * size))
        recalled = opened.columns(0, size) * products.columns(3 * size, 4 * size)
        new = g.op("Tanh", products.columns(2 * size, 3 * size) + recalled)
        return new + opened.columns(size, 2 * size) * (before - new)

    def score(self, context: Context, rows: Value) -> Value:
        surprise = self.surprise(context, rows)
        g, scales = context.graph, len(EVIDENCE_S)
        before = g.state("forecaster_evidence", np.zeros(WIDTH + scales))
        half = g.op("Tanh", rows.columns(ELAPSED, ELAPSED + 1) * (0.5 / DECAY_S)[None])
        lost = (half * 2.0) / (half + 1.0)  # decay.lost, for all time constants at once
        everywhere = np.eye(KINDS)[:, [*range(KINDS)] * scales]
        added: Value = g.concat(surprise, surprise.abs()) @ np.pad(everywhere, ((0, 0), (0, scales)))
        usual = np.tile(np.append(np.zeros(len(MARKS)), self.usual_size), scales)
        after = before - before * lost + (added + np.append(-usual, np.ones(scales))[None])
        g.update("forecaster_evidence", after)
        chance = (after.columns(WIDTH, WIDTH + scales) + FEW_STEPS).sqrt()
        unit: Value = chance @ (np.repeat(np.eye(scales), KINDS, axis=1) * self.usual_sum)
        sums = after.columns(0, WIDTH) / unit
        return (sums * sums).sum(WIDTH) * (1.0 / WIDTH)

    def reference(self, rows: Rows) -> NDArray[np.float64]:
        sums = accumulated(self._amounts(self.normal_scores(rows)), rows) / self.usual_sum
        return np.asarray((sums**2).mean(axis=1))

    def normal_scores(self, rows: Rows) -> NDArray[np.float64]:
        """[n, 4] what ``surprise`` gives, of whole sequences from an empty state, by the trained network."""
        assert self.net is not None
        order, lengths = by_user(rows)
        values = torch.from_numpy(rows.values[order])
        out = np.empty((len(rows), len(MARKS)))
        with torch.no_grad():
            read = torch.tensor_split(self.net.read(values), np.cumsum(lengths)[:-1].tolist())
            packed = pack_sequence(list(read), enforce_sorted=False)
            states = unpack_sequence(self.net.reader(packed)[0])
            before = torch.cat([functional.pad(one[:-1], (0, 0, 1, 0)) for one in states])
            out[order] = normal_score(*self.net.mixtures(before, values)).numpy()
        return out


def _normal_score(parts: Value) -> Value:
    """[n, 4] the logit of where each mark lies in its mixture, as a normal deviate.

    ``parts`` are the last columns of ``one_product``. A logit needs no normalised weights: their sum divides both
    tails.
    """
    g, width = parts.graph, len(MARKS) * COMPONENTS
    low = np.repeat([[-SCALES[1], -PREFERENCE]], width, axis=1)
    high = np.repeat([[-SCALES[0], PREFERENCE]], width, axis=1)
    factors = parts.columns(width, 3 * width).clip(g.constant(low), g.constant(high)).exp()
    distance = parts.columns(0, width) * factors.columns(0, width)
    odds = distance.clip(-DISTANCE_LIMIT, DISTANCE_LIMIT).exp()
    above = factors.columns(width, 2 * width) / (odds + 1.0)
    of_mark = np.repeat(np.eye(len(MARKS)), COMPONENTS, axis=0)
    logs = (g.concat(above * odds, above) @ np.kron(np.eye(2), of_mark)).log(2 * len(MARKS))
    normal: Value = logs @ (np.kron([[1.0], [-1.0]], np.eye(len(MARKS))) / LOGIT_SCALE)
    return normal.clip(-SCORE_LIMIT, SCORE_LIMIT)


def one_product(net: PointProcess) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights [D + 3 + hidden, 4 hidden + 36] and biases [1, 4 hidden + 36] that do all of the net's products at once.

    They read a row, then the state before it, and give the GRU's two gates, what its candidate takes from the row
    and what from the state; then each mark minus its means, minus log-scales, log-weights.
    """
    inner, recurrent, inner_bias, recurrent_bias, head, head_bias = (
        values.detach().numpy().astype(np.float64)
        for values in (*net.reader.parameters(), net.weight, net.head.bias)
    )
    size = recurrent.shape[1]
    gates, candidate = slice(0, 2 * size), slice(2 * size, 3 * size)
    width = len(MARKS) * COMPONENTS
    weights = np.zeros((ELAPSED + size, 4 * size + 3 * width))
    weights[:ELAPSED, : 3 * size] = inner.T
    weights[ELAPSED:, gates] = recurrent[gates].T
    weights[ELAPSED:, 3 * size : 4 * size] = recurrent[candidate].T
    sign = np.repeat([-1.0, -1.0, 1.0], width)
    forecast = weights[:, 4 * size :]
    forecast[ELAPSED:] = (head[:, :size] * sign[:, None]).T
    forecast[COLUMNS : ELAPSED - 1] = (head[:, size : -len(MARKS)] * sign[:, None]).T
    forecast[list(MARKS)] = (head[:, -len(MARKS) :] * sign[:, None]).T
    forecast[list(MARKS), :width] += np.repeat(np.eye(len(MARKS)), COMPONENTS, axis=1)
    biases = (
        inner_bias[gates] + recurrent_bias[gates],
        inner_bias[candidate],
        recurrent_bias[candidate],
        head_bias * sign,
    )
    return weights, np.concatenate(biases)[None]


def accumulated(amounts: NDArray[np.float64], rows: Rows) -> NDArray[np.float64]:
    """[n, ``WIDTH``] decayed sums of ``amounts [n, KINDS]``, each over what so many steps add up to by chance."""
    order, lengths = by_user(rows)
    owner = np.repeat(np.arange(len(lengths)), lengths)
    position = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    seconds = rows.values[:, ELAPSED].astype(np.float64)
    scales = len(EVIDENCE_S)
    added = np.concatenate((np.tile(amounts, scales), np.ones((len(rows), scales))), axis=1)
    state, out = np.zeros((len(lengths), WIDTH + scales)), np.empty((len(rows), WIDTH + scales))
    # every user's first step, then every user's second
    for step in np.split(np.argsort(position, kind="stable"), np.cumsum(np.bincount(position))[:-1]):
        row, user = order[step], owner[step]
        state[user] = state[user] * np.exp(-seconds[row, None] / DECAY_S) + added[row]
        out[row] = state[user]
    chance = np.sqrt(out[:, WIDTH:] + FEW_STEPS)
    return np.asarray(out[:, :WIDTH] / np.repeat(chance, KINDS, axis=1))


def by_user(rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows [n] user by user, each user's in order, and how many each has."""
    order = np.argsort(rows.user, kind="stable")
    return order, np.diff(np.append(np.flatnonzero(np.diff(rows.user[order], prepend=-1)), len(rows)))
