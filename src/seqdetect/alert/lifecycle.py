"""The life of an alert: one per user and episode, opened by a step at warning or above; one for all in a surge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from typing import Any, Final
from urllib.parse import quote

import msgspec
import numpy as np
from numpy.typing import NDArray

from seqdetect.alert.alert import Alert, begun, joined, scoped
from seqdetect.alert.policy import Policy
from seqdetect.alert.population import TOGETHER_S, Active, Surge, least
from seqdetect.bundle.schema import Metadata
from seqdetect.events import MICROSECONDS, iso
from seqdetect.score.attribution import Cause
from seqdetect.score.engine import Scored

QUIET_S: Final = 600.0
"""An alert is resolved after this long without a step at warning or above: as long as a score stays current."""


@dataclass(frozen=True)
class Prices:
    """USD per million tokens."""

    prompt: float = 0.0
    completion: float = 0.0

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6


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
    policy: Policy = field(default_factory=Policy)
    labels: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of every change: which model found it, on which key, whether in the shadow of another."""
    scope: str = ""
    """What tells the alerts of this book from those of others that name the same users."""
    open: dict[str, Alert] = field(default_factory=dict)

    surge: Surge | None = None
    """The open population alert, if there is one."""
    active: Active = field(default_factory=Active)

    def push(self, scored: Scored, now: int | None) -> list[dict[str, Any]]:
        """Changes caused by ``scored``, in order; ``now`` is the end of the last complete tick (microseconds)."""
        changes: list[dict[str, Any]] = []
        length = round(self.metadata.tick_s * MICROSECONDS)
        noted = 0
        hot = sorted(scored.causes, key=lambda row: (scored.tick[row], scored.names[scored.user[row]]))
        # once per tick: many users at once must not cost the square of their number
        for tick, rows in groupby(hot, key=lambda row: int(scored.tick[row])):
            known = int(np.searchsorted(scored.tick, tick, "right"))
            self.active.note(scored, slice(noted, known))
            noted = known
            changes += self._resolve_before(tick)
            changes += self._tick([begun(scored, row, length) for row in rows])
        self.active.note(scored, slice(noted, len(scored)))
        if now is not None:
            changes += self._resolve_before(now)
        return changes

    def _tick(self, steps: list[Alert]) -> list[dict[str, Any]]:
        """Changes caused by the hot steps of one tick, of which each comes as the alert that it would begin."""
        now, active = steps[0].last, self.active.count(steps[0].last)
        changes = self._gather(steps, active) if self.surge is None else []
        for step in steps:
            changes += self._step(step)
        if self.surge is None:
            return changes
        self.surge.settle(now, active)
        news = self.surge.news()
        return [self._payload(self.surge.alert, news, now), *changes] if news else changes

    def _gather(self, steps: list[Alert], active: int) -> list[dict[str, Any]]:
        """Raise a population alert where many begin together, and resolve into it what is open of it."""
        since = steps[0].last - round(TOGETHER_S * MICROSECONDS)
        fresh = [alert for alert in self.open.values() if alert.start >= since]
        began = [*fresh, *(step for step in steps if step.user_id not in self.open)]
        if len(began) < least(active):
            return []
        self.surge = surge = Surge.of(began)
        changes = []
        for alert in sorted(fresh, key=lambda alert: (alert.start, alert.user_id)):
            if surge.takes(alert):
                surge.add(self.open.pop(alert.user_id))
                over = replace(alert, end=alert.last, into=surge.alert.alert_id)
                changes.append(self._payload(over, "resolve", steps[0].last))
            else:
                surge.leave(alert.user_id)
        return changes

    def _step(self, step: Alert) -> list[dict[str, Any]]:
        before = self.open.get(step.user_id)
        if before is not None:
            alert = self.open[step.user_id] = joined(before, step)
            changed = (alert.severity, alert.kind) != (before.severity, before.kind)
            return [self._payload(alert, "update", step.last)] if changed else []
        if self.surge is not None:
            if self.surge.takes(step):
                self.surge.add(step)
                return []
            self.surge.leave(step.user_id)
        self.open[step.user_id] = step
        return [self._payload(step, "open", step.last)]

    def _resolve_before(self, now: int) -> list[dict[str, Any]]:
        quiet = round(QUIET_S * MICROSECONDS)
        done = sorted(
            (alert for alert in self.open.values() if alert.last + quiet < now),
            key=lambda alert: (alert.last, alert.user_id),
        )
        for alert in done:
            del self.open[alert.user_id]
        if self.surge is not None and self.surge.broad + quiet < now:
            done.append(self.surge.alert)
            self.surge = None
        length = round(self.metadata.tick_s * MICROSECONDS)
        return [
            self._payload(
                replace(alert, end=alert.last), "resolve", ((alert.last + quiet) // length + 1) * length
            )
            for alert in done
        ]

    def standing(self) -> list[dict[str, Any]]:
        """Every alert that is open now, muted ones included, as an update."""
        surge = [] if self.surge is None else [self.surge.alert]
        return [self._payload(alert, "update", alert.last) for alert in (*surge, *self.open.values())]

    def _payload(self, alert: Alert, change: str, at: int) -> dict[str, Any]:
        tier = self.metadata.thresholds.get(alert.tier)
        threshold = self.thresholds.get(alert.tier, None if tier is None else tier.value)
        return {
            "alert_id": scoped(alert.alert_id, self.scope),
            "change": change,
            "at": iso(at),
            **self.labels,
            "muted": alert.muted,
            "user_id": alert.user_id,
            "users": alert.users,
            "into": None if alert.into is None else scoped(alert.into, self.scope),
            "start": iso(alert.start),
            "end": None if alert.end is None else iso(alert.end),
            "reopened": alert.reopened,
            "severity": alert.severity,
            "tier": alert.tier,
            "kind": alert.kind,
            "teams": list(alert.teams),
            "score": round(alert.score, 6),
            "threshold": threshold,
            "budget": None if tier is None or threshold != tier.value else tier.budget_per_user_week,
            "top_features": [asdict_cause(cause) for cause in alert.causes],
            "tokens": alert.prompt_tokens + alert.completion_tokens,
            "cost_usd": None
            if self.prices is None
            else round(self.prices.cost(alert.prompt_tokens, alert.completion_tokens), 6),
            "impact": asdict(alert.impact),
            "triage": alert.triage,
            "left_out": alert.left_out,
            "runbook_url": None
            if self.runbooks is None
            else f"{self.runbooks}/{quote(alert.kind, safe='')}.md",
            "bundle_version": self.metadata.version,
        }

    def memory(self) -> dict[str, Any]:
        """What is open, as JSON can hold it; who was active is the stream's to remember."""
        memory: dict[str, Any] = msgspec.to_builtins({"open": self.open, "surge": self.surge})
        return memory

    def recall(self, memory: Mapping[str, Any], last: NDArray[np.int64]) -> None:
        """Take up what ``memory`` gave, with the time of each user's last step (microseconds, [users])."""
        self.open = msgspec.convert(memory["open"], dict[str, Alert])
        self.surge = msgspec.convert(memory["surge"], Surge | None)
        self.active.restore(last)


def asdict_cause(cause: Cause) -> dict[str, Any]:
    """A cause as it stands in an alert; what is not known is left out."""
    return {
        name: round(value, 4) if isinstance(value, float) else value
        for name, value in cause._asdict().items()
        if value is not None
    }
