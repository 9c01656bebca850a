"""What an alert is about, by its leading cause: more of the same, or traffic of another composition."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Final

from seqdetect.score.attribution import Cause

LONGER: Final = 4.0
"""Tokens that grew this many times as much as requests did are longer requests; single requests of one user often
differ by a factor of two or three."""


class Aspect(Enum):
    """A side of the traffic that may have changed."""

    RATE = "more of the same"
    LENGTHS = "longer requests or answers"
    ADDRESSES = "other addresses"
    ANSWERS = "errors and latency"
    OTHER = "regularity, models, spread of lengths"


_OF: Final = {
    "requests": Aspect.RATE,
    "addresses": Aspect.ADDRESSES,
    "errors": Aspect.ANSWERS,
    "latency": Aspect.ANSWERS,
}
_TOKENS: Final = ("prompt_tokens", "completion_tokens")


def aspect(causes: Sequence[Cause]) -> Aspect:
    """What the largest of ``causes`` (they come in that order) is about; ``OTHER`` without any.

    Totals and lengths of tokens are one group of features: they are told apart by how requests changed, which did
    not change much where they are no cause.
    """
    if not causes:
        return Aspect.OTHER
    lead = causes[0]
    if lead.name in _TOKENS:
        requests = max((_growth(cause) for cause in causes if cause.name == "requests"), default=1.0)
        return Aspect.LENGTHS if _growth(lead) >= LONGER * requests else Aspect.RATE
    return _OF.get(lead.name, Aspect.OTHER)


def _growth(cause: Cause) -> float:
    return (1.0 + cause.value) / (1.0 + max(cause.expected, 0.0))
