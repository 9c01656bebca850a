"""Context stuffing: as many requests as ever, but the prompts are full of something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from seqdetect.attack import Outcome, Scene, Strength
from seqdetect.attack.strength import at, busy_slot, jittered, room
from seqdetect.attack.usual import resized, usual
from seqdetect.attack.weave import inside, labelled, lively, overwritten


@dataclass(frozen=True)
class Stuffing:
    """The user's own requests with prompts many times as long: injected text, or many-shot jailbreaks."""

    kind: ClassVar[str] = "stuffing"
    owasp: ClassVar[tuple[str, ...]] = ("LLM01:2025", "LLM10:2025")
    atlas: ClassVar[tuple[str, ...]] = ("AML.T0051", "AML.T0054", "AML.T0034.001")
    for_good: ClassVar[bool] = False

    factors: tuple[float, ...] = (30.0, 10.0, 4.0, 1.8)
    """Prompt length as a multiple of the request's own, or of the median if that is more, [strength]."""
    least: int = 3
    """Requests stuffed at least; a user that is silent meanwhile gets as many more."""
    most_prompt: int = 200_000
    """Longest prompt, tokens, unless the user's own are longer: a usual context limit."""
    search_hours: float = 6.0
    """How far around for a time when the user is active, hours."""
    hours: tuple[float, float] = (0.5, 2.0)
    """How long it lasts, hours (least, most)."""

    def room(self, strength: Strength) -> tuple[int, int]:
        return room(self.hours, self.search_hours)

    def targets(self, users: int, rng: np.random.Generator) -> int:
        return 1

    def __call__(self, scene: Scene, strength: Strength, rng: np.random.Generator) -> Outcome:
        window = busy_slot(scene, self.hours, rng)
        own = usual(scene.events, window[0])
        events = lively(scene.events, scene.targets[0], window, self.least, rng)
        places = inside(events, *window)
        rows = events.iloc[places]
        prompt = np.maximum(
            rows["prompt_tokens"].to_numpy(dtype=np.float64), own.length("prompt_tokens", 0.5)
        )
        factor = jittered(at(self.factors, strength), rng)
        limit = np.maximum(float(self.most_prompt), 1.2 * prompt)
        stuffed = np.minimum(prompt * factor * rng.uniform(0.9, 1.1, size=len(rows)), limit)
        changed = resized(rows, np.maximum(stuffed, prompt + 1), None)
        return Outcome(overwritten(events, places, changed), labelled(changed))
