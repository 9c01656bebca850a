"""Detectors. Each is one file here and one yaml in ``configs/detector``, and each is one step function.

A detector says which rows it reads (built of shared blocks, so that the same graph makes them in training and
in streaming), is fitted on those rows, and writes its raw score of a row into the graph. What is shared by all,
the user's context before it and the calibrated tail after it, is added by ``detector.compose``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from seqdetect.detector.block.context import Context
from seqdetect.detector.graph import Value


@dataclass(frozen=True)
class Rows:
    """What a detector is fitted on: its own rows, replayed over the training events in tick order."""

    values: NDArray[np.float32]
    """[n, D]"""
    user: NDArray[np.int32]
    """[n] row of the key table."""
    tick: NDArray[np.int64]
    """[n] the tick's end, microseconds."""
    usable: NDArray[np.bool_]
    """[n] False inside labelled incidents and during warm-up: to be passed over in fitting."""

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Rows:
        """A selection of rows."""
        return Rows(self.values[rows], self.user[rows], self.tick[rows], self.usable[rows])


@dataclass(frozen=True)
class Examples:
    """Steps of labelled time in bags: an incident as one user felt it, or an hour of a user's clean time."""

    values: NDArray[np.float32]
    """[n, D] rows of the detector that learns."""
    bag: NDArray[np.int64]
    """[n] which bag a step is of, 0 to ``b - 1``, each at least once."""
    kind: NDArray[np.object_]
    """[b] the attack's kind; empty for clean time, benign kinds included."""
    user: NDArray[np.int64]
    """[b] row of the key table."""
    weight: NDArray[np.float64]
    """[b]"""
    harmless: NDArray[np.float64] | None = None
    """[b] what it adds to ``weight`` that people judged the alert there harmless, 0 elsewhere; None where nobody did."""
    tick: NDArray[np.int64] | None = None
    """[b] the end of a tick of each bag, microseconds; None where unknown."""

    @property
    def attack(self) -> NDArray[np.bool_]:
        """[b] which bags are attacks."""
        return np.asarray(self.kind != "", bool)

    def take(self, bags: NDArray[np.bool_]) -> Examples:
        """The bags of a mask ``[b]``, numbered anew."""
        rows, number = bags[self.bag], np.cumsum(bags) - 1
        return Examples(
            self.values[rows],
            number[self.bag[rows]],
            self.kind[bags],
            self.user[bags],
            self.weight[bags],
            None if self.harmless is None else self.harmless[bags],
            None if self.tick is None else self.tick[bags],
        )


@runtime_checkable
class Detector(Protocol):
    """Higher scores are more anomalous."""

    research_only: str | None
    """Why it cannot be exported, or None: then it may win and be deployed."""

    def rows(self, context: Context) -> Value:
        """The values ``[n, D]`` that this detector reads at each step, as graph nodes."""
        ...

    def fit(self, rows: Rows, seed: int) -> None:
        """Learn from clean rows. The same seed gives the same scores."""
        ...

    def score(self, context: Context, rows: Value) -> Value:
        """The raw score ``[n, 1]`` as graph nodes; only after ``fit``."""
        ...

    def reference(self, rows: Rows) -> NDArray[np.float64]:
        """Raw scores [n] of whole sequences from an empty state, by the trained model itself, without the graph."""
        ...


@runtime_checkable
class Learner(Protocol):
    """What a detector has that learns from incidents too, after ``fit`` on clean rows and before it is exported."""

    def learn(self, examples: Examples, seed: int) -> None:
        """Learn to tell attacks from clean time; copies that did without some users are kept for ``calibrate``."""
        ...

    def calibrate(self, rows: Rows) -> NDArray[np.float64]:
        """Bring its parts to one scale, and score by parts that learned nothing of the row's own user [n].

        ``rows`` are whole sequences, of which the usable steps are clean calibration time. Thresholds and the
        choice of a champion rest on these out-of-fold scores: those of the finished detector would flatter it.
        """
        ...

    @property
    def kinds(self) -> list[str]:
        """The kinds it guesses at; its graph's output ``kind`` has one more column, before them."""
        ...


def sample(rows: Rows, limit: int, seed: int) -> NDArray[np.float32]:
    """At most ``limit`` usable rows, drawn so that each user's share is capped at three times the even one."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(np.flatnonzero(rows.usable))
    users = len(np.unique(rows.user[chosen]))
    cap = 3 * limit // max(users, 1) + 1
    order = np.argsort(rows.user[chosen], kind="stable")
    grouped = rows.user[chosen][order]
    position = np.arange(len(grouped)) - np.searchsorted(grouped, grouped, side="left")
    kept = np.sort(order[position < cap])[:limit]
    return np.asarray(rows.values[np.sort(chosen[kept])])
