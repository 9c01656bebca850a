"""An alert: what is known about one user's, or everybody's, anomalous time."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from seqdetect.alert.impact import NO_IMPACT, Impact, Spent, added
from seqdetect.score.attribution import Cause
from seqdetect.score.engine import LEVELS, Scored
from seqdetect.score.kind import UNKNOWN

CALM, WARNING, CRITICAL = LEVELS
EVERYBODY: Final = "*"
"""The user of an alert that is nobody's own."""


class Alert(Struct, frozen=True):
    """One open or resolved alert. Times are microseconds; kind and causes are those of the largest score so far.

    Every hot step makes one or two: a Struct is made in a tenth of a dataclass's time.
    """

    alert_id: str
    user_id: str
    start: int
    last: int
    """The last step at warning or above."""
    severity: str
    """By the score and by what it means for the business; never falls."""
    kind: str
    score: float
    causes: tuple[Cause, ...]
    prompt_tokens: int
    completion_tokens: int
    end: int | None = None
    users: int = 1
    into: str | None = None
    """The alert that took this one over, where one did."""
    tier: str = WARNING
    """What the score alone says of the severity."""
    held: int = 0
    """The last step that kept it open, microseconds; it may be below the warning threshold."""
    cost: int | None = None
    """Millionths of a millionth of a USD; None where a price is not known."""
    recent: tuple[Spent, ...] = ()
    impact: Impact = NO_IMPACT
    teams: tuple[str, ...] = ()
    muted: bool = False
    """The day's alerts were used up when it opened."""
    reopened: int = 0
    """How often it came back after it was resolved."""
    reopened_at: int = 0
    """When the step began that opened it for the last time, where that was not the first."""
    triage: dict[str, Any] | None = None
    """Campaign or attack, with the evidence; for population alerts."""
    left_out: int | None = None
    """For the overflow alert: how many alerts were muted."""

    @property
    def since(self) -> int:
        """Since when it is open without a break, microseconds."""
        return self.reopened_at or self.start

    @property
    def until(self) -> int:
        """The end of the last step that kept it open, microseconds."""
        return max(self.last, self.held)


def named(user: str, start: int) -> str:
    """The id of an alert of ``user`` that starts at ``start`` (microseconds): the same in every replay."""
    return hashlib.blake2b(f"{user}\0{start}".encode(), digest_size=8).hexdigest()


def scoped(alert_id: str, scope: str) -> str:
    """The id of the same alert within ``scope``; without one it stays as it is."""
    return named(f"{scope}\0{alert_id}", 0) if scope else alert_id


def begun(scored: Scored, row: int, tick_us: int, cost: int | None) -> Alert:
    """The alert that the scored step ``row`` would begin; ``tick_us`` is the length of a tick.

    How grave it is remains to be judged: it starts at warning. A step below warning comes as one of tier "none".
    """
    user, tick = scored.names[scored.user[row]], int(scored.tick[row])
    prompt, completion = (int(value) for value in scored.tokens[row])
    return Alert(
        named(user, tick - tick_us),
        user,
        tick - tick_us,
        tick,
        WARNING,
        scored.kind.get(row, UNKNOWN),
        float(scored.score[row]),
        tuple(scored.causes.get(row, ())),
        prompt,
        completion,
        tier=LEVELS[scored.level[row]],
        cost=cost,
        recent=(Spent.at(tick, prompt + completion, cost),),
    )


def joined(alert: Alert, later: Alert) -> Alert:
    """``alert`` with all that ``later`` adds to it; how grave it is now remains to be judged."""
    worse = later.score > alert.score
    return replace(
        alert,
        last=alert.last if later.tier == CALM else max(alert.last, later.last),
        held=max(alert.until, later.until),
        tier=max(alert.tier, later.tier, key=LEVELS.index),
        kind=later.kind if worse else alert.kind,
        score=max(later.score, alert.score),
        causes=later.causes if worse else alert.causes,
        prompt_tokens=alert.prompt_tokens + later.prompt_tokens,
        completion_tokens=alert.completion_tokens + later.completion_tokens,
        cost=None if alert.cost is None or later.cost is None else alert.cost + later.cost,
        recent=added(alert.recent, later.recent),
    )


def opened_again(before: Alert, step: Alert) -> Alert:
    """The resolved alert ``before``, open again by ``step``: what it had it keeps, its recent time begins anew."""
    return replace(
        joined(before, step),
        end=None,
        into=None,
        recent=step.recent,
        reopened=before.reopened + 1,
        reopened_at=step.start,
    )
