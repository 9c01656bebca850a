"""What every user did in the last hour of event time: the largest score, the tokens and what they cost."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqdetect.events import MICROSECONDS
from seqdetect.score.engine import Scored
from seqdetect.serve.page.cost import Costs

SPANS: Final = 6
SPAN_US: Final = 600 * MICROSECONDS
"""An hour is six spans of ten minutes, of which the last one is under way."""
_NOTHING: Final = -np.inf


class Totals(NamedTuple):
    """Per row of the key table ``[users]``; the score of who did nothing is -inf, an unknown cost NaN."""

    score: NDArray[np.float32]
    prompt: NDArray[np.float32]
    completion: NDArray[np.float32]
    usd: NDArray[np.float32]


class Hour:
    """Sums per row of one key table: 96 bytes a user, exact to about a millionth."""

    def __init__(self) -> None:
        self.names: list[str] = []
        """The key table itself, which goes on changing."""
        self._newest = 0
        self._score = _room(0, _NOTHING)
        self._prompt, self._completion, self._usd = _room(0), _room(0), _room(0)

    def add(self, scored: Scored, costs: Costs) -> None:
        """Take in steps, and what they cost. Who is forgotten loses what this batch brought, too."""
        self.names = scored.names
        self._grow(len(scored.names))
        self._turn(int(scored.tick[-1] - 1) // SPAN_US)  # a tick's end is the last moment of its span
        rows, at = self._places(scored.user, scored.tick - 1)
        np.maximum.at(self._score.reshape(-1), at, scored.score[rows])
        for sums, tokens in (
            (self._prompt, scored.tokens[rows, 0]),
            (self._completion, scored.tokens[rows, 1]),
        ):
            np.add.at(sums.reshape(-1), at, tokens.astype(np.float32))
        rows, at = self._places(costs.user, costs.time)
        np.add.at(self._usd.reshape(-1), at, costs.usd[rows])
        for gone in scored.forgotten.values():
            for sums, nothing in self._sums():
                sums[:, gone] = nothing

    def totals(self) -> Totals:
        """The largest score and the sums."""
        return Totals(self._score.max(0), self._prompt.sum(0), self._completion.sum(0), self._usd.sum(0))

    def _places(
        self, user: NDArray[np.int32], time: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Which of [n] are of the last hour, and their places in the sums, laid out in a row: numpy is quick there."""
        span = time // SPAN_US
        rows = np.flatnonzero(span > self._newest - SPANS)
        return rows, span[rows] % SPANS * self._score.shape[1] + user[rows]

    def _sums(self) -> list[tuple[NDArray[np.float32], float]]:
        return [(self._score, _NOTHING), (self._prompt, 0), (self._completion, 0), (self._usd, 0)]

    def _grow(self, users: int) -> None:
        missing = users - self._score.shape[1]
        if missing <= 0:
            return
        grown = [np.hstack((sums, _room(missing + users // 2, nothing))) for sums, nothing in self._sums()]
        self._score, self._prompt, self._completion, self._usd = grown

    def _turn(self, span: int) -> None:
        for passed in range(max(self._newest, span - SPANS) + 1, span + 1):
            for sums, nothing in self._sums():
                sums[passed % SPANS] = nothing
        self._newest = max(self._newest, span)


def largest(values: NDArray[Any], count: int) -> NDArray[np.int64]:
    """The places of the ``count`` largest finite values above 0 of ``values [n]``, largest first."""
    known = np.flatnonzero(np.isfinite(values) & (values > 0))
    if len(known) > count:
        known = known[np.argpartition(values[known], len(known) - count)[-count:]]
    return known[np.argsort(-values[known], kind="stable")]


def _room(users: int, nothing: float = 0.0) -> NDArray[np.float32]:
    return np.full((SPANS, users), nothing, np.float32)
