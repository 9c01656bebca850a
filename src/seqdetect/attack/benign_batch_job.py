"""Benign batch job: from one day on, a job runs every night at the same time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from seqdetect.attack import Outcome, Scene, Strength
from seqdetect.attack.arrivals import load, steady
from seqdetect.attack.strength import DAY, HOUR, at, jittered, room
from seqdetect.attack.usual import resized, usual
from seqdetect.attack.weave import woven


@dataclass(frozen=True)
class BenignBatchJob:
    """Many similar requests at an even pace, at the same hour of every night; for good."""

    kind: ClassVar[str] = "benign_batch_job"
    owasp: ClassVar[tuple[str, ...]] = ()
    atlas: ClassVar[tuple[str, ...]] = ()
    for_good: ClassVar[bool] = True

    factors: tuple[float, ...] = (15.0, 7.0, 3.5, 1.8)
    """Request rate as a multiple of the user's rate in an active hour, [strength]."""
    least_added: tuple[float, ...] = (200.0, 80.0, 40.0, 20.0)
    """Requests of one night at least, [strength]."""
    most_added: int = 20_000
    """Requests added at most, all nights together."""
    run_hours: tuple[float, float] = (0.5, 1.5)
    """Length of one run, hours (least, most)."""
    night: tuple[float, float] = (0.0, 5.0)
    """When it starts, hour of the day in UTC (earliest, latest), if the scene has such a time."""
    spread: float = 0.2
    """Coefficient of variation of the gaps between requests."""
    least_hours: float = 8.0
    """It begins at least so long before the end of the scene, hours, where the scene has as much."""

    def room(self, strength: Strength) -> tuple[int, int]:
        return room((self.least_hours, self.least_hours))

    def targets(self, users: int, rng: np.random.Generator) -> int:
        return 1

    def __call__(self, scene: Scene, strength: Strength, rng: np.random.Generator) -> Outcome:
        length = min(int(rng.uniform(*self.run_hours) * HOUR), scene.end - scene.start)
        first = self._first(scene, length, rng)
        starts = range(first, max(first + 1, scene.end - length + 1), DAY)
        own = usual(scene.events, first)
        rate = own.rate * (jittered(at(self.factors, strength), rng) - 1)
        bounds = (at(self.least_added, strength), max(1.0, self.most_added / len(starts)))
        count, end = load(rate, first, first + length, bounds, rng)
        template = own.length("prompt_tokens", float(rng.uniform(0.3, 0.8)))
        nights = []
        for start in starts:
            # The job is the same every night; its input grows and shrinks a little.
            tonight = int(np.clip(round(count * rng.uniform(0.9, 1.1)), 1, bounds[1]))
            rows = own.draw(steady(tonight, start, start + end - first, rng, self.spread), rng)
            nights.append(resized(rows, template * rng.lognormal(0.0, 0.2, size=tonight), None))
        return woven(scene.events, pd.concat(nights, ignore_index=True), scene.end)

    def _first(self, scene: Scene, length: int, rng: np.random.Generator) -> int:
        """Start of the first run, microseconds: in the scene's first night, or whenever it fits."""
        hour = int(rng.uniform(*self.night) * HOUR)
        tonight = scene.start // DAY * DAY + hour
        if tonight < scene.start:
            tonight += DAY
        if tonight + length <= scene.end:
            return tonight
        return int(rng.integers(scene.start, scene.end - length + 1))
