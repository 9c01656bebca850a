"""Inflation: tokens per request rise for everybody, with the same users and the same requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from seqdetect.attack import Outcome, Scene, Strength
from seqdetect.attack.strength import at, busy_slot, jittered, room
from seqdetect.attack.usual import resized
from seqdetect.attack.weave import inside, labelled, lively, overwritten


@dataclass(frozen=True)
class Inflation:
    """Longer prompts and completions for all: a poisoned shared prompt, or a model gone talkative."""

    kind: ClassVar[str] = "inflation"
    owasp: ClassVar[tuple[str, ...]] = ("LLM10:2025",)
    atlas: ClassVar[tuple[str, ...]] = ("AML.T0034", "AML.T0034.001")
    for_good: ClassVar[bool] = False

    factors: tuple[float, ...] = (20.0, 7.0, 3.0, 1.6)
    """Tokens per request as a multiple of what it would have had, [strength]."""
    most_tokens: int = 200_000
    """Longest prompt or completion, tokens, unless it was longer before."""
    hours: tuple[float, float] = (0.75, 2.5)
    """How long it lasts, hours (least, most)."""

    def room(self, strength: Strength) -> tuple[int, int]:
        return room(self.hours)

    def targets(self, users: int, rng: np.random.Generator) -> int:
        return users

    def __call__(self, scene: Scene, strength: Strength, rng: np.random.Generator) -> Outcome:
        window = busy_slot(scene, self.hours, rng)
        events = lively(scene.events, scene.targets[0], window, 3, rng)
        places = inside(events, *window)
        rows = events.iloc[places]
        sizes = []
        for column in ("prompt_tokens", "completion_tokens"):
            factor = jittered(at(self.factors, strength), rng)
            before = rows[column].to_numpy(dtype=np.float64)
            wanted = (before + 1) * factor * rng.uniform(0.9, 1.1, size=len(rows))
            sizes.append(np.clip(wanted, before + 1, np.maximum(before + 1, self.most_tokens)))
        changed = resized(rows, *sizes)
        return Outcome(overwritten(events, places, changed), labelled(changed))
