"""Credential sharing: one key, several people, each with its own address, hours and habits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from seqdetect.attack import Outcome, Scene, Strength
from seqdetect.attack.arrivals import load
from seqdetect.attack.strength import at, jittered, room, slot
from seqdetect.attack.usual import addressed, resized, usual
from seqdetect.attack.weave import woven


@dataclass(frozen=True)
class CredentialSharing:
    """Overlapping sessions of several people under one id, with lengths of their own."""

    kind: ClassVar[str] = "credential_sharing"
    owasp: ClassVar[tuple[str, ...]] = ("LLM10:2025",)
    atlas: ClassVar[tuple[str, ...]] = ("AML.T0012", "AML.T0040")
    for_good: ClassVar[bool] = False

    factors: tuple[float, ...] = (20.0, 8.0, 4.0, 1.8)
    """Request rate of all together as a multiple of the owner's rate in an active hour, [strength]."""
    people: tuple[int, ...] = (10, 6, 3, 2)
    """How many people use the key beside its owner, [strength]."""
    session_minutes: float = 25.0
    """Typical length of one sitting, minutes."""
    least_added: tuple[float, ...] = (300.0, 120.0, 50.0, 20.0)
    """Requests added at least, [strength]."""
    most_added: int = 20_000
    """Requests added at most."""
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
        people = int(at(self.people, strength))
        times, person = self._sittings(count, people, (start, end), rng)
        rows = own.draw(times, rng)
        # Habits differ between people by about as much as a factor of two either way.
        habit = rng.lognormal(0.0, 0.7, size=(2, people))
        prompt = rows["prompt_tokens"].to_numpy(dtype=np.float64) * habit[0, person]
        completion = rows["completion_tokens"].to_numpy(dtype=np.float64) * habit[1, person]
        rows = resized(rows, np.maximum(prompt, 1), np.maximum(completion, 1))
        return woven(scene.events, addressed(rows, person, rng))

    def _sittings(
        self, count: int, people: int, window: tuple[int, int], rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Times (microseconds, ascending) and people of ``count`` requests, in sittings within ``window``."""
        start, end = window
        length = min(self.session_minutes * 60e6, (end - start) / 2)
        sittings = max(people, round(people * (end - start) / length / 3))
        who = np.arange(sittings) % people
        begin = rng.uniform(start, end - length, size=sittings)
        sitting = rng.integers(0, sittings, size=count)
        times = begin[sitting] + rng.uniform(0, length, size=count)
        order = np.argsort(times, kind="stable")
        return np.clip(times[order].astype(np.int64), start, end - 1), who[sitting[order]]
