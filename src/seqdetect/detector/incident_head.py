"""A small network that learns incidents from labelled examples, as they are counted.

What is measured is whether an incident is found at all and how often clean time alerts, not how many steps are
classified rightly. So it learns from bags (Dietterich et al. 1997, multiple-instance learning): a bag of steps is an
attack if any of them says so. A bag's logit is the log-sum-exp of its steps'; the loss is the bag's cross-entropy.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqdetect.detector import Examples
from seqdetect.detector.graph import Value
from seqdetect.detector.seeding import undisturbed
from seqdetect.detector.torch_graph import linear

log = logging.getLogger(__name__)
Floats = NDArray[np.float32]
HARDEST: Final = 8
"""Steps of a bag with the highest scores so far that each batch holds, beside as many at random."""
AT_FIRST: Final = 24
"""Steps at random while there are no scores yet."""
PART: Final = 65_536
KIND_STEPS: Final = 6
"""Steps of an incident, those of the highest score, that its kind is learned from."""
LEAST_OF_KIND: Final = 5
"""Incidents of a kind below which it is not learned."""
UNKNOWN: Final = "unknown"


@dataclass
class Squash:
    """Rows to inputs of about unit size: centred, scaled, and bent so that extremes stay apart but not huge."""

    centre: Floats
    scale: Floats

    @classmethod
    def of(cls, values: Floats) -> Squash:
        """From rows [n, D]: medians, and four fifths' range as deviations."""
        low, centre, high = np.quantile(values, [0.1, 0.5, 0.9], axis=0)
        return cls(centre.astype(np.float32), ((high - low) / 2.563 + 0.05).astype(np.float32))

    def __call__(self, values: Floats) -> Floats:
        scaled = (values - self.centre) / self.scale
        return np.asarray(scaled / (1.0 + 0.25 * np.abs(scaled)), np.float32)

    def write(self, rows: Value) -> Value:
        """The same as graph nodes."""
        scaled = rows * (1.0 / self.scale)[None, :] - (self.centre / self.scale)[None, :]
        return scaled / (scaled.abs() * 0.25 + 1.0)


class Written(NamedTuple):
    """A head's nodes in a graph."""

    logit: Value
    """[n, 1]"""
    inputs: Value
    """[n, D] squashed."""
    hidden: Value
    """[n, H] both hidden layers."""


