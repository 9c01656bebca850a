"""Off hours: the key is used when its owner is normally asleep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from seqdetect.attack import Outcome, Scene, Strength
from seqdetect.attack.arrivals import load, scattered
from seqdetect.attack.strength import HOUR, at, duration, jittered, room
from seqdetect.attack.usual import usual
from seqdetect.attack.weave import woven

STEP = HOUR // 4
"""Starts are tried this far apart, microseconds."""


@dataclass(frozen=True)
class OffHours:
    """Usual requests in the hours that are the quietest of this user's day."""

    kind: ClassVar[str] = "offhours"
    owasp: ClassVar[tuple[str, ...]] = ("LLM10:2025",)
    atlas: ClassVar[tuple[str, ...]] = ("AML.T0012", "AML.T0040")
    for_good: ClassVar[bool] = False

    factors: tuple[float, ...] = (8.0, 3.0, 1.5, 0.7)
    """Rate of the added requests as a multiple of the user's rate in an active hour, [strength]."""
    least_added: tuple[float, ...] = (150.0, 60.0, 30.0, 12.0)
    """Requests added at least, [strength]."""
    most_added: int = 20_000
    """Requests added at most."""
    search_hours: float = 12.0
    """How far around for the quietest time, hours."""
    hours: tuple[float, float] = (2.0, 8.0)
    """How long it lasts, hours (least, most)."""

    def room(self, strength: Strength) -> tuple[int, int]:
        return room(self.hours, self.search_hours)

    def targets(self, users: int, rng: np.random.Generator) -> int:
        return 1

    def __call__(self, scene: Scene, strength: Strength, rng: np.random.Generator) -> Outcome:
        own = usual(scene.events, scene.start)
        length = duration(scene, self.hours, rng)
        start = quietest(own.hours, length, (scene.start, scene.end), rng)
        rate = own.rate * jittered(at(self.factors, strength), rng)
        bounds = (at(self.least_added, strength), self.most_added)
        count, end = load(rate, start, start + length, bounds, rng)
        return woven(scene.events, own.draw(scattered(count, start, end, rng), rng))


def quietest(
    hours: NDArray[np.float64], length: int, bounds: tuple[int, int], rng: np.random.Generator
) -> int:
    """The start within ``bounds`` of the ``length`` (microseconds) that is quietest by active ``hours`` [24].

    Among equally quiet starts one is drawn.
    """
    starts = np.arange(bounds[0], bounds[1] - length + 1, STEP)
    probes = starts[:, None] + np.arange(0, length, STEP)[None, :]
    busy = hours[probes // HOUR % 24].mean(axis=1)
    return int(rng.choice(starts[busy <= busy.min() + 1e-12]))
