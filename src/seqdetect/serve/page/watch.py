"""Which users' steps are kept: a bounded number of those that people are likely to ask about."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from seqdetect.events import MICROSECONDS
from seqdetect.score.attribution import Cause

WORST: Final = 8
"""Steps of a user of which the causes are kept: those of the largest scores, and no two of one ``SPAN_US``."""
SPAN_US: Final = 600 * MICROSECONDS
"""Steps that follow each other mostly have the same causes."""
SETTLED_S: Final = 10.0
"""Nobody is let go so soon after being asked for, unless for somebody worse."""
Who = tuple[str, str]
"""Model and user."""


class Worst(NamedTuple):
    """A step at warning or above, and what it was for."""

    score: float
    tick: int
    kind: str
    causes: tuple[Cause, ...]


@dataclass
class Watched:
    """One user whose steps go into ``ring``."""

    who: Who
    ring: int
    wanted: float
    """When it was last asked for, seconds of a clock."""
    worst: dict[int, Worst] = field(default_factory=dict)
    """By number of the span."""

    def note(self, step: Worst) -> None:
        """Keep the step if it is among the worst."""
        span = step.tick // SPAN_US
        if span not in self.worst or step.score > self.worst[span].score:
            self.worst[span] = step
        if len(self.worst) > WORST:
            del self.worst[min(self.worst, key=lambda one: self.worst[one].score)]


class Watch:
    """At most ``users`` watched users. ``rank`` says how bad things stand with one: the worse stays."""

    def __init__(self, users: int, rank: Callable[[Who], int]) -> None:
        self._free = list(range(users))[::-1]
        self._rank = rank
        self._by_who: dict[Who, Watched] = {}
        self._refused: tuple[float, int] = (-1.0, 0)

    def get(self, who: Who) -> Watched | None:
        return self._by_who.get(who)

    def want(self, who: Who, rank: int, now: float) -> Watched | None:
        """Watch ``who`` from now on, at the cost of somebody less bad; None where all are worse."""
        known = self._by_who.get(who)
        if known is not None:
            known.wanted = now
            return known
        if not self._free and not self._make_room(rank, now):
            return None
        new = self._by_who[who] = Watched(who, self._free.pop(), now)
        return new

    def keep(self, models: Container[str]) -> None:
        """Let go of users of other models."""
        for one in self:
            if one.who[0] not in models:
                self._release(one)

    def __iter__(self) -> Iterator[Watched]:
        return iter(list(self._by_who.values()))

    def _make_room(self, rank: int, now: float) -> bool:
        if self._refused[0] == now and rank <= self._refused[1]:
            return False  # of thousands in one batch, each would look through all
        ranks = {one.ring: self._rank(one.who) for one in self}
        least = min(self, key=lambda one: (ranks[one.ring], one.wanted))
        worse = rank > ranks[least.ring]
        if worse or (rank == ranks[least.ring] and least.wanted + SETTLED_S <= now):
            self._release(least)
            return True
        self._refused = (now, rank)
        return False

    def _release(self, one: Watched) -> None:
        del self._by_who[one.who]
        self._free.append(one.ring)
