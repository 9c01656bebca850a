"""Denial of wallet: requests made as expensive as they can be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from seqdetect.attack import Outcome, Scene, Strength
from seqdetect.attack.arrivals import load, scattered
from seqdetect.attack.strength import at, jittered, room, slot
from seqdetect.attack.usual import resized, usual
from seqdetect.attack.weave import woven


@dataclass(frozen=True)
class Wallet:
    """A few more requests, each with a long prompt and a long completion: the bill is the target."""

    kind: ClassVar[str] = "wallet"
    owasp: ClassVar[tuple[str, ...]] = ("LLM10:2025",)
    atlas: ClassVar[tuple[str, ...]] = ("AML.T0034", "AML.T0034.001")
    for_good: ClassVar[bool] = False

    factors: tuple[float, ...] = (30.0, 10.0, 4.0, 1.8)
    """Tokens per added request as a multiple of the user's median request, [strength]."""
    pace: tuple[float, ...] = (3.0, 2.0, 1.2, 0.8)
    """Rate of the added requests as a multiple of the user's rate in an active hour, [strength]."""
    least_added: tuple[float, ...] = (80.0, 35.0, 18.0, 10.0)
    """Requests added at least, [strength]."""
    most_added: int = 20_000
    """Requests added at most."""
    most_prompt: int = 200_000
    """Longest prompt, tokens, unless the user's own are longer: a usual context limit."""
    most_completion: int = 32_000
    """Longest completion, tokens, unless the user's own are longer: a usual output limit."""
    hours: tuple[float, float] = (0.5, 2.0)
    """How long it lasts, hours (least, most)."""

    def room(self, strength: Strength) -> tuple[int, int]:
        return room(self.hours)

    def targets(self, users: int, rng: np.random.Generator) -> int:
        return 1

    def __call__(self, scene: Scene, strength: Strength, rng: np.random.Generator) -> Outcome:
        start, end = slot(scene, self.hours, rng)
        own = usual(scene.events, start)
        rate = own.rate * at(self.pace, strength) * float(rng.uniform(0.7, 1.3))
        bounds = (at(self.least_added, strength), self.most_added)
        count, end = load(rate, start, end, bounds, rng)
        rows = own.draw(scattered(count, start, end, rng), rng)
        sizes = []
        for column, limit in (
            ("prompt_tokens", self.most_prompt),
            ("completion_tokens", self.most_completion),
        ):
            factor = jittered(at(self.factors, strength), rng)
            # An expensive request asks for everything every time, so lengths vary little.
            wanted = own.length(column, 0.5) * factor * rng.lognormal(0.0, 0.25, size=count)
            sizes.append(np.minimum(wanted, max(float(limit), own.length(column, 0.999))))
        return woven(scene.events, resized(rows, *sizes))
