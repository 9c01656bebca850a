"""Benign migration: users move to another model, and lengths step with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from seqdetect.attack import Outcome, Scene, Strength
from seqdetect.attack.strength import HOUR, at, busy_slot, jittered, room
from seqdetect.attack.usual import resized, rewritten
from seqdetect.attack.weave import inside, labelled, lively, overwritten


@dataclass(frozen=True)
class BenignMigration:
    """From one moment on another model's name and other lengths, one step up or down; for good."""

    kind: ClassVar[str] = "benign_migration"
    owasp: ClassVar[tuple[str, ...]] = ()
    atlas: ClassVar[tuple[str, ...]] = ()
    for_good: ClassVar[bool] = True

    factors: tuple[float, ...] = (4.0, 2.5, 1.8, 1.3)
    """Step in completion length, as a multiple or (equally often) a fraction, [strength]."""
    new_models: tuple[str, ...] = ("next-large", "next-small", "next-mini")
    """Names of models nobody used before."""
    users: tuple[int, int] = (1, 4)
    """How many move together (least, most)."""
    least_hours: float = 8.0
    """It begins at least so long before the end of the scene, hours, where the scene has as much."""

    def room(self, strength: Strength) -> tuple[int, int]:
        return room((self.least_hours, self.least_hours))

    def targets(self, users: int, rng: np.random.Generator) -> int:
        return min(int(rng.integers(self.users[0], self.users[1] + 1)), users)

    def __call__(self, scene: Scene, strength: Strength, rng: np.random.Generator) -> Outcome:
        least = min(self.least_hours, (scene.end - scene.start) / HOUR)
        start, _ = busy_slot(scene, (least, least), rng)
        events = lively(scene.events, scene.targets[0], (start, scene.end), 1, rng)
        places = inside(events, start, scene.end)
        rows = events.iloc[places]
        step = jittered(at(self.factors, strength), rng)
        step = step if rng.random() < 0.5 else 1 / step
        # Another tokeniser: prompts of the same text change by a few percent, whichever way.
        tokeniser = float(rng.choice([rng.uniform(0.8, 0.93), rng.uniform(1.07, 1.25)]))
        prompt = _stepped(rows["prompt_tokens"], tokeniser)
        completion = _stepped(rows["completion_tokens"], step)
        changed = resized(rows, prompt, completion)
        if "model" in rows.columns:
            name = str(rng.choice(np.asarray(self.new_models)))
            changed = rewritten(changed, {"model": np.full(len(rows), name, dtype=object)})
        return Outcome(overwritten(events, places, changed), labelled(changed, scene.end))


def _stepped(tokens: pd.Series, by: float) -> np.ndarray:
    """``tokens`` times ``by``, different from before by one token at least, and never negative, [row]."""
    before = tokens.to_numpy(dtype=np.float64)
    after = np.rint(before * by)
    return np.where(after == before, before + 1, after)
