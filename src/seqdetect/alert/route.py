"""How grave an alert is and whose it is, by the policy."""

from __future__ import annotations

from typing import Final

from seqdetect.alert.alert import CRITICAL, WARNING, Alert
from seqdetect.alert.impact import Impact
from seqdetect.alert.policy import Policy

COSTLY: Final = ("wallet", "inflation", "agent_loop")
"""Kinds that harm nobody but the one who pays."""


def severity(alert: Alert, impact: Impact, policy: Policy) -> str:
    """By the tier, the impact and what the alert has been before: it never falls."""
    if alert.severity == CRITICAL or _escalates(impact, policy):
        return CRITICAL
    return CRITICAL if alert.tier == CRITICAL and not _cheap(alert.kind, impact, policy) else WARNING


def teams(kind: str, before: tuple[str, ...], policy: Policy) -> tuple[str, ...]:
    """Who looks after ``kind``, and who has had the alert ``before``: nobody is left with one that stays open."""
    named = {team for team, kinds in policy.teams.items() if kind in kinds} or set(policy.teams)
    gone = [team for team in before if team not in policy.teams]
    return (*(team for team in policy.teams if team in named or team in before), *gone)


def _escalates(impact: Impact, policy: Policy) -> bool:
    limits = policy.escalate
    pairs = (
        (impact.cost_per_hour_usd, limits.cost_per_hour_usd),
        (impact.traffic_share, limits.traffic_share),
        (impact.slo_burn, limits.slo_burn),
    )
    return any(value is not None and limit is not None and value >= limit for value, limit in pairs)


def _cheap(kind: str, impact: Impact, policy: Policy) -> bool:
    least, cost = policy.demote_below_usd_per_hour, impact.cost_per_hour_usd
    return kind in COSTLY and least is not None and cost is not None and cost < least
