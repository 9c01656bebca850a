"""Benign onboarding: a user goes from little to a lot, and stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from seqdetect.attack import Outcome, Scene, Strength
from seqdetect.attack.arrivals import echoed, scattered
from seqdetect.attack.strength import HOUR, at, busy_slot, jittered, room
from seqdetect.attack.usual import stamped, usual
from seqdetect.attack.weave import inside, woven


@dataclass(frozen=True)
class BenignOnboarding:
    """More of the user's own requests in its own hours, growing to a new level over hours; for good."""

    kind: ClassVar[str] = "benign_onboarding"
    owasp: ClassVar[tuple[str, ...]] = ()
    atlas: ClassVar[tuple[str, ...]] = ()
    for_good: ClassVar[bool] = True

    factors: tuple[float, ...] = (12.0, 6.0, 3.0, 1.8)
    """Requests at the new level as a multiple of what they would have been, [strength]."""
    ramp_hours: tuple[float, float] = (3.0, 24.0)
    """Time to the new level, hours (least, most); at most half of what is left."""
    most_added: int = 20_000
    """Requests added at most."""
    least_hours: float = 8.0
    """It begins at least so long before the end of the scene, hours, where the scene has as much."""

    def room(self, strength: Strength) -> tuple[int, int]:
        return room((self.least_hours, self.least_hours))

    def targets(self, users: int, rng: np.random.Generator) -> int:
        return 1

    def __call__(self, scene: Scene, strength: Strength, rng: np.random.Generator) -> Outcome:
        least = min(self.least_hours, (scene.end - scene.start) / HOUR)
        start, _ = busy_slot(scene, (least, least), rng)
        base = scene.events.iloc[inside(scene.events, start, scene.end)]
        times = base["timestamp"].to_numpy(dtype=np.int64)
        ramp = min(float(rng.uniform(*self.ramp_hours)) * HOUR, (scene.end - start) / 2)
        extra = (jittered(at(self.factors, strength), rng) - 1) * np.minimum(1.0, (times - start) / ramp)
        extra *= min(1.0, self.most_added / max(1.0, float(extra.sum())))
        when, copied = echoed(times, extra, HOUR // 2, (start, scene.end), rng)
        if len(when) == 0:
            rows = usual(scene.events, start).draw(scattered(2, start, scene.end, rng), rng)
            return woven(scene.events, rows, scene.end)
        rows = stamped(base.iloc[copied].reset_index(drop=True), when, rng)
        return woven(scene.events, rows, scene.end)
