"""A change of an alert as it is told: a JSON object with the same fields for every change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from seqdetect.alert.alert import Alert, scoped
from seqdetect.alert.impact import PICO_USD
from seqdetect.bundle.schema import Metadata
from seqdetect.events import iso
from seqdetect.score.attribution import Cause


@dataclass(frozen=True)
class Form:
    """What all changes of one book have in common."""

    metadata: Metadata
    thresholds: Mapping[str, float]
    runbooks: str | None
    labels: Mapping[str, Any]
    scope: str

    def threshold(self, tier: str) -> float | None:
        """The score from which on a step is of ``tier``; None where no step is."""
        own = self.metadata.thresholds.get(tier)
        return self.thresholds.get(tier, None if own is None else own.value)

    def __call__(self, alert: Alert, change: str, at: int) -> dict[str, Any]:
        """``change`` is open, update or resolve; ``at`` is when it became known, microseconds."""
        tier, threshold = self.metadata.thresholds.get(alert.tier), self.threshold(alert.tier)
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
            "cost_usd": None if alert.cost is None else round(alert.cost / PICO_USD, 6),
            "impact": alert.impact._asdict(),
            "triage": alert.triage,
            "left_out": alert.left_out,
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
