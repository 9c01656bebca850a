"""The context every detector gets: a step beside the user's own usual, and the time of day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqdetect.detector.block.decay import decayed_sums
from seqdetect.detector.block.normal import Prior, normalise
from seqdetect.detector.graph import Graph, Value
from seqdetect.sequence.features import INDEX, SCORED
from seqdetect.sequence.population import NAMES as POPULATION

TRAILING_S: Final = (90.0, 300.0, 1200.0, 3600.0, 10_800.0)
"""Time constants of the trailing sums of requests, prompt and completion tokens."""
AMOUNTS: Final = ("requests", "prompt_tokens", "completion_tokens")
MEMORY_S: Final = 2 * 86_400.0
Z_LIMIT: Final = 10.0
COLUMNS: Final = SCORED + len(AMOUNTS) * len(TRAILING_S)
"""Width D of ``values`` and ``z``: the scored features, then the trailing sums' logarithms."""


@dataclass(frozen=True)
class Context:
    """One step as detectors see it."""

    graph: Graph
    features: Value
    """[n, F] as they enter the graph."""
    elapsed: Value
    """[n, 1] seconds since the user's previous step."""
    values: Value
    """[n, D] scored features and trailing sums, in log units."""
    z: Value
    """[n, D] the same in the user's own deviations, within ``Z_LIMIT``."""
    usual: Value
    """[n, D] the user's own usual of ``values``, before the step."""
    expected: Value
    """[n, F] what this user usually does; context columns as they are."""
    population: Value
    """[1, P]"""
    prior: Prior
    """What is usual for everybody, of ``values``."""

    def feature(self, name: str) -> Value:
        """One feature column ``[n, 1]``."""
        return self.features.columns(INDEX[name], INDEX[name] + 1)

    def amount(self, name: str) -> Value:
        """A log-scale feature as the plain number it stands for ``[n, 1]`` (requests, tokens)."""
        return self.feature(name).exp() - 1.0

    def time_of_day(self) -> Value:
        """[n, 2] two triangle waves a quarter of a day apart: where in the day it is, without a seam."""
        phase = self.feature("second_of_day") * (1.0 / 86_400.0)
        shifted = phase + 0.25 - (phase >= 0.75).number()
        return self.graph.concat((phase * 2.0 - 1.0).abs(), (shifted * 2.0 - 1.0).abs())


def trailing(graph: Graph, features: Value, elapsed: Value, initial: ArrayLike) -> Value:
    """[n, 15] log(1 + decayed sum) of requests, prompt and completion tokens at ``TRAILING_S``."""
    amounts = features.pick([INDEX[name] for name in AMOUNTS]).exp() - 1.0
    sums = decayed_sums(graph, "trailing", amounts, len(AMOUNTS), elapsed, TRAILING_S, initial)
    return (sums + 1.0).log(len(AMOUNTS) * len(TRAILING_S))


def values_only(graph: Graph, initial: ArrayLike = 0.0) -> Value:
    """[n, D] the values of a context: alone, what a prior is made of.

    ``initial`` [15] are the trailing sums of a user never seen: nothing, as long as no usual is known.
    """
    elapsed = graph.features.columns(INDEX["elapsed"], INDEX["elapsed"] + 1)
    return graph.concat(graph.features.columns(0, SCORED), trailing(graph, graph.features, elapsed, initial))


def context(graph: Graph, prior: Prior) -> Context:
    """Build the block into ``graph``."""
    elapsed = graph.features.columns(INDEX["elapsed"], INDEX["elapsed"] + 1)
    # a new user starts amid everybody's usual traffic; from nothing, its first hour would look like a lull
    values = values_only(graph, np.expm1(prior.mean[SCORED:]))
    normal = normalise(graph, "usual", values, elapsed, prior, MEMORY_S, deviation_floor(prior))
    rest = graph.features.columns(SCORED, graph.widths["features"])
    expected = graph.concat(normal.mean.columns(0, SCORED), rest)
    population = graph.op("Reshape", graph.population, graph.integers([1, len(POPULATION)]))
    z = normal.z.clip(-Z_LIMIT, Z_LIMIT)
    return Context(graph, graph.features, elapsed, values, z, normal.mean, expected, population, prior)


def deviation_floor(prior: Prior) -> NDArray[np.float32]:
    """[D] the least deviation that counts: a user of constant habits is not alarming for a small change."""
    return (0.1 + 0.1 * np.sqrt(prior.variance)).astype(np.float32)
