"""Which team, and how grave: by the policy alone."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from seqdetect.alert.alert import CRITICAL, WARNING, Alert
from seqdetect.alert.impact import Impact
from seqdetect.alert.policy import Escalate, Policy
from seqdetect.alert.route import severity, teams

ALERT = Alert("id", "a", 0, 10, WARNING, "flood", 3.0, (), 1, 1)
STRICT = Policy(escalate=Escalate(50.0, 0.3, 14.4), demote_below_usd_per_hour=1.0)


@pytest.mark.parametrize(
    ("kind", "tier", "impact", "grave"),
    [
        ("flood", WARNING, Impact(49.0, 0.2, 14.0), WARNING),
        ("flood", WARNING, Impact(50.0, None, None), CRITICAL),
        ("flood", WARNING, Impact(None, 0.3, None), CRITICAL),
        ("flood", WARNING, Impact(None, None, 14.4), CRITICAL),
        ("flood", CRITICAL, Impact(0.0, 0.0, 0.0), CRITICAL),
        ("wallet", CRITICAL, Impact(0.9, 0.0, None), WARNING),
        ("wallet", CRITICAL, Impact(1.0, 0.0, None), CRITICAL),
        ("wallet", CRITICAL, Impact(None, 0.0, None), CRITICAL),
        ("wallet", CRITICAL, Impact(0.9, 0.4, None), CRITICAL),
    ],
)
def test_score_and_impact_say_how_grave_it_is(kind: str, tier: str, impact: Impact, grave: str) -> None:
    alert = replace(ALERT, kind=kind, tier=tier)
    assert severity(alert, impact, STRICT) == grave
    assert severity(replace(alert, severity=CRITICAL), impact, STRICT) == CRITICAL
    assert severity(alert, impact, Policy()) == tier


@pytest.mark.parametrize(
    ("kind", "before", "found"),
    [
        ("degradation", (), ("sre",)),
        ("botnet", (), ("security",)),
        ("unknown", (), ("sre", "security")),
        ("our own kind", (), ("sre", "security")),
        ("wallet", ("security",), ("sre", "security")),
        ("wallet", ("gone",), ("sre", "gone")),
    ],
)
def test_every_kind_has_a_team_and_teams_only_grow(
    kind: str, before: tuple[str, ...], found: tuple[str, ...]
) -> None:
    assert teams(kind, before, Policy()) == found


def test_teams_are_free_and_a_kind_may_be_several_teams_affair() -> None:
    policy = Policy(teams={"finance": ("wallet",), "abuse": ("wallet", "scrape"), "night": ()})
    assert teams("wallet", (), policy) == ("finance", "abuse")
    assert teams("flood", (), policy) == ("finance", "abuse", "night")
