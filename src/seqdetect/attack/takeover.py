"""Stolen key: somebody else's behaviour under the victim's id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from seqdetect.attack import Outcome, Scene, Strength
from seqdetect.attack.arrivals import load, scattered
from seqdetect.attack.strength import at, jittered, room, slot
from seqdetect.attack.usual import Usual, addressed, rewritten, stamped, usual
from seqdetect.attack.weave import inside, labelled, merged


@dataclass(frozen=True)
class Takeover:
    """The donor's requests under the victim's id, from new addresses; the victim goes on, or falls silent."""

    kind: ClassVar[str] = "takeover"
    owasp: ClassVar[tuple[str, ...]] = ("LLM10:2025",)
    atlas: ClassVar[tuple[str, ...]] = ("AML.T0012", "AML.T0040", "AML.T0034")
    for_good: ClassVar[bool] = False

    factors: tuple[float, ...] = (25.0, 8.0, 3.5, 1.8)
    """Rate of the thief as a multiple of the victim's rate in an active hour, [strength]."""
    foreign: tuple[float, ...] = (1.0, 0.9, 0.75, 0.6)
    """Share of the thief's requests that look like the donor's rather than the victim's, [strength]."""
    silenced: float = 0.4
    """Probability that the thief replaces the victim rather than working beside it."""
    machines: int = 3
    """Addresses the thief uses at most."""
    least_added: tuple[float, ...] = (150.0, 60.0, 25.0, 12.0)
    """Requests added at least, [strength]."""
    most_added: int = 20_000
    """Requests added at most."""
    hours: tuple[float, float] = (0.5, 2.0)
    """How long it lasts, hours (least, most)."""

    def room(self, strength: Strength) -> tuple[int, int]:
        return room(self.hours)

    def targets(self, users: int, rng: np.random.Generator) -> int:
        return 1

    def __call__(self, scene: Scene, strength: Strength, rng: np.random.Generator) -> Outcome:
        victim = scene.targets[0]
        start, end = slot(scene, self.hours, rng)
        own = usual(scene.events, start)
        thief = usual(scene.donor, start) if len(scene.donor) else own
        rate = own.rate * (jittered(at(self.factors, strength), rng) - 1)
        bounds = (at(self.least_added, strength), self.most_added)
        count, end = load(rate, start, end, bounds, rng)
        rows = _mixed(own, thief, at(self.foreign, strength), scattered(count, start, end, rng), rng)
        rows = rewritten(rows, {"user_id": np.full(count, victim, dtype=object)})
        rows = addressed(rows, rng.integers(0, rng.integers(1, self.machines + 1), size=count), rng)
        labels = labelled(rows)
        kept = scene.events
        if rng.random() < self.silenced:
            gone = inside(kept, int(labels["start"].iloc[0]), int(labels["end"].iloc[0]))
            # Silence must not hide the attack: no more requests vanish than come.
            kept = kept.drop(index=kept.index[gone[: count // 2]])
        return Outcome(merged(kept, rows), labels)


def _mixed(
    own: Usual, thief: Usual, foreign: float, times: np.ndarray, rng: np.random.Generator
) -> pd.DataFrame:
    """Rows at ``times``, the share ``foreign`` of them drawn from ``thief``, the others from ``own``."""
    theirs = rng.random(len(times)) < foreign
    parts = [who.draw(times[mask], rng) for who, mask in ((thief, theirs), (own, ~theirs)) if mask.any()]
    rows = pd.concat(parts, ignore_index=True)[own.rows.columns]
    order = np.argsort(rows["timestamp"].to_numpy(dtype=np.int64), kind="stable")
    return stamped(rows.iloc[order].reset_index(drop=True), times, rng)
