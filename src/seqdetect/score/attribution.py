"""Which features caused a score: replace a group by the user's usual and score again through the same graph."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqdetect.bundle.schema import FeatureColumn
from seqdetect.score.stepper import Outputs, Stepper

KEPT: Final = 3


class Cause(NamedTuple):
    """One feature's part in a score, in natural units (requests, tokens, milliseconds, shares)."""

    name: str
    value: float
    expected: float
    contribution: float
    """How much the score falls when the feature's group takes its expected value."""
    scale_s: float | None = None
    """Time constant of the step's weightiest evidence, seconds; None for a bundle that does not tell."""


class Attribution:
    """Attributes scores of a bundle to the groups of its features; a group is named after its first feature."""

    def __init__(self, columns: list[FeatureColumn]) -> None:
        self.columns = columns
        names = dict.fromkeys(
            column.group for column in columns if column.group != "context" and column.observed
        )
        self.groups = [[i for i, column in enumerate(columns) if column.group == name] for name in names]

    def __call__(
        self,
        stepper: Stepper,
        features: NDArray[np.float32],
        population: NDArray[np.float32],
        before: NDArray[np.float32],
        outputs: Outputs,
    ) -> list[list[Cause]]:
        """The largest causes of each of ``n`` rows.

        ``before [n, S]`` is the state ahead of the step, ``outputs`` are what the graph said of these rows:
        ``score [n, 1]``, ``expected [n, F]`` and perhaps ``scale [n, 1]``.
        """
        expected = outputs["expected"]
        replaced = np.repeat(features[None], len(self.groups), axis=0)
        for number, group in enumerate(self.groups):
            replaced[number][:, group] = expected[:, group]
        rows = replaced.reshape(-1, features.shape[1])
        again = stepper.run(rows, population, np.tile(before, (len(self.groups), 1)))["score"]
        falls = outputs["score"] - again.reshape(len(self.groups), -1).T
        scales = outputs["scale"][:, 0].tolist() if "scale" in outputs else [None] * len(features)
        return [self._largest(*row) for row in zip(falls, features, expected, scales, strict=True)]

    def _largest(
        self,
        falls: NDArray[np.float32],
        features: NDArray[np.float32],
        expected: NDArray[np.float32],
        scale_s: float | None,
    ) -> list[Cause]:
        causes = []
        for number in np.argsort(-falls, kind="stable")[:KEPT]:
            lead = self.groups[number][0]
            column = self.columns[lead]
            value, usual = (natural(column.unit, float(row[lead])) for row in (features, expected))
            causes.append(Cause(column.name, value, usual, float(falls[number]), scale_s))
        return causes


def natural(unit: str, value: float) -> float:
    """A feature's value in plain units: logarithms of counts and tokens undone."""
    return math.expm1(value) if unit.startswith(("log(1 +", "mean log(1 +")) else value
