"""A slowly moving mean of what everybody sees, to tell a surge from a Monday."""

from __future__ import annotations

from typing import Final

import numpy as np

from seqdetect.detector.block.decay import lost
from seqdetect.detector.graph import Graph, Value

MEMORY_S: Final = 86_400.0


def departure(graph: Graph, name: str, values: Value, width: int, elapsed: Value) -> Value:
    """[n, width] ``values`` minus their mean over about the user's last day of steps; 0 at the first step."""
    mean = graph.state(name, np.zeros(width))
    weight = graph.state(f"{name}_weight", [0.0])
    grown = weight - weight * lost(elapsed, MEMORY_S) + 1.0
    away = (values - mean) * (weight > 0.0).number()
    graph.update(f"{name}_weight", grown)
    graph.update(name, mean + (values - mean) / grown)
    return away
