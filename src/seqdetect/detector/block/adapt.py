"""A score averaged over minutes and set against the user's own scores of about the last day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from seqdetect.detector.block.decay import decayed_sums, lost
from seqdetect.detector.block.normal import LEAST_WEIGHT, Prior
from seqdetect.detector.graph import Graph, Value

PRIOR_STEPS: Final = 10.0
"""Steps that the prior mean counts for in a short average: a lone odd step is not yet a trend."""
WINSOR: Final = 3.0
FLOOR: Final = 1.0
"""Least deviation that counts, as a share of the prior's: a user of even scores must not alarm by a trifle."""
LARGEST_SHARE: Final = 0.25
"""Of the memory's weight, what one stretch may add: an attack on a rare user must not become most of its past."""


def smoothed(
    graph: Graph, name: str, score: Value, elapsed: Value, mean: float, tau_s: float = 900.0
) -> Value:
    """[n, 1] mean of the user's scores up to this step, fading with ``tau_s``, drawn towards the prior ``mean``."""
    # what is left over the mean is summed, so that a fade wrong in its last digit matters little
    one = score * 0.0 + 1.0
    sums = decayed_sums(graph, name, graph.concat(score - mean, one), 2, elapsed, [tau_s])
    return sums.columns(0, 1) / (sums.columns(1, 2) + PRIOR_STEPS) + mean


@dataclass(frozen=True)
class Moments:
    """Of some steps: how many (or their weight), the mean, and the variance about it, each ``[n, 1]``."""

    weight: Value
    mean: Value
    variance: Value

    @classmethod
    def slot(cls, graph: Graph, name: str, initial: tuple[float, float, float]) -> Moments:
        """A slot of the state, as it was before the step."""
        row = graph.state(name, initial)
        return cls(row.columns(0, 1), row.columns(1, 2), row.columns(2, 3))

    def row(self) -> Value:
        """[n, 3] as a slot keeps it."""
        return self.weight.graph.concat(self.weight, self.mean, self.variance)

    def merged(self, other: Moments) -> Moments:
        """Of both together, without a difference of squares (Chan, Golub and LeVeque 1979)."""
        weight = self.weight + other.weight
        share = other.weight / weight
        apart = other.mean - self.mean
        news = other.variance - self.variance + apart * apart * (1.0 - share)
        return Moments(weight, self.mean + apart * share, self.variance + news * share)


def recentred(
    graph: Graph,
    name: str,
    score: Value,
    elapsed: Value,
    prior: Prior,
    memory_s: float = 86_400.0,
    lag_s: float = 3_600.0,
) -> Value:
    """[n, 1] the score in deviations from the user's own of about the last ``memory_s`` seconds.

    Steps are gathered into stretches. When the present one is ``lag_s`` old, the one before it is learnt and it
    takes that one's place to wait: nothing younger than ``lag_s`` is ever part of the norm. Scores are heard up
    to ``WINSOR`` deviations. ``prior`` (one column) is where a new user starts.
    """
    mean, variance = float(prior.mean[0]), float(prior.variance[0])
    memory = Moments.slot(graph, f"{name}_memory", (prior.weight, mean, variance))
    waiting = Moments.slot(graph, f"{name}_waiting", (0.0, mean, 0.0))
    present = Moments.slot(graph, f"{name}_present", (0.0, mean, 0.0))
    age = graph.state(f"{name}_age", [0.0]) + elapsed
    due = age >= lag_s
    deviation = memory.variance.sqrt().clip(low=FLOOR * float(np.sqrt(variance)))
    distance = score - memory.mean
    bound = deviation * WINSOR
    nothing = score * 0.0
    step = Moments(nothing + 1.0, memory.mean + distance.clip(low=-bound, high=bound), nothing)
    graph.update(f"{name}_memory", due.where(_learnt(memory, waiting, age, memory_s).row(), memory.row()))
    graph.update(f"{name}_waiting", due.where(present.row(), waiting.row()))
    graph.update(f"{name}_present", due.where(step.row(), present.merged(step).row()))
    graph.update(f"{name}_age", due.where(0.0, age))
    return distance / deviation


def _learnt(memory: Moments, stretch: Moments, age: Value, memory_s: float) -> Moments:
    """The memory, faded by ``age`` seconds, with a stretch of steps added."""
    weight = (memory.weight - memory.weight * lost(age, memory_s)).clip(low=LEAST_WEIGHT)
    added = stretch.weight.clip(high=weight * LARGEST_SHARE)
    return Moments(weight, memory.mean, memory.variance).merged(
        Moments(added, stretch.mean, stretch.variance)
    )
