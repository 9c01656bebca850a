"""Running small graphs step by step, and rows that are hard on a detector's arithmetic."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqdetect.bundle.load import session
from seqdetect.detector import Detector, Rows
from seqdetect.detector.graph import Graph, Value

COLUMNS = 25


def walk(graph: Graph, steps: NDArray[Any], **outputs: tuple[Value, int]) -> dict[str, NDArray[np.float32]]:
    """Outputs ``[time, n, width]`` and the state of a graph fed with ``steps [time, n, F]`` from an empty state."""
    opened = session(graph.build(**outputs).SerializeToString())
    names = [node.name for node in opened.get_outputs()]
    wanted = {node.name for node in opened.get_inputs()}
    state = np.repeat(graph.initial_row[None], steps.shape[1], axis=0)
    collected: dict[str, list[NDArray[np.float32]]] = {name: [] for name in names}
    for step in steps.astype(np.float32):
        feeds = {"features": step, "population": np.zeros(1, np.float32), "state_in": state}
        found = opened.run(names, {name: value for name, value in feeds.items() if name in wanted})
        for name, value in zip(names, found, strict=True):
            collected[name].append(value)
        state = collected["state"][-1]
    return {name: np.stack(values) for name, values in collected.items()}


def graph_score(detector: Detector, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """[n] the exported score of rows ``[n, D]`` that need no state."""
    graph = Graph(values.shape[1], 1)
    context: Any = SimpleNamespace(graph=graph)
    out = detector.score(context, graph.features)
    return walk(graph, values[None], score=(out, 1))["score"][0, :, 0]


def as_rows(values: NDArray[np.float32], users: int = 7) -> Rows:
    """Rows of ``users`` users by turns, all usable."""
    n = len(values)
    return Rows(values, np.arange(n, dtype=np.int32) % users, np.arange(n) * 10_000_000, np.ones(n, bool))


def hard_rows(n: int, seed: int, columns: int = COLUMNS) -> NDArray[np.float32]:
    """Correlated heavy tails clipped at 10, with two constant columns, columns of few values, and rows that repeat."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(0, 0.4, (columns, columns)) + np.eye(columns)
    values = rng.standard_t(2.5, (n, columns)) @ mixing
    values[:, 7] = np.where(rng.random(n) < 0.97, -0.04, values[:, 7])
    values[:, 8:11] = np.round(values[:, 8:11] * 2.0) / 2.0
    values[:, 11] = values[:, 12] + 1e-4 * values[:, 11]
    values = np.clip(values, -10.0, 10.0)
    values[rng.random(n) < 0.1] = values[0]
    values[:20] = 10.0 * np.sign(rng.normal(size=(20, columns)))
    values[:, 5] = 0.0
    values[:, 6] = np.float32(0.1)
    return values.astype(np.float32)


def largest_difference(exported: NDArray[Any], reference: NDArray[Any]) -> float:
    """As parity measures it: over max(|reference|, interquartile range)."""
    lower, upper = np.percentile(reference, [25, 75])
    return float((np.abs(exported - reference) / np.maximum(np.abs(reference), upper - lower)).max())
