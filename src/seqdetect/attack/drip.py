"""Slow drip: a small, steady increase over many hours, meant to stay below every threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from seqdetect.attack import Outcome, Scene, Strength
from seqdetect.attack.arrivals import load, steady
from seqdetect.attack.strength import at, jittered, room, slot
from seqdetect.attack.usual import usual
from seqdetect.attack.weave import woven


@dataclass(frozen=True)
class Drip:
    """Usual requests at an even pace around the clock, slower than any burst of the user's own."""

    kind: ClassVar[str] = "drip"
    owasp: ClassVar[tuple[str, ...]] = ("LLM10:2025",)
    atlas: ClassVar[tuple[str, ...]] = ("AML.T0034", "AML.T0034.000")
    for_good: ClassVar[bool] = False

    factors: tuple[float, ...] = (5.0, 3.0, 2.0, 1.5)
    """Request rate as a multiple of the user's rate in an active hour, [strength]."""
    least_added: tuple[float, ...] = (250.0, 120.0, 60.0, 30.0)
    """Requests added at least, [strength]."""
    most_added: int = 20_000
    """Requests added at most."""
    spread: float = 0.3
    """Coefficient of variation of the gaps between requests."""
    hours: tuple[float, float] = (12.0, 24.0)
    """How long it lasts, hours (least, most); less where the scene has less."""

    def room(self, strength: Strength) -> tuple[int, int]:
        return room(self.hours)

    def targets(self, users: int, rng: np.random.Generator) -> int:
        return 1

    def __call__(self, scene: Scene, strength: Strength, rng: np.random.Generator) -> Outcome:
        start, end = slot(scene, self.hours, rng)
        own = usual(scene.events, start)
        rate = own.rate * (jittered(at(self.factors, strength), rng) - 1)
        bounds = (at(self.least_added, strength), self.most_added)
        count, end = load(rate, start, end, bounds, rng)
        return woven(scene.events, own.draw(steady(count, start, end, rng, self.spread), rng))