class Net(nn.Module):
    """Two hidden layers, one logit."""

    def __init__(self, features: int, hidden: tuple[int, int], dropout: float) -> None:
        super().__init__()
        self.first = nn.Linear(features, hidden[0])
        self.second = nn.Linear(hidden[0], hidden[1])
        self.logit = nn.Linear(hidden[1], 1)
        self.dropout = nn.Dropout(dropout)

    def hidden(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Both hidden layers ``[n, hidden]``."""
        first = nn.functional.silu(self.first(inputs))
        return first, nn.functional.silu(self.second(self.dropout(first)))

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits [n] of inputs [n, D]."""
        logit: Tensor = self.logit(self.dropout(self.hidden(inputs)[1]))[:, 0]
        return logit


@dataclass
class IncidentHead:
    """Learns from ``Examples``; the logit of a step is high where it looks like part of an incident."""

    hidden: tuple[int, int] = (64, 32)
    rounds: int = 5
    """Times that the hardest steps of every bag are looked for anew."""
    epochs: int = 12
    """Passes over the bags per round."""
    batch_size: int = 256
    """Bags."""
    learning_rate: float = 4e-3
    weight_decay: float = 1e-2
    dropout: float = 0.2
    attack_share: float = 0.1
    """Weight of all attacks together beside that of all clean time: what a false alert costs beside a find."""
    squash: Squash | None = field(default=None, init=False)
    net: Net | None = field(default=None, init=False)
    kinds: list[str] = field(default_factory=list, init=False)
    kind_layer: nn.Linear | None = field(default=None, init=False)

    def fit(self, examples: Examples, squash: Squash, seed: int) -> None:
        """Learn. ``ValueError`` where there is no attack or no clean time to learn from."""
        if examples.attack.all() or not examples.attack.any():
            raise ValueError(
                "a head learns from attacks and from clean time; these examples lack one of them"
            )
        self.squash = squash
        with undisturbed():
            torch.manual_seed(seed)
            self.net = Net(examples.values.shape[1], (self.hidden[0], self.hidden[1]), self.dropout)
            training = _Training(self, examples, seed)
            for number in range(self.rounds):
                training.round(number)
            self.net.eval()

    def logits(self, values: Floats) -> NDArray[np.float64]:
        """[n] of rows [n, D]."""
        assert self.squash is not None
        assert self.net is not None
        out = np.empty(len(values))
        with torch.no_grad():
            for start in range(0, len(values), PART):
                part = slice(start, start + PART)
                out[part] = self.net(torch.from_numpy(self.squash(values[part]))).numpy()
        return out

    def fit_kinds(self, examples: Examples, seed: int) -> None:
        """Learn to tell the kinds apart, from the hidden layers and the steps that say most."""
        assert self.squash is not None
        assert self.net is not None
        attacks = examples.take(examples.attack)
        names, count = np.unique(attacks.kind.astype(str), return_counts=True)
        # an incident whose kind nobody knows is one to find, but no kind to guess
        self.kinds = [str(name) for name in names[(count >= LEAST_OF_KIND) & (names != UNKNOWN)]]
        if len(self.kinds) < 2:
            self.kinds = []
            return
        ranked, start, size = _by_score(attacks, self.logits(attacks.values))
        rows = np.concatenate([ranked[a : a + min(n, KIND_STEPS)] for a, n in zip(start, size, strict=True)])
        kind = attacks.kind[attacks.bag[rows]].astype(str)
        known = np.isin(kind, self.kinds)
        target = torch.from_numpy(np.searchsorted(self.kinds, kind[known]))
        with undisturbed():
            torch.manual_seed(seed)
            with torch.no_grad():
                hidden = torch.cat(
                    self.net.hidden(torch.from_numpy(self.squash(attacks.values[rows[known]]))), dim=1
                )
            self.kind_layer = nn.Linear(hidden.shape[1], len(self.kinds))
            share = torch.bincount(target, minlength=len(self.kinds)).float()
            weight = share.sum() / (len(self.kinds) * share)
            optimizer = torch.optim.LBFGS(self.kind_layer.parameters(), max_iter=200)

            def closure() -> Tensor:
                assert self.kind_layer is not None
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(self.kind_layer(hidden), target, weight=weight)
                loss = loss + 1e-3 * (self.kind_layer.weight**2).sum()
                loss.backward()  # type: ignore[no-untyped-call]
                return loss

            optimizer.step(closure)  # type: ignore[no-untyped-call]

    def write(self, rows: Value) -> Written:
        """The head as graph nodes on rows ``[n, D]``."""
        assert self.squash is not None
        assert self.net is not None
        inputs = self.squash.write(rows)
        first = _silu(linear(inputs, self.net.first))
        second = _silu(linear(first, self.net.second))
        return Written(linear(second, self.net.logit), inputs, rows.graph.concat(first, second))

    def write_kinds(self, hidden: Value) -> Value:
        """Probabilities ``[n, 1 + K]`` as graph nodes; the first column is "unknown" and 0."""
        assert self.kind_layer is not None
        odds = hidden.graph.op("Softmax", linear(hidden, self.kind_layer), axis=1)
        return hidden.graph.concat(odds.columns(0, 1) * 0.0, odds)

    def slope(self, values: Floats) -> NDArray[np.float64]:
        """[D] the mean change of the logit over rows [n, D], per unit of each squashed input."""
        assert self.squash is not None
        assert self.net is not None
        inputs = torch.from_numpy(self.squash(values)).requires_grad_(True)
        self.net(inputs).sum().backward()
        assert inputs.grad is not None
        return np.asarray(inputs.grad.mean(dim=0).numpy(), np.float64)


class _Training:
    """The optimiser's state over the rounds."""

    def __init__(self, head: IncidentHead, examples: Examples, seed: int) -> None:
        assert head.net is not None
        assert head.squash is not None
        self.head, self.examples = head, examples
        self.rng = np.random.default_rng(seed)
        self.net = head.net
        self.inputs = torch.from_numpy(head.squash(examples.values))
        attack = examples.attack
        weight = examples.weight.copy()
        weight[attack] *= head.attack_share * weight[~attack].sum() / weight[attack].sum()
        self.weight = torch.from_numpy((weight / weight.mean()).astype(np.float32))
        self.target = torch.from_numpy(attack.astype(np.float32))
        self.optimizer = torch.optim.AdamW(
            self.net.parameters(), lr=head.learning_rate, weight_decay=head.weight_decay
        )
        steps = head.rounds * head.epochs * -(-len(attack) // head.batch_size)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, head.learning_rate, total_steps=steps
        )

    def round(self, number: int) -> None:
        """Passes over all bags, each with its hardest steps and some at random."""
        scores = self.rng.random(len(self.inputs)) if number == 0 else self._scores()
        ranked, start, size = _by_score(self.examples, scores)
        hardest, others = (0, AT_FIRST) if number == 0 else (HARDEST, HARDEST)
        total = 0.0
        for _ in range(self.head.epochs):
            order = self.rng.permutation(len(size))
            for first in range(0, len(order), self.head.batch_size):
                bags = order[first : first + self.head.batch_size]
                place = np.empty((len(bags), hardest + others), np.int64)
                place[:, :hardest] = np.minimum(np.arange(hardest), size[bags, None] - 1)
                place[:, hardest:] = self.rng.random((len(bags), others)) * size[bags, None]
                total += self._step(bags, ranked[start[bags, None] + place]) * len(bags)
        log.info("head, round %d: loss %.4f", number + 1, total / (self.head.epochs * len(size)))

    def _step(self, bags: NDArray[np.int64], rows: NDArray[np.int64]) -> float:
        logits = self.net(self.inputs[torch.from_numpy(rows.ravel())]).view(rows.shape)
        chosen = torch.from_numpy(bags)
        loss = nn.functional.binary_cross_entropy_with_logits(
            torch.logsumexp(logits, dim=1), self.target[chosen], weight=self.weight[chosen]
        )
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.schedule.step()
        return float(loss.detach())

    def _scores(self) -> NDArray[np.float32]:
        self.net.eval()
        with torch.no_grad():
            parts = [self.net(part) for part in torch.split(self.inputs, PART)]
        self.net.train()
        return np.asarray(torch.cat(parts).numpy())


def _by_score(
    examples: Examples, scores: NDArray[np.floating]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Rows bag by bag, highest scores first, and each bag's first place and size [b]."""
    ranked = np.lexsort((-scores, examples.bag))
    start = np.searchsorted(examples.bag[ranked], np.arange(len(examples.kind) + 1))
    return ranked, start[:-1], np.diff(start)


def _silu(values: Value) -> Value:
    return values * values.graph.op("Sigmoid", values)
