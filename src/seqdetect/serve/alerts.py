"""The section ``alerts`` of ``serving/scorer.yaml``, and the policy that it stands for."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from msgspec import Meta, Struct, field

from seqdetect.alert import policy
from seqdetect.alert.policy import Policy
from seqdetect.serve.document import Document
from seqdetect.source.parse.times import Clock

Least = Annotated[float, Meta(ge=0, le=1e9)]
Seconds = Annotated[float, Meta(gt=0, le=1e9)]
Promise = Annotated[float, Meta(gt=0, lt=1)]
Allowance = Annotated[int, Meta(ge=0)]


class Escalate(Struct, frozen=True, forbid_unknown_fields=True):
    """The impact from which on a warning is critical."""

    cost_per_hour_usd: Least | None = None
    traffic_share: Least | None = None
    slo_burn: Least | None = None


class Objectives(Struct, frozen=True, forbid_unknown_fields=True):
    """What the service promises: shares of requests."""

    availability: Promise = 0.99
    latency: Promise = 0.95
    latency_ms: Seconds | None = None


class Cap(Struct, frozen=True, forbid_unknown_fields=True):
    """Alerts a day and severity."""

    warning: Allowance | None = 200
    critical: Allowance | None = 100


class Launch(Struct, frozen=True, forbid_unknown_fields=True):
    """An entry of the calendar; times as in events."""

    name: str
    start: Any
    end: Any


class Alerts(Struct, frozen=True, forbid_unknown_fields=True):
    """When alerts end and come back, how grave they are, whose they are, and how many."""

    quiet_s: Seconds = Policy.quiet_s
    hysteresis: Least = Policy.hysteresis
    cooldown_s: Least = Policy.cooldown_s
    escalate: Escalate = field(default_factory=Escalate)
    demote_below_usd_per_hour: Least | None = None
    objectives: Objectives = field(default_factory=Objectives)
    teams: dict[str, list[str]] | None = None
    cap_per_day: Cap = field(default_factory=Cap)
    calendar: list[Launch] = []


def policy_of(alerts: Alerts, here: Document) -> Policy:
    """The policy that ``alerts`` stands for. Raises ``ValueError`` that names the setting."""
    if alerts.teams is not None and not alerts.teams:
        raise here.error("name at least one team", "alerts.teams")
    teams = policy.TEAMS if alerts.teams is None else {team: tuple(k) for team, k in alerts.teams.items()}
    promised, limits = alerts.objectives, alerts.escalate
    return Policy(
        alerts.quiet_s,
        alerts.hysteresis,
        alerts.cooldown_s,
        policy.Escalate(limits.cost_per_hour_usd, limits.traffic_share, limits.slo_burn),
        alerts.demote_below_usd_per_hour,
        policy.Objectives(promised.availability, promised.latency, promised.latency_ms),
        teams,
        {"warning": alerts.cap_per_day.warning, "critical": alerts.cap_per_day.critical},
        tuple(_launch(one, here, place) for place, one in enumerate(alerts.calendar)),
    )


def _launch(launch: Launch, here: Document, place: int) -> tuple[str, int, int]:
    entry = here.inside(f"alerts.calendar[{place}]", None)
    start, end = _time(launch.start, entry, "start"), _time(launch.end, entry, "end")
    if end <= start:
        raise entry.error("it must be after the start", "end")
    return launch.name, start, end


def _time(value: Any, entry: Document, key: str) -> int:
    """Microseconds; YAML knows dates and times by itself."""
    text = value.isoformat() if isinstance(value, date) else str(value)
    try:
        return Clock().parse(text)
    except ValueError as error:
        raise entry.error(str(error), key) from None
