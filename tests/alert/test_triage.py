"""Campaigns and attacks made by hand, and what each item of evidence says of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from crowds import MINUTE, NOON, TICK, requests, scored

from seqdetect.alert.crowd import Crowd
from seqdetect.alert.evidence import ATTACK, CAMPAIGN, RULES, UNCLEAR, Evidence, Triage, weighed
from seqdetect.alert.population import Active
from seqdetect.alert.triage import Moment, effective, triage

USERS = range(200)
START = NOON + 180 * MINUTE
NOW = START + 5 * MINUTE


def judged(surge: np.ndarray, surging: int, active: int = 200, calendar: Any = (), **usual: Any) -> Triage:
    """The evidence of ``surge``, five minutes of requests on top of what 200 users send all the time."""
    rng = np.random.default_rng(1)
    always = requests(NOON, NOW, 185, USERS, rng, **usual)
    return of(np.concatenate((always, surge)), Moment(START, START, NOW, surging, active), calendar)


def of(batch: np.ndarray, moment: Moment, calendar: Any = ()) -> Triage:
    crowd, active, steps = Crowd(TICK), Active(), scored(batch)
    crowd.begin(steps)
    crowd.note(steps.tick, active.note(steps, slice(0, len(steps))))
    crowd.rest()
    return triage(crowd, moment, calendar)


def more(users: range = USERS, each: int = 12, **fields: Any) -> np.ndarray:
    """Requests of ``users`` that are like their others, but for ``fields``."""
    return requests(START, NOW, each, users, np.random.default_rng(2), **fields)


def campaign(**fields: Any) -> np.ndarray:
    return more(range(120), **fields)


def attack(**fields: Any) -> np.ndarray:
    """Twenty keys, each used from many places nobody came from, by one script."""
    script: dict[str, Any] = {"network": range(5000, 6000), "agent": 77, "endpoint": 9, "prompt": 800}
    return more(range(20), 80, **(script | fields))


def item(found: Triage, name: str) -> Evidence:
    return next(one for one in found.evidence if one.name == name)


def points(found: Triage) -> dict[str, str | None]:
    return {one.name: one.points_to for one in found.evidence}


def test_many_who_do_more_of_the_same_are_a_campaign():
    found = judged(campaign(), 120)
    assert found.verdict == CAMPAIGN
    assert ATTACK not in points(found).values()
    for name in ("surging_users", "new_networks", "networks_per_user", "new_user_agents", "prompt_sizes"):
        assert points(found)[name] == CAMPAIGN, name


def test_a_few_keys_in_one_hand_are_an_attack():
    found = judged(attack(), 20)
    assert found.verdict == ATTACK
    told = points(found)
    for name in ("surging_users", "new_networks", "networks_per_user", "new_user_agents", "user_agents"):
        assert told[name] == ATTACK, name
    for name in ("prompt_sizes", "endpoint_share"):
        assert told[name] == ATTACK, name
    assert item(found, "new_networks").value == pytest.approx(1.0, abs=0.05)
    assert item(found, "new_networks").usual < 0.01
    assert item(found, "endpoint_share").value == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"network": range(5000, 5400)}, "new_networks"),
        ({"network": 5000}, "networks_per_user"),
        ({"agent": 77}, "new_user_agents"),
        ({"agent": 3}, "user_agents"),
        ({"prompt": 800}, "prompt_sizes"),
        ({"completion": 4000}, "completion_sizes"),
        ({"completion": 4000}, "completion_per_prompt"),
        ({"endpoint": 2}, "endpoint_share"),
        ({"error": 1}, "client_errors"),
    ],
)
def test_each_item_sees_its_own_change_alone(changed, name):
    usual, found = judged(campaign(), 120, error=0), judged(campaign(**changed), 120, error=0)
    assert points(usual)[name] != ATTACK
    assert points(found)[name] == ATTACK


def test_accounts_made_for_the_purpose_show():
    found = judged(attack(user=np.arange(200, 300), network=5000), 100, 300)
    assert points(found)["new_users"] == ATTACK
    assert item(found, "new_users").value == pytest.approx(1 / 3, abs=0.01)
    assert found.verdict == ATTACK


def test_users_who_come_along_point_to_a_campaign():
    quiet = requests(NOON, NOW, 185, range(20), np.random.default_rng(0))
    rest = requests(NOON, NOON + MINUTE, 1, USERS, np.random.default_rng(3))
    found = of(np.concatenate((quiet, rest, campaign())), Moment(START, START, NOW, 120, 130))
    assert points(found)["users"] == CAMPAIGN
    assert item(found, "users").value > 1.5 * item(found, "users").usual


def test_a_launch_in_the_calendar_is_named_and_outweighed():
    launch = (
        ("spring sale", START - MINUTE, START + MINUTE),
        ("autumn sale", NOW + MINUTE, NOW + 2 * MINUTE),
    )
    found = judged(campaign(), 120, calendar=launch)
    assert item(found, "calendar") == Evidence("calendar", "spring sale", None, CAMPAIGN)
    assert item(judged(campaign(), 120, calendar=launch[1:]), "calendar").points_to is None
    assert judged(attack(), 20, calendar=launch).verdict == ATTACK
    assert "calendar" not in points(judged(campaign(), 120))


def test_without_the_columns_it_is_said_that_nothing_is_known():
    absent = {"network": 0, "agent": 0, "endpoint": 0, "error": -1}
    found = judged(campaign(**absent), 120, **absent)
    for name in ("new_networks", "networks_per_user", "new_user_agents", "user_agents", "endpoint_share"):
        assert item(found, name) == Evidence(name, None, None, None)
    assert item(found, "client_errors").value is None
    assert found.verdict == CAMPAIGN, "breadth and lengths are left"


def test_a_failing_service_makes_no_campaign_of_repeated_requests():
    found = judged(campaign(error=2, completion=0), 120, error=0)
    assert found.verdict == UNCLEAR
    assert {name for name, to in points(found).items() if to is not None} <= {"surging_users", "users"}
    assert item(found, "server_errors").value > 0.3


def test_an_attack_that_breaks_the_service_is_one():
    assert judged(attack(error=2, completion=0), 20, error=0).verdict == ATTACK


def test_without_an_excess_there_is_nothing_to_compare():
    found = judged(more(each=0), 100)
    assert found.verdict == UNCLEAR
    assert item(found, "prompt_sizes").value is None


def test_after_a_cold_start_it_says_so():
    rng = np.random.default_rng(0)
    batch = requests(NOON, NOON + 5 * MINUTE, 50, USERS, rng)
    found = of(batch, Moment(NOON, NOON, NOON + 5 * MINUTE, 60, 200))
    assert found.verdict == UNCLEAR
    assert [one.name for one in found.evidence if one.value is not None] == ["surging_users"]


def test_a_table_full_of_networks_says_nothing_of_new_ones(monkeypatch):
    monkeypatch.setattr("seqdetect.alert.crowd.FULL", 0.001)
    found = judged(attack(), 20)
    assert item(found, "new_networks").value is None
    assert item(found, "new_user_agents").value is not None


@pytest.mark.parametrize(
    ("votes", "verdict"),
    [
        ({"surging_users": CAMPAIGN, "new_user_agents": CAMPAIGN}, UNCLEAR),
        ({"surging_users": CAMPAIGN, "new_user_agents": CAMPAIGN, "user_agents": CAMPAIGN}, CAMPAIGN),
        ({"new_networks": ATTACK, "users": CAMPAIGN, "surging_users": CAMPAIGN}, UNCLEAR),
        ({"new_networks": ATTACK, "users": CAMPAIGN, "new_user_agents": ATTACK}, ATTACK),
        ({}, UNCLEAR),
    ],
)
def test_few_or_balanced_votes_are_unclear(votes, verdict):
    assert weighed([Evidence(name, 1.0, 1.0, to) for name, to in votes.items()]).verdict == verdict


def test_the_payload_is_plain_and_whole():
    found = judged(campaign(), 120, calendar=(("sale", START, NOW),)).payload()
    assert found["verdict"] == CAMPAIGN
    assert [one["name"] for one in found["evidence"]] == [*(rule.name for rule in RULES), "calendar"]
    for one in found["evidence"]:
        assert set(one) == {"name", "value", "usual", "points_to"}
        assert type(one["value"]) in (float, str, type(None))
        assert type(one["usual"]) in (float, type(None))


def test_effective_numbers():
    assert effective(np.array([5, 5, 0, 5, 5])) == pytest.approx(4.0)
    assert effective(np.array([0.0, 7.0])) == pytest.approx(1.0)
