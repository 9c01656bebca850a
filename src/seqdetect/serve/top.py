"""``/metrics/top``: how high the highest users are, by rank.

No user's name is among the labels, and not even a pseudonym: each name that was ever a label is a series that
Prometheus keeps, and who sends events chooses the names. Twenty ranks per model and figure are all there can ever be.
Who they are is in the alerts, on the page of the service and in InfluxDB, where a name is a field. The path is one of
its own, so that whoever does not want these series leaves them out.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from seqdetect.events import MICROSECONDS
from seqdetect.score.engine import Scored

RANKS: Final = 20
SPAN_S: Final = 600.0
"""Event time is cut into spans of this length. The last whole span and the one under way are looked at."""
_SPAN: Final = round(SPAN_S * MICROSECONDS)


class Top(Collector):
    """The largest scores and token rates of the last ten to twenty minutes of event time, by model."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._boards: dict[tuple[str, str], _Board] = {}

    def add(self, part: str, model: str, scored: Scored) -> None:
        """Take in scored steps of ``model`` in ``part`` of the input."""
        self._boards.setdefault((part, model), _Board()).add(scored)

    def keep(self, models: Container[str]) -> None:
        """Other models are not at work any more."""
        self._boards = {key: board for key, board in self._boards.items() if key[1] in models}

    def forget_part(self, part: str) -> None:
        """The part is somebody else's now."""
        self._boards = {key: board for key, board in self._boards.items() if key[0] != part}

    def text(self) -> bytes:
        """The figures as Prometheus reads them."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Reads what the scoring thread writes: a figure may be a batch old, or half a batch."""
        score = GaugeMetricFamily(
            "seqdetect_top_score", "Largest scores of single users, by rank", labels=["model", "rank"]
        )
        rate = GaugeMetricFamily(
            "seqdetect_top_tokens_per_second", "Largest token rates of single users", labels=["model", "rank"]
        )
        boards = list(self._boards.items())
        for model in dict.fromkeys(name for (_, name), _ in boards):
            own = [board for (_, name), board in boards if name == model]
            for family, found in (
                (score, [board.scores() for board in own]),
                (rate, [board.rates() for board in own]),
            ):
                for rank, value in enumerate(_largest(np.concatenate(found)), start=1):
                    family.add_metric([model, str(rank)], float(value))
        yield score
        yield rate


class _Board:
    """Per row of the key table: largest score and tokens in the span before and in the one under way ``[2, users]``."""

    def __init__(self) -> None:
        self._span = 0
        self._now = 0
        self._score: NDArray[np.float32] = np.full((2, 0), -np.inf, np.float32)
        self._tokens: NDArray[np.float64] = np.zeros((2, 0))

    def add(self, scored: Scored) -> None:
        """Steps come by tick. A row that is somebody else's now begins anew."""
        if not len(scored):
            return
        self._grow(len(scored.names))
        for gone in scored.forgotten.values():
            self._score[:, gone], self._tokens[:, gone] = -np.inf, 0.0
        spans = (scored.tick - 1) // _SPAN  # a tick's end is the last moment of its span
        cuts = [0, *(np.flatnonzero(np.diff(spans)) + 1).tolist(), len(spans)]
        tokens = (scored.tokens[:, 0] + scored.tokens[:, 1]).astype(np.float64)
        for begin, end in pairwise(cuts):
            self._turn(int(spans[begin]))
            user = scored.user[begin:end]
            np.maximum.at(self._score[1], user, scored.score[begin:end])
            np.add.at(self._tokens[1], user, tokens[begin:end])
        self._now = int(scored.tick[-1])

    def scores(self) -> NDArray[np.float32]:
        """The largest score of each user who sent something."""
        best = self._score.max(axis=0)
        return np.asarray(best[np.isfinite(best)], np.float32)

    def rates(self) -> NDArray[np.float64]:
        """Tokens per second of each user who sent something, from the begin of the span before."""
        tokens = self._tokens.sum(axis=0)
        seconds = max(1.0, (self._now - (self._span - 1) * _SPAN) / MICROSECONDS)
        return np.asarray(tokens[tokens > 0] / seconds, np.float64)

    def _grow(self, users: int) -> None:
        missing = users - self._score.shape[1]
        if missing > 0:
            room = ((0, 0), (0, missing + users))
            self._score = np.pad(self._score, room, constant_values=-np.inf)
            self._tokens = np.pad(self._tokens, room)

    def _turn(self, span: int) -> None:
        """Begin ``span``; what is older than the one before it is forgotten."""
        if span == self._span:
            return
        score, tokens = np.full_like(self._score, -np.inf), np.zeros_like(self._tokens)
        if span == self._span + 1:
            score[0], tokens[0] = self._score[1], self._tokens[1]
        self._span, self._score, self._tokens = span, score, tokens


def _largest(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """The ``RANKS`` largest of ``values`` ``[n]``, largest first."""
    if len(values) > RANKS:
        values = np.partition(values, len(values) - RANKS)[-RANKS:]
    return np.sort(values)[::-1]
