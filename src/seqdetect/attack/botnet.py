"""Botnet: several keys misused at once, each moderately, by one hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from seqdetect.attack import Outcome, Scene, Strength
from seqdetect.attack.arrivals import load, scattered
from seqdetect.attack.strength import at, jittered, room, slot
from seqdetect.attack.usual import addressed, own_events, resized, usual
from seqdetect.attack.weave import woven
from seqdetect.events import MICROSECONDS


@dataclass(frozen=True)
class Botnet:
    """The same task sent under several ids within the same minutes, from many addresses."""

    kind: ClassVar[str] = "botnet"
    owasp: ClassVar[tuple[str, ...]] = ("LLM10:2025",)
    atlas: ClassVar[tuple[str, ...]] = ("AML.T0029", "AML.T0034.000", "AML.T0012")
    for_good: ClassVar[bool] = False

    factors: tuple[float, ...] = (20.0, 7.0, 3.5, 1.8)
    """Request rate of each user as a multiple of its rate in an active hour, [strength]."""
    least_added: tuple[float, ...] = (120.0, 50.0, 25.0, 12.0)
    """Requests added at least, each user, [strength]."""
    most_added: int = 20_000
    """Requests added at most, all users together."""
    users: tuple[int, int] = (3, 6)
    """How many ids are misused (least, most)."""
    addresses: tuple[int, int] = (5, 40)
    """Addresses the requests of one id come from (least, most)."""
    apart_s: float = 90.0
    """The ids start within this many seconds of each other: one command reaches all."""
    hours: tuple[float, float] = (15 / 60, 1.0)
    """How long it lasts, hours (least, most)."""

    def room(self, strength: Strength) -> tuple[int, int]:
        return room(self.hours)

    def targets(self, users: int, rng: np.random.Generator) -> int:
        return min(int(rng.integers(self.users[0], self.users[1] + 1)), users)

    def __call__(self, scene: Scene, strength: Strength, rng: np.random.Generator) -> Outcome:
        start, end = slot(scene, self.hours, rng)
        factor = jittered(at(self.factors, strength), rng)
        bounds = (at(self.least_added, strength), self.most_added / len(scene.targets))
        task: float | None = None
        parts = []
        for user in scene.targets:
            own = usual(own_events(scene.events, user), start)
            begin = start + int(rng.uniform(0, min(self.apart_s * MICROSECONDS, (end - start) / 4)))
            count, stop = load(own.rate * (factor - 1), begin, end, bounds, rng)
            rows = own.draw(scattered(count, begin, stop, rng), rng)
            # All bots ask about the same thing, so their prompts are alike, whoever's key it is.
            task = own.length("prompt_tokens", 0.5) if task is None else task
            rows = resized(rows, task * rng.lognormal(0.0, 0.2, size=count), None)
            machines = int(rng.integers(self.addresses[0], self.addresses[1] + 1))
            parts.append(addressed(rows, rng.integers(0, machines, size=count), rng))
        together = pd.concat(parts, ignore_index=True)
        order = np.argsort(together["timestamp"].to_numpy(dtype=np.int64), kind="stable")
        return woven(scene.events, together.iloc[order])
