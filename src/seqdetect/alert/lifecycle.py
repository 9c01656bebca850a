"""The life of an alert: one per user and episode, opened by a step at warning or above."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import quote

from seqdetect.bundle.schema import Metadata
from seqdetect.events import MICROSECONDS, iso
from seqdetect.score.attribution import Cause
from seqdetect.score.engine import LEVELS, Scored
from seqdetect.score.kind import UNKNOWN

QUIET_S: Final = 600.0
"""An alert is resolved after this long without a step at warning or above: as long as a score stays current."""


@dataclass(frozen=True)
class Prices:
    """USD per million tokens."""

    prompt: float = 0.0
    completion: float = 0.0

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6


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


@dataclass
class AlertBook:
    """Keeps the open alerts of one bundle and tells what changed."""

    metadata: Metadata
    prices: Prices | None = None
    """Without prices the cost of an alert is not stated."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Thresholds in force where they are not the bundle's own; the budget of such an alert is not stated."""
    runbooks: str | None = None
    """Address that a kind is appended to, for example a wiki's folder of runbooks."""
    open: dict[str, Alert] = field(default_factory=dict)

    def push(self, scored: Scored, now: int | None) -> list[dict[str, Any]]:
        """Changes caused by ``scored``, in order; ``now`` is the end of the last complete tick (microseconds)."""
        changes: list[dict[str, Any]] = []
        seen = None
        for row in sorted(scored.causes, key=lambda row: (scored.tick[row], scored.names[scored.user[row]])):
            if (
                scored.tick[row] != seen
            ):  # once per tick: many users at once must not cost the square of their number
                seen = scored.tick[row]
                changes += self._resolve_before(int(seen))
            changes += self._step(scored, row)
        if now is not None:
            changes += self._resolve_before(now)
        return changes

    def _step(self, scored: Scored, row: int) -> list[dict[str, Any]]:
        user, tick = scored.names[scored.user[row]], int(scored.tick[row])
        level, score = LEVELS[scored.level[row]], float(scored.score[row])
        prompt, completion = (int(value) for value in scored.tokens[row])
        causes, kind = tuple(scored.causes[row]), scored.kind.get(row, UNKNOWN)
        before = self.open.get(user)
        if before is None:
            start = tick - round(self.metadata.tick_s * MICROSECONDS)
            name = hashlib.blake2b(f"{user}\0{start}".encode(), digest_size=8).hexdigest()
            alert = Alert(name, user, start, tick, level, kind, score, causes, prompt, completion)
            self.open[user] = alert
            return [self._payload(alert, "open")]
        worse = score > before.score
        alert = replace(
            before,
            last=tick,
            severity=max(before.severity, level, key=LEVELS.index),
            kind=kind if worse else before.kind,
            score=max(score, before.score),
            causes=causes if worse else before.causes,
            prompt_tokens=before.prompt_tokens + prompt,
            completion_tokens=before.completion_tokens + completion,
        )
        self.open[user] = alert
        changed = (alert.severity, alert.kind) != (before.severity, before.kind)
        return [self._payload(alert, "update")] if changed else []

    def _resolve_before(self, now: int) -> list[dict[str, Any]]:
        quiet = round(QUIET_S * MICROSECONDS)
        done = sorted(
            (alert for alert in self.open.values() if alert.last + quiet < now),
            key=lambda alert: (alert.last, alert.user_id),
        )
        for alert in done:
            del self.open[alert.user_id]
        return [self._payload(replace(alert, end=alert.last), "resolve") for alert in done]

    def _payload(self, alert: Alert, change: str) -> dict[str, Any]:
        tier = self.metadata.thresholds.get(alert.severity)
        threshold = self.thresholds.get(alert.severity, None if tier is None else tier.value)
        return {
            "alert_id": alert.alert_id,
            "change": change,
            "user_id": alert.user_id,
            "start": iso(alert.start),
            "end": None if alert.end is None else iso(alert.end),
            "severity": alert.severity,
            "kind": alert.kind,
            "score": round(alert.score, 6),
            "threshold": threshold,
            "budget": None if tier is None or threshold != tier.value else tier.budget_per_user_week,
            "top_features": [asdict_cause(cause) for cause in alert.causes],
            "tokens": alert.prompt_tokens + alert.completion_tokens,
            "cost_usd": None
            if self.prices is None
            else round(self.prices.cost(alert.prompt_tokens, alert.completion_tokens), 6),
            "runbook_url": None
            if self.runbooks is None
            else f"{self.runbooks}/{quote(alert.kind, safe='')}.md",
            "bundle_version": self.metadata.version,
        }


def asdict_cause(cause: Cause) -> dict[str, Any]:
    """A cause as it stands in an alert; what is not known is left out."""
    return {
        name: round(value, 4) if isinstance(value, float) else value
        for name, value in cause._asdict().items()
        if value is not None
    }
