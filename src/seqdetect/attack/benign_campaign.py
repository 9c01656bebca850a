"""Benign campaign: many users at once send more of what they always send."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from seqdetect.attack import Outcome, Scene, Strength
from seqdetect.attack.arrivals import echoed, scattered
from seqdetect.attack.strength import HOUR, at, jittered, room, slot
from seqdetect.attack.usual import own_events, stamped, usual
from seqdetect.attack.weave import inside, woven


@dataclass(frozen=True)
class BenignCampaign:
    """A launch or a sale: everybody's usual requests, several times as many, in the same hours."""

    kind: ClassVar[str] = "benign_campaign"
    owasp: ClassVar[tuple[str, ...]] = ()
    atlas: ClassVar[tuple[str, ...]] = ()
    for_good: ClassVar[bool] = False

    factors: tuple[float, ...] = (6.0, 4.0, 2.5, 1.6)
    """Requests as a multiple of what they would have been, [strength]."""
    share: tuple[float, float] = (0.3, 0.5)
    """Share of the users it reaches (least, most)."""
    most_added: int = 20_000
    """Requests added at most, all users together."""
    hours: tuple[float, float] = (3.0, 8.0)
    """How long it lasts, hours (least, most)."""

    def room(self, strength: Strength) -> tuple[int, int]:
        return room(self.hours)

    def targets(self, users: int, rng: np.random.Generator) -> int:
        return max(1, round(users * float(rng.uniform(*self.share))))

    def __call__(self, scene: Scene, strength: Strength, rng: np.random.Generator) -> Outcome:
        start, end = slot(scene, self.hours, rng)
        base = scene.events.iloc[inside(scene.events, start, end)]
        extra = jittered(at(self.factors, strength), rng) - 1
        extra = min(extra, self.most_added / max(1, len(base)))
        times, copied = echoed(
            base["timestamp"].to_numpy(dtype=np.int64),
            np.full(len(base), extra),
            HOUR // 2,
            (start, end),
            rng,
        )
        rows = stamped(base.iloc[copied].reset_index(drop=True), times, rng)
        silent = sorted(set(scene.targets) - set(rows["user_id"]))
        # Who would not have come at all comes a few times: that is what campaigns are for.
        drawn = [
            usual(own_events(scene.events, user), start).draw(
                scattered(int(rng.integers(2, 6)), start, end, rng), rng
            )
            for user in silent
        ]
        together = pd.concat([part for part in (rows, *drawn) if len(part)], ignore_index=True)
        order = np.argsort(together["timestamp"].to_numpy(dtype=np.int64), kind="stable")
        return woven(scene.events, together.iloc[order])
