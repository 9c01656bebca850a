"""Model extraction: steady, systematic queries that collect as much output as possible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from seqdetect.attack import Outcome, Scene, Strength
from seqdetect.attack.arrivals import load, steady
from seqdetect.attack.strength import at, jittered, room, slot
from seqdetect.attack.usual import addressed, resized, usual
from seqdetect.attack.weave import woven


@dataclass(frozen=True)
class Scrape:
    """Queries from one template at an even pace for hours, day or night, answered at length."""

    kind: ClassVar[str] = "scrape"
    owasp: ClassVar[tuple[str, ...]] = ("LLM10:2025",)
    atlas: ClassVar[tuple[str, ...]] = ("AML.T0024.002", "AML.T0040")
    for_good: ClassVar[bool] = False

    factors: tuple[float, ...] = (25.0, 8.0, 3.5, 1.8)
    """Request rate as a multiple of the user's rate in an active hour, [strength]."""
    lengthening: tuple[float, ...] = (3.0, 2.0, 1.4, 1.1)
    """Completions as a multiple of the user's 0.75 quantile, [strength]."""
    least_added: tuple[float, ...] = (600.0, 250.0, 100.0, 40.0)
    """Requests added at least, [strength]."""
    most_added: int = 20_000
    """Requests added at most."""
    spread: float = 0.15
    """Coefficient of variation of the gaps between queries."""
    hours: tuple[float, float] = (2.0, 8.0)
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
        count, end = load(rate, start, end, bounds, rng)
        rows = own.draw(steady(count, start, end, rng, self.spread), rng)
        template = own.length("prompt_tokens", float(rng.uniform(0.2, 0.8)))
        prompt = template + rng.integers(0, max(2, int(template * 0.1)), size=count)
        longer = own.length("completion_tokens", 0.75) * jittered(at(self.lengthening, strength), rng)
        rows = resized(rows, prompt.astype(np.float64), longer * rng.lognormal(0.0, 0.3, size=count))
        # One script on one machine.
        return woven(scene.events, addressed(rows, np.zeros(count, dtype=np.int64), rng))
