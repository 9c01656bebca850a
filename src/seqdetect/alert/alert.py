"""An alert: what is known about one user's, or everybody's, anomalous time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

from seqdetect.alert.impact import NO_IMPACT, Impact
from seqdetect.score.attribution import Cause
from seqdetect.score.engine import LEVELS, Scored
from seqdetect.score.kind import UNKNOWN


@dataclass(frozen=True)
class Alert:
    """One open or resolved alert. Times are microseconds; kind and causes are those of the largest score so far."""

    alert_id: str
    user_id: str
    start: int
    last: int
    severity: str
    kind: str
    score: float
    causes: tuple[Cause, ...]
    prompt_tokens: int
    completion_tokens: int
    end: int | None = None
    users: int = 1
    into: str | None = None
    """The alert that took this one over, where one did."""
    tier: str = LEVELS[1]
    """What the score alone says of the severity."""
    impact: Impact = NO_IMPACT
    teams: tuple[str, ...] = ()
    muted: bool = False
    """The day's alerts were used up when it opened."""
    reopened: int = 0
    triage: dict[str, Any] | None = None
    """Campaign or attack, with the evidence; for population alerts."""
    left_out: int | None = None
    """For the overflow alert: how many alerts were muted."""


def named(user: str, start: int) -> str:
    """The id of an alert of ``user`` that starts at ``start`` (microseconds): the same in every replay."""
    return hashlib.blake2b(f"{user}\0{start}".encode(), digest_size=8).hexdigest()


def scoped(alert_id: str, scope: str) -> str:
    """The id of the same alert within ``scope``; without one it stays as it is."""
    return named(f"{scope}\0{alert_id}", 0) if scope else alert_id


def begun(scored: Scored, row: int, tick_us: int) -> Alert:
    """The alert that the scored step ``row`` would begin; ``tick_us`` is the length of a tick."""
    user, tick = scored.names[scored.user[row]], int(scored.tick[row])
    prompt, completion = (int(value) for value in scored.tokens[row])
    return Alert(
        named(user, tick - tick_us),
        user,
        tick - tick_us,
        tick,
        LEVELS[scored.level[row]],
        scored.kind.get(row, UNKNOWN),
        float(scored.score[row]),
        tuple(scored.causes[row]),
        prompt,
        completion,
        tier=LEVELS[scored.level[row]],
    )


def joined(alert: Alert, later: Alert) -> Alert:
    """``alert`` with all that ``later`` adds to it."""
    worse = later.score > alert.score
    return replace(
        alert,
        last=max(alert.last, later.last),
        severity=max(alert.severity, later.severity, key=LEVELS.index),
        tier=max(alert.tier, later.tier, key=LEVELS.index),
        kind=later.kind if worse else alert.kind,
        score=max(later.score, alert.score),
        causes=later.causes if worse else alert.causes,
        prompt_tokens=alert.prompt_tokens + later.prompt_tokens,
        completion_tokens=alert.completion_tokens + later.completion_tokens,
    )
