"""A detector's whole step function: context, the detector's own part, calibrated tail."""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx

from seqdetect.calibration.tail import Tail
from seqdetect.detector import Detector
from seqdetect.detector.block.context import COLUMNS, context, values_only
from seqdetect.detector.block.normal import Prior
from seqdetect.detector.graph import Graph, Value
from seqdetect.sequence.features import FEATURES
from seqdetect.sequence.population import NAMES as POPULATION

FEATURE_COUNT: Final = len(FEATURES)
POPULATION_COUNT: Final = len(POPULATION)


def new_graph() -> Graph:
    """A graph with the engine's inputs."""
    return Graph(FEATURE_COUNT, POPULATION_COUNT)


def values_graph() -> tuple[onnx.ModelProto, Graph]:
    """Outputs ``values [n, D]`` of the context: what the population's prior is made of."""
    graph = new_graph()
    return graph.build(values=(values_only(graph), COLUMNS)), graph


def rows_graph(detector: Detector, prior: Prior) -> tuple[onnx.ModelProto, Graph]:
    """Outputs ``rows [n, D]`` that the detector is fitted on."""
    graph = new_graph()
    rows = detector.rows(context(graph, prior))
    return graph.build(rows=(rows, -1)), graph


def step_graph(detector: Detector, prior: Prior, tail: Tail | None) -> tuple[onnx.ModelProto, Graph]:
    """Outputs ``score [n, 1]`` and ``expected [n, F]``; the score is raw where no ``tail`` is given."""
    graph = new_graph()
    seen = context(graph, prior)
    raw = detector.score(seen, detector.rows(seen))
    score = raw if tail is None else write_tail(graph, raw, tail)
    return graph.build(score=(score, 1), expected=(seen.expected, FEATURE_COUNT)), graph


def write_tail(graph: Graph, raw: Value, tail: Tail) -> Value:
    """The calibration map as graph nodes, ``[n, 1]`` to ``[n, 1]``."""
    widths = np.diff(tail.knot)
    slopes = np.append(np.diff(tail.value) / widths, tail.slope)
    rises = np.append(widths, np.finfo(np.float32).max)[None, :]
    steps = (raw - tail.knot[None, :]).clip(0.0, graph.constant(rises))
    return steps @ slopes[:, None]
