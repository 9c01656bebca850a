"""Flood: one user sends far more requests than it ever does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from seqdetect.attack import Outcome, Scene, Strength
from seqdetect.attack.arrivals import load, scattered
from seqdetect.attack.strength import at, jittered, room, slot
from seqdetect.attack.usual import usual
from seqdetect.attack.weave import woven


@dataclass(frozen=True)
class Flood:
    """Requests like the user's own, many times as many, for minutes."""

    kind: ClassVar[str] = "flood"
    owasp: ClassVar[tuple[str, ...]] = ("LLM10:2025",)
    atlas: ClassVar[tuple[str, ...]] = ("AML.T0029", "AML.T0034.000", "AML.T0046")
    for_good: ClassVar[bool] = False

    factors: tuple[float, ...] = (32.0, 10.0, 4.0, 1.8)
    """Request rate as a multiple of the user's rate in an active hour, [strength]."""
    least_added: tuple[float, ...] = (250.0, 90.0, 35.0, 14.0)
    """Requests added at least, [strength]: multiples of one request an hour would be nothing."""
    most_added: int = 20_000
    """Requests added at most."""
    hours: tuple[float, float] = (5 / 60, 20 / 60)
    """How long it lasts, hours (least, most)."""

    def room(self, strength: Strength) -> tuple[int, int]:
        return room(self.hours)

    def targets(self, users: int, rng: np.random.Generator) -> int:
        return 1

    def __call__(self, scene: Scene, strength: Strength, rng: np.random.Generator) -> Outcome:
        start, end = slot(scene, self.hours, rng)
        own = usual(scene.events, start)
        rate = own.rate * (jittered(at(self.factors, strength), rng) - 1)
        bounds = (at(self.least_added, strength), self.most_added)
        # A flood of a very busy user is allowed to be over within a tenth of the time: it keeps its rate.
        count, end = load(rate, start, end, bounds, rng, shortest=0.1)
        return woven(scene.events, own.draw(scattered(count, start, end, rng), rng))
