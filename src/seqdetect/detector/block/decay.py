"""Sums and means that forget exponentially with the time that passed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seqdetect.detector.graph import Graph, Value


def factors(elapsed: Value, tau_s: Sequence[float]) -> Value:
    """``exp(-elapsed / tau)``, one column per time constant (seconds)."""
    return (elapsed * np.asarray([[-1.0 / tau for tau in tau_s]], np.float32)).exp()


def decayed_sums(graph: Graph, name: str, amounts: Value, width: int, elapsed: Value, tau_s: Sequence[float]) -> Value:
    """Sums of ``amounts [n, width]`` that fade with each time constant: ``[n, width * len(tau_s)]``.

    Columns are grouped by time constant. Includes the present step.
    """
    before = graph.state(name, np.zeros(width * len(tau_s)))
    fades = graph.concat(*[_repeat(factors(elapsed, [tau]), width) for tau in tau_s])
    after = before * fades + graph.concat(*[amounts] * len(tau_s))
    graph.update(name, after)
    return after


def _repeat(column: Value, width: int) -> Value:
    return column @ np.ones((1, width), np.float32)
