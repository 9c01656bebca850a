"""Which changes an output gets, and that it gets an alert's end where it got its beginning."""

from __future__ import annotations

import itertools

import pytest

from changes import change
from seqdetect.serve.wanted import Wanted

EVERY = [
    change(shadow=shadow, muted=muted, teams=teams, severity=severity)
    for shadow in (False, True)
    for muted in (False, True)
    for teams in (["sre"], ["security"], ["sre", "security"])
    for severity in ("warning", "critical")
]


@pytest.mark.parametrize("name", ["shadow", "muted"])
@pytest.mark.parametrize(("share", "marks"), [("no", {False}), ("only", {True}), ("too", {False, True})])
def test_marked_alerts_go_only_where_they_are_asked_for(name, share, marks):
    other = {"shadow": "muted", "muted": "shadow"}[name]
    got = [one for one in EVERY if Wanted(**{name: share, other: "too"})(one)]
    assert {one[name] for one in got} == marks
    assert len(got) == len(EVERY) * len(marks) // 2


@pytest.mark.parametrize("teams", [(), ("sre",), ("security",), ("sre", "security")])
@pytest.mark.parametrize("severity", ["warning", "critical"])
def test_an_alert_of_one_of_the_teams_and_severe_enough_is_wanted(teams, severity):
    wanted = Wanted(teams=teams, severity=severity)
    for one in EVERY:
        fits = (not teams or set(teams) & set(one["teams"])) and one["severity"] in (severity, "critical")
        assert wanted(one) == (bool(fits) and not one["shadow"] and not one["muted"])


def test_who_gets_one_change_of_a_life_gets_all_that_come_after():
    stages = [
        {"teams": teams, "severity": severity, "muted": muted}
        for teams in (["sre"], ["sre", "security"])
        for severity in ("warning", "critical")
        for muted in (True, False)
    ]
    filters = [
        Wanted(teams=teams, severity=severity, muted=muted)
        for teams in ((), ("sre",), ("security",))
        for severity in ("warning", "critical")
        for muted in ("no", "too")
    ]
    for first, second in itertools.combinations(stages, 2):
        grows = (
            set(first["teams"]) <= set(second["teams"])
            and (first["severity"], second["severity"]) != ("critical", "warning")
            and first["muted"] >= second["muted"]
        )
        if grows:
            for wanted in filters:
                assert wanted(change("update", **second)) >= wanted(change("open", **first))
