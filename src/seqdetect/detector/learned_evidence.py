"""Evidence over time scales, read by a head that learned from incidents, over a floor that needs none."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from seqdetect.calibration.tail import Tail, fit_tail
from seqdetect.detector import Detector, Examples, Rows
from seqdetect.detector.block.context import Context
from seqdetect.detector.block.evidence import COLUMNS, WIDTH, evidence
from seqdetect.detector.compose import write_tail
from seqdetect.detector.graph import Value
from seqdetect.detector.incident_head import IncidentHead, Squash, Written
from seqdetect.events import MICROSECONDS

log = logging.getLogger(__name__)
SCALES: Final = tuple(sorted({column.scale_s for column in COLUMNS}))
DAY_US: Final = 86_400 * MICROSECONDS
NO_TAIL: Final = Tail(np.zeros(1), np.zeros(1), 1.0)


@dataclass
class LearnedEvidence:
    """Score: the larger of the floor's and the head's tail probability on clean time, as minus decimal logarithms.

    The floor is any unsupervised detector. It keeps what the head was never shown from being missed altogether; the
    head can only add, since the budget is set on the maximum.
    """

    floor: Detector
    head: dict[str, Any] = field(default_factory=dict)
    """Settings of the ``IncidentHead``."""
    folds: int = 3
    """Parts that the users are split into for calibration; the days, where people judged alerts: what is harmless is a
    habit of users who stay, and calibrated without its user it would count as if nobody knew it."""
    research_only: str | None = None
    squash: Squash | None = field(default=None, init=False)
    whole: IncidentHead | None = field(default=None, init=False)
    """Learned from all users; None until there are incidents to learn from."""
    excuse: IncidentHead | None = field(default=None, init=False)
    """High where time looks like what was judged harmless; None until somebody judged."""
    parts: list[IncidentHead] = field(default_factory=list, init=False)
    """Each learned from all folds but its own."""
    excuses: list[IncidentHead | None] = field(default_factory=list, init=False)
    """The same of ``excuse``."""
    fold: dict[int, int] | None = field(default=None, init=False)
    """Of each user; None where days are folded."""
    floor_tail: Tail = field(default=NO_TAIL, init=False)
    head_tail: Tail = field(default=NO_TAIL, init=False)
    slope: NDArray[np.float64] = field(default_factory=lambda: np.zeros(WIDTH), init=False)

    def rows(self, context: Context) -> Value:
        """[n, D] the evidence, then the floor's rows."""
        return context.graph.concat(evidence(context), self.floor.rows(context))

    def fit(self, rows: Rows, seed: int) -> None:
        self.floor.fit(_floor_rows(rows), seed)
        self.squash = Squash.of(rows.values[rows.usable, :WIDTH])

    def learn(self, examples: Examples, seed: int) -> None:
        """Learn from all there is, and once more without each fold of it."""
        assert self.squash is not None
        examples = replace(examples, values=examples.values[:, :WIDTH])
        self.excuse = self._excuse(examples, seed)
        self.whole = self._head(examples, seed)
        self.whole.fit_kinds(examples, seed)
        self.slope = self.whole.slope(examples.values[examples.attack[examples.bag]])
        users = np.random.default_rng(seed).permutation(np.unique(examples.user))
        by_user = {int(user): number % self.folds for number, user in enumerate(users)}
        self.fold = by_user if examples.harmless is None or examples.tick is None else None
        own = self._folds(examples.user, examples.tick)
        self.parts, self.excuses = [], []
        for number in range(self.folds):
            log.info("head without fold %d of %d", number + 1, self.folds)
            rest = examples.take(own != number)
            able = rest.attack.any() and not rest.attack.all()
            if not able:
                log.warning("all attacks are of one fold: its thresholds rest on a head that saw them")
            self.parts.append(self._head(rest, seed) if able else self.whole)
            self.excuses.append(self._excuse(rest, seed) if able else self.excuse)

    def _folds(self, user: NDArray[np.integer[Any]], tick: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """[n] the fold of each row or bag."""
        if self.fold is None:
            assert tick is not None
            return np.asarray(tick // DAY_US % self.folds)
        fold = np.array([self.fold.get(one, 0) for one in range(int(user.max()) + 1)], np.int64)
        return np.asarray(fold[user])

    def _head(self, examples: Examples, seed: int) -> IncidentHead:
        assert self.squash is not None
        head = IncidentHead(**self.head)
        head.fit(examples, self.squash, seed)
        return head

    def _excuse(self, examples: Examples, seed: int) -> IncidentHead | None:
        """A head for what was judged harmless. Attacks are among the rest, with the weight that they have elsewhere,
        so that no attack which is known is excused."""
        assert self.squash is not None
        if examples.harmless is None or not examples.harmless.any() or not examples.attack.any():
            return None
        share = IncidentHead(**self.head).attack_share
        weight, attack = examples.weight.copy(), examples.attack
        weight[attack] *= share * weight[~attack].sum() / weight[attack].sum()
        judged = examples.harmless > 0
        # what people add is limited, what that time weighs anyway is not
        apart = _steps_apart(replace(examples, weight=np.where(judged, examples.harmless, weight)), judged)
        # as they come, then, and not brought to a share
        ratio = float(apart.weight[apart.attack].sum() / apart.weight[~apart.attack].sum())
        head = IncidentHead(**{**self.head, "attack_share": ratio})
        log.info("head for what was judged harmless: %d hours", int(judged.sum()))
        head.fit(apart, self.squash, seed)
        return head

    def calibrate(self, rows: Rows) -> NDArray[np.float64]:
        floor = self.floor.reference(_floor_rows(rows))
        self.floor_tail = fit_tail(floor[rows.usable])
        score = self.floor_tail(floor)
        if self.whole is None:
            return score
        logits = np.empty(len(rows))
        own = self._folds(rows.user, rows.tick)
        for number, (head, excuse) in enumerate(zip(self.parts, self.excuses, strict=True)):
            values = rows.values[own == number, :WIDTH]
            logits[own == number] = head.logits(values)
            score[own == number] *= _damping(excuse, values)
        self.head_tail = fit_tail(logits[rows.usable])
        return np.maximum(score, self.head_tail(logits))

    def score(self, context: Context, rows: Value) -> Value:
        graph = context.graph
        last = rows.columns(WIDTH, np.iinfo(np.int64).max)
        floor = write_tail(graph, self.floor.score(context, last), self.floor_tail)
        if self.whole is None:
            return floor
        if self.excuse is not None:
            floor = floor * (1.0 - graph.op("Sigmoid", self.excuse.write(rows.columns(0, WIDTH)).logit))
        written = self.whole.write(rows.columns(0, WIDTH))
        if self.whole.kinds:
            graph.output("kind", self.whole.write_kinds(written.hidden), 1 + len(self.whole.kinds))
        graph.output("scale", self._scale(written), 1)
        return floor.clip(low=write_tail(graph, written.logit, self.head_tail))

    def _scale(self, written: Written) -> Value:
        """[n, 1] the time constant (seconds) whose columns speak most for an incident, by the head's mean slope."""
        parts = np.array([[column.scale_s == scale for scale in SCALES] for column in COLUMNS])
        graph = written.inputs.graph
        says = written.inputs @ (parts * self.slope[:, None])
        return graph.op("Gather", graph.constant(SCALES), graph.op("ArgMax", says, axis=1, keepdims=1))

    def reference(self, rows: Rows) -> NDArray[np.float64]:
        floor = self.floor_tail(self.floor.reference(_floor_rows(rows)))
        if self.whole is None:
            return floor
        floor = floor * _damping(self.excuse, rows.values[:, :WIDTH])
        return np.maximum(floor, self.head_tail(self.whole.logits(rows.values[:, :WIDTH])))

    @property
    def kinds(self) -> list[str]:
        """The kinds it guesses at; the graph's output ``kind`` has "unknown" before them."""
        return [] if self.whole is None else self.whole.kinds


def _damping(excuse: IncidentHead | None, values: NDArray[np.float32]) -> NDArray[np.float64]:
    """[n] what the floor's score of rows [n, D] is multiplied by, 0 to 1."""
    if excuse is None:
        return np.ones(len(values))
    return np.asarray(1.0 / (1.0 + np.exp(np.minimum(excuse.logits(values), 60.0))))


def _steps_apart(examples: Examples, judged: NDArray[np.bool_]) -> Examples:
    """What was ``judged`` [b] as what is to be found, with a bag for each of its steps: an attack is found by any step
    of it, but an excuse must hold for all."""
    own = judged[examples.bag]
    old = np.concatenate([np.flatnonzero(~judged), examples.bag[own]])
    bag = (np.cumsum(~judged) - 1)[examples.bag]
    bag[own] = (~judged).sum() + np.arange(own.sum())
    weight = np.where(judged, examples.weight / np.bincount(examples.bag), examples.weight)[old]
    kind = np.where(judged, "harmless", "").astype(object)[old]
    return Examples(examples.values, bag, kind, examples.user[old], weight)


def _floor_rows(rows: Rows) -> Rows:
    return Rows(rows.values[:, WIDTH:], rows.user, rows.tick, rows.usable)
