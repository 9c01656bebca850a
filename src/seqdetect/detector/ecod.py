"""ECOD (Li et al. 2022), its distribution frozen at fit: how far out in the tails a step lies, column by column.

Also the frozen tails that COPOD shares, and the sum of per-column step functions that HBOS shares.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from seqdetect.detector import Rows, sample
from seqdetect.detector.block.context import Context
from seqdetect.detector.graph import Graph, Value

Floats = NDArray[np.float64]
Combine = Callable[[Floats, Floats, int], Floats]
"""From minus the log probabilities of the left and the right tail, and the sign of the column's skewness, to
the column's part of the score."""
SMALLEST: Final = np.finfo(np.float32).smallest_normal
_NODES: Final = ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")
_LEAVES: Final = ("treeids", "nodeids", "ids", "weights")


@dataclass(frozen=True)
class Staircase:
    """A step function of one column: ``value[i]`` [m + 1] where ``bound[i - 1] < x <= bound[i]`` [m]."""

    bound: NDArray[np.float32]
    value: Floats

    def __call__(self, column: NDArray[np.float32]) -> Floats:
        return np.asarray(self.value[np.searchsorted(self.bound, column)])


@dataclass
class Ecod:
    """Score: sum over columns of the largest of both tails' -log probability and that of the skewed side.

    PyOD ranks each query batch among the training rows, so that one user's score depends on who else is
    scored. Here the tails are those of the fit rows alone. On these rows the score is PyOD's up to
    ``resolution`` per column; a value beyond all of them counts as one in n + 1.
    """

    fit_rows: int = 50_000
    resolution: float = 0.05
    """Log units: values whose tails differ by less share a step. 0 keeps every value of the fit rows apart."""
    research_only: str | None = None
    columns: list[Staircase] = field(default_factory=list, init=False)

    def rows(self, context: Context) -> Value:
        """[n, D] the step in the user's own deviations."""
        return context.z

    def fit(self, rows: Rows, seed: int) -> None:
        fitted = sample(rows, self.fit_rows, seed)
        self.columns = [tail_staircase(column, larger_tail, self.resolution) for column in fitted.T]

    def score(self, context: Context, rows: Value) -> Value:
        return staircase_sum(context.graph, rows, self.columns)

    def reference(self, rows: Rows) -> Floats:
        return frozen_sum(rows.values, self.columns)


def larger_tail(left: Floats, right: Floats, skew: int) -> Floats:
    """ECOD's part of one column."""
    return np.maximum(np.maximum(left, right), skewed_tail(left, right, skew))


def skewed_tail(left: Floats, right: Floats, skew: int) -> Floats:
    """The tail that the column's skewness points to; both together where there is none."""
    return left + right if skew == 0 else (left if skew < 0 else right)


def tail_staircase(column: NDArray[np.float32], combine: Combine, resolution: float) -> Staircase:
    """A column's part of the score from the empirical tails of ``column`` [n], ties included on both sides."""
    value, count = np.unique(column + np.float32(0.0), return_counts=True)  # -0.0 becomes 0.0
    n = len(column)
    # pieces: below the first value, at it, between it and the next, at that, ..., above the last
    bound = np.stack([_just_below(value), value], axis=1).ravel()
    left = np.append(1.0 / (n + 1), np.repeat(np.cumsum(count) / n, 2))
    right = np.append(np.repeat(np.cumsum(count[::-1])[::-1] / n, 2), 1.0 / (n + 1))
    left, right = -np.log(left), -np.log(right)
    part = combine(left, right, skew_sign(column))
    if resolution == 0.0:
        return Staircase(bound, part)
    cell = np.floor(np.stack([left, right]) / resolution)
    first = np.flatnonzero(np.append(True, (np.diff(cell, axis=1) != 0.0).any(axis=0)))
    middle = (np.maximum.reduceat(part, first) + np.minimum.reduceat(part, first)) / 2.0
    return Staircase(bound[first[1:] - 1], middle)


def skew_sign(column: NDArray[np.float32]) -> int:
    """Sign of the third central moment, 0 for a constant column."""
    exact = column.astype(np.float64)
    if exact.min() == exact.max():
        return 0
    return int(np.sign(((exact - exact.mean()) ** 3).sum()))


def staircase_sum(graph: Graph, rows: Value, columns: Sequence[Staircase]) -> Value:
    """[n, 1] sum over columns of step functions of ``rows [n, D]``: one balanced search tree per column."""
    nodes: dict[str, list[Any]] = {name: [] for name in _NODES}
    leaves: dict[str, list[Any]] = {name: [] for name in _LEAVES}
    for number, column in enumerate(columns):
        _write_tree(column, number, nodes, leaves)
    attributes: dict[str, Any] = {f"nodes_{name}": values for name, values in nodes.items()}
    attributes |= {f"target_{name}": values for name, values in leaves.items()}
    return graph.op("TreeEnsembleRegressor", rows, domain="ai.onnx.ml", n_targets=1, **attributes)


def frozen_sum(values: NDArray[np.float32], columns: Sequence[Staircase]) -> Floats:
    """[n] the same sum of ``values [n, D]`` without the graph, in float64."""
    total = np.zeros(len(values))
    for column, staircase in zip(values.T, columns, strict=True):
        total += staircase(column)
    return total


def _write_tree(
    column: Staircase, number: int, nodes: dict[str, list[Any]], leaves: dict[str, list[Any]]
) -> None:
    """Halve the pieces ``[low, high)`` again and again; the root is node 0, children follow as they come."""
    ranges = [(0, len(column.value))]
    for node, (low, high) in enumerate(ranges):  # grows while it is walked over
        middle, child = (low + high) // 2, len(ranges)
        row: tuple[Any, ...] = (number, node, 0, 0.0, "LEAF", 0, 0)
        if high - low == 1:
            _append(leaves, (number, node, 0, float(column.value[low])))
        else:
            row = (number, node, number, float(column.bound[middle - 1]), "BRANCH_LEQ", child, child + 1)
            ranges += [(low, middle), (middle, high)]
        _append(nodes, row)


def _append(table: dict[str, list[Any]], row: tuple[Any, ...]) -> None:
    for column, entry in zip(table.values(), row, strict=True):
        column.append(entry)


def _just_below(value: NDArray[np.float32]) -> NDArray[np.float32]:
    """The next float32 down, passing over denormal numbers, which some processors take for zero."""
    lower = np.nextafter(value, np.float32(-np.inf))
    lower = np.where((lower < 0) & (lower > -SMALLEST), -SMALLEST, lower)
    return np.where((lower > 0) & (lower < SMALLEST), np.float32(0.0), lower).astype(np.float32)
