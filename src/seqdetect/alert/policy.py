"""What a deployment wants of its alerts: when they end and come back, how grave they are, whose they are, how many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

TEAMS: Final[Mapping[str, tuple[str, ...]]] = {
    "sre": (
        "degradation",
        "inflation",
        "flood",
        "wallet",
        "agent_loop",
        "overflow",
        "benign_campaign",
        "benign_onboarding",
        "benign_migration",
        "benign_batch_job",
    ),
    "security": (
        "takeover",
        "scrape",
        "stuffing",
        "botnet",
        "credential_sharing",
        "drip",
        "offhours",
    ),
}
"""Performance and cost go to the one, behaviour to the other. ``unknown`` stands in neither and goes to both: who can
tell what it is has to look at it."""


@dataclass(frozen=True)
class Escalate:
    """The impact at or beyond which a warning becomes critical; None: never."""

    cost_per_hour_usd: float | None = None
    traffic_share: float | None = None
    slo_burn: float | None = None


@dataclass(frozen=True)
class Objectives:
    """What the service has promised: shares of requests that succeed, and that are answered within ``latency_ms``."""

    availability: float = 0.99
    latency: float = 0.95
    latency_ms: float | None = None
    """Without a limit latency promises nothing."""


@dataclass(frozen=True)
class Policy:
    """How one book keeps its alerts; times are seconds of event time."""

    quiet_s: float = 600.0
    """An alert is resolved after this long without a step that keeps it open: as long as a score stays current."""
    hysteresis: float = 0.5
    """How far below the warning threshold a step still keeps an open alert open. Scores are -log10 of a tail
    probability: 0.3 is twice as likely."""
    cooldown_s: float = 3600.0
    """A hot step within this time after the resolve opens the same alert again."""
    escalate: Escalate = field(default_factory=Escalate)
    demote_below_usd_per_hour: float | None = None
    """Kinds that are about cost alone stay at warning while they cost less than this; None: whatever they cost."""
    objectives: Objectives = field(default_factory=Objectives)
    teams: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: TEAMS)
    """Kinds by team. A kind that no team names goes to all of them."""
    cap_per_day: Mapping[str, int | None] = field(default_factory=lambda: {"warning": 200, "critical": 100})
    """By severity, how many alerts may reach a person in a day of event time (UTC); None, or none named: all."""
    calendar: tuple[tuple[str, int, int], ...] = ()
    """Launches and other expected crowds: name, start and end (microseconds)."""
