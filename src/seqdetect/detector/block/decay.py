"""Sums and means that forget exponentially with the time that passed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from seqdetect.detector.graph import Graph, Value


def factors(elapsed: Value, tau_s: Sequence[float]) -> Value:
    """``exp(-elapsed / tau)``, one column per time constant (seconds)."""
    return (elapsed * np.asarray([[-1.0 / tau for tau in tau_s]], np.float32)).exp()


def lost(elapsed: Value, tau_s: float) -> Value:
    """``1 - exp(-elapsed / tau)``: what is forgotten of a long memory.

    By way of tanh, since float32 keeps three digits of a loss of 1e-5 when it is taken from an ``exp`` near 1,
    and that error is the same at every step: a weight that fades for a day would be wrong by 1e-4.
    """
    half = elapsed.graph.op("Tanh", elapsed * (0.5 / tau_s))
    return (half * 2.0) / (half + 1.0)


def decayed_sums(
    graph: Graph,
    name: str,
    amounts: Value,
    width: int,
    elapsed: Value,
    tau_s: Sequence[float],
    initial: ArrayLike = 0.0,
) -> Value:
    """Sums of ``amounts [n, width]`` that fade with each time constant: ``[n, width * len(tau_s)]``.

    Columns are grouped by time constant. Includes the present step. ``initial`` is what a new user starts with.
    """
    before = graph.state(name, np.broadcast_to(np.asarray(initial, np.float32), width * len(tau_s)))
    # products with matrices of ones and zeros: copies, exact, and cheaper than as many nodes
    fades = factors(elapsed, tau_s) @ np.kron(np.eye(len(tau_s)), np.ones((1, width)))
    after = before * fades + amounts @ np.tile(np.eye(width), len(tau_s))
    graph.update(name, after)
    return after
