"""Who is attacked when, by what, and how hard: a balanced deck of incidents, and a calendar for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from seqdetect.attack import Attack, Strength

TRIES = 40
"""Random starts tried for each length before a shorter one is tried."""


@dataclass(frozen=True)
class Draw:
    """One incident to place: an attack, how hard it is, and how many users it hits."""

    attack: Attack
    strength: Strength
    targets: int


def deck(
    attacks: Sequence[Attack],
    strengths: Sequence[Strength],
    seldom: Sequence[str],
    users: int,
    rng: np.random.Generator,
) -> Iterator[Draw]:
    """Incidents without end, in which any prefix holds every kind about equally often.

    Every round has each kind once, in random order; after as many rounds as there are strengths each kind
    had each strength once. Kinds in ``seldom`` come in one of these rounds only. ``users`` is how many are
    present.
    """
    while attacks:
        orders = [rng.permutation(len(strengths)) for _ in attacks]
        rare = rng.integers(len(strengths), size=len(attacks))
        for turn in range(len(strengths)):
            for i in rng.permutation(len(attacks)):
                if attacks[i].kind in seldom and turn != rare[i]:
                    continue
                yield Draw(attacks[i], strengths[orders[i][turn]], attacks[i].targets(users, rng))


@dataclass
class Calendar:
    """Who is busy when; places incidents in [start, end) so that those of one user keep ``margin`` apart.

    All times are microseconds. ``users`` are those that may be attacked.
    """

    users: tuple[str, ...]
    start: int
    end: int
    margin: int
    everyone: list[tuple[int, int]] = field(default_factory=list)
    """Incidents of the whole service: attacks keep away from them, confounders need not."""
    busy: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    """Incidents of single users."""

    def place(self, draw: Draw, rng: np.random.Generator) -> tuple[tuple[str, ...], int, int] | None:
        """Users, start and end of a scene for ``draw``, or None where there is no room for it.

        Users with few incidents so far are preferred, and long scenes to short ones.
        """
        span = self.end - self.start
        targets = min(draw.targets, len(self.users))
        benign = draw.attack.kind.startswith("benign_")
        least, most = (min(length, span) for length in draw.attack.room(draw.strength))
        if targets == 0:
            return None
        lengths = (most, (least + most) // 2, least, least // 2)
        # What is for good runs to the end anyway; a longer scene would only make it begin at once.
        for length in lengths[2:] if draw.attack.for_good else lengths:
            for _ in range(TRIES):
                start = int(rng.integers(self.start, self.end - length + 1))
                end = self.end if draw.attack.for_good else start + length
                if not benign and _clash(self.everyone, start - self.margin, end + self.margin):
                    continue
                free = [user for user in self.users if self.free(user, start, end)]
                if len(free) >= targets:
                    return self._chosen(free, targets, rng), start, end
        return None

    def free(self, user: str, start: int, end: int) -> bool:
        """Whether ``user`` has no incident in [start, end) nor within the margin around it."""
        return not _clash(self.busy[user], start - self.margin, end + self.margin)

    def note(self, labels: pd.DataFrame) -> None:
        """Keep free what the incidents of ``labels`` (``user_id, start, end``) took up."""
        for user, start, end in zip(labels["user_id"], labels["start"], labels["end"], strict=True):
            self.busy[str(user)].append((int(start), int(end)))

    def note_for_all(self, labels: pd.DataFrame) -> None:
        """The same for one service-wide incident, whose label rows go together."""
        self.everyone.append((int(labels["start"].min()), int(labels["end"].max())))

    def _chosen(self, free: list[str], targets: int, rng: np.random.Generator) -> tuple[str, ...]:
        weight = np.array([1.0 / (1 + len(self.busy[user])) ** 2 for user in free])
        picks = rng.choice(len(free), size=targets, replace=False, p=weight / weight.sum())
        return tuple(free[i] for i in sorted(picks))


def _clash(taken: list[tuple[int, int]], start: int, end: int) -> bool:
    return any(start < until and since < end for since, until in taken)
