"""Attacks and benign confounders. One file each, and one yaml in ``configs/attack``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import numpy as np
import pandas as pd

Strength = Literal["blatant", "strong", "moderate", "subtle"]
STRENGTHS: tuple[Strength, ...] = ("blatant", "strong", "moderate", "subtle")


@dataclass(frozen=True)
class Scene:
    """What an attack may look at and change: the events of its targets, and the time it has.

    ``events`` has the columns of ``seqdetect.events.SCHEMA`` (``timestamp`` as int64 microseconds, UTC; text
    as plain strings; optional columns that the traffic lacks are absent), in time order, for ``targets``
    alone and for the whole time span of the data. ``donor`` is the same for one other user, the model of a
    stolen key's new owner. The incident must lie in ``[start, end)`` microseconds.
    """

    events: pd.DataFrame
    targets: tuple[str, ...]
    donor: pd.DataFrame
    start: int
    end: int


@dataclass(frozen=True)
class Outcome:
    """The targets' events after the attack, and one incident row per target it touched.

    ``incidents`` has the columns ``user_id, start, end``; the injector adds id, kind and strength.
    """

    events: pd.DataFrame
    incidents: pd.DataFrame


class Attack(Protocol):
    """Rewrites the events of its targets for a while."""

    kind: ClassVar[str]
    """One of the glossary's kinds; ``benign_*`` for confounders, which must not alert."""
    owasp: ClassVar[tuple[str, ...]]
    """OWASP LLM Top 10 (2025) ids; empty for confounders."""
    atlas: ClassVar[tuple[str, ...]]
    """MITRE ATLAS technique ids; empty for confounders."""
    for_good: ClassVar[bool]
    """True where the change lasts to the end of the data: the scene ends there, and so does the label."""

    def room(self, strength: Strength) -> tuple[int, int]:
        """Microseconds of scene it can do with, and would make use of (least, most)."""
        ...

    def targets(self, users: int, rng: np.random.Generator) -> int:
        """How many of the ``users`` present it hits at once: 1, several, or all."""
        ...

    def __call__(self, scene: Scene, strength: Strength, rng: np.random.Generator) -> Outcome:
        """Inject once. Never empty: at least one event is added or changed inside the incident."""
        ...
