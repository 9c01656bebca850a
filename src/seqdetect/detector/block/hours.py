"""At which hours of the day a user is active, learned from the user's own days."""

from __future__ import annotations

from typing import Final

import numpy as np

from seqdetect.detector.block.decay import lost
from seqdetect.detector.graph import Graph, Value

HOURS: Final = 24
MEMORY_S: Final = 3 * 86_400.0
START: Final = 0.3
"""Activity that every hour starts with: little, and the same for all."""
KERNEL: Final = {-1: 0.25, 0: 0.5, 1: 0.25}
"""Weights of an hour and its neighbours."""


def usual_hour(
    graph: Graph, name: str, second_of_day: Value, amount: Value, elapsed: Value
) -> tuple[Value, Value]:
    """How usual activity is at this hour, and how much is known of the user's hours, both logarithms ``[n, 1]``.

    The first is 0 where this hour is as active as the average one, below where the user is usually asleep.
    ``amount`` [n, 1] is the step's activity: a logarithm of requests, so that a flood's size does not make an hour
    usual. That it goes on for hours does, as for anything else.
    """
    profile = graph.state(name, np.full(HOURS, START))
    hour = second_of_day * (1.0 / 3600.0)
    begun = (hour >= np.arange(HOURS, dtype=np.float32)[None, :]).number()
    over = (hour >= np.arange(1, HOURS + 1, dtype=np.float32)[None, :]).number()
    now = begun - over
    graph.update(name, profile - profile * lost(elapsed, MEMORY_S) + now * amount)
    kernel = sum(weight * np.roll(np.eye(HOURS), shift, axis=1) for shift, weight in KERNEL.items())
    here, total = (profile * (now @ kernel)).sum(HOURS), profile.sum(HOURS)
    logs = graph.concat(here * float(HOURS) + 1.0, total + 1.0).log(2)
    known = logs.columns(1, 2)
    return logs.columns(0, 1) - known, known
