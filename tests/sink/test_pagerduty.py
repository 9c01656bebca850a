"""What PagerDuty gets, held against its documented schema."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from changes import change
from far_side import PagerDuty
from receiver import Request, receiver
from seqdetect.secret import Secret
from seqdetect.sink import RefusedError, UnavailableError
from seqdetect.sink.pagerduty import PagerDutySink, events

KEY = Secret("0123456789abcdef0123456789abcdef")


@pytest.fixture
def far():
    return PagerDuty()


@pytest.fixture
def post(far):
    """Sends changes through the sink; returns it for more."""
    with receiver(far) as server:
        sink = PagerDutySink(KEY, f"{server.url}/v2/enqueue", page_url="https://scorer.example/")
        yield lambda *changes: sink.send(changes)
        sink.close()


def test_an_incident_says_what_a_person_needs(far, post):
    post(change(kind="botnet", user_id="*", users=40, teams=["security", "sre"]))
    ((key, [event]),) = far.open.items()
    assert key == "5f2c3f0a9d1b7e44.critical"
    assert event["routing_key"] == KEY
    assert event["payload"] | {"custom_details": 0} == {
        "summary": "Critical botnet: 40 users, requests 900 (expected 12)",
        "source": "seqdetect",
        "severity": "critical",
        "timestamp": "2026-03-02T10:00:00Z",
        "component": "users",
        "group": "security, sre",
        "class": "botnet",
        "custom_details": 0,
    }
    details = event["payload"]["custom_details"]
    assert details["top_features"][0]["expected"] == 12
    assert details["impact"]["cost_per_hour_usd"] == 60.5
    assert details["user_id"] == "*"
    assert [link["href"] for link in event["links"]] == [
        "https://runbooks.example/flood.md",
        "https://scorer.example/",
    ]


def test_what_comes_twice_is_one_incident_and_a_resolve_ends_it(far, post):
    post(change("open"), change("update"), change("open"))
    assert [len(events) for events in far.open.values()] == [3]
    post(change("resolve"), change("resolve"))
    assert not far.open
    assert not far.refused


def test_a_warning_that_becomes_critical_calls_anew(far, post):
    post(change("open", severity="warning"))
    assert list(far.open) == ["5f2c3f0a9d1b7e44.warning"]
    assert far.open["5f2c3f0a9d1b7e44.warning"][0]["payload"]["severity"] == "warning"
    post(change("update"))
    assert list(far.open) == ["5f2c3f0a9d1b7e44.critical"]
    post(change("resolve"))
    assert not far.open


def test_a_resolve_of_an_earlier_life_leaves_the_later_one_alone(far, post):
    post(change("open"), change("resolve"), change("open", reopened=1))
    post(change("resolve"))
    assert list(far.open) == ["5f2c3f0a9d1b7e44.1.critical"]
    post(change("resolve", reopened=1))
    assert not far.open


def test_between_two_severities_there_is_always_an_incident():
    first, then = events(change("update"), "s")
    assert (first["event_action"], then["event_action"]) == ("trigger", "resolve")


@settings(max_examples=50, deadline=None)
@given(
    st.text(max_size=3000), st.text(min_size=1, max_size=300), st.lists(st.text(max_size=100), max_size=20)
)
def test_nothing_that_users_choose_breaks_the_schema(user: str, kind: str, teams: list[str]) -> None:
    far = PagerDuty()
    long = change(user_id=user * 200, kind=kind, teams=teams, runbook_url="https://r.example/" + "x" * 9000)
    for event in events(long, "s" * 999, "https://p.example/"):
        body = json.dumps({"routing_key": KEY, **event}).encode()
        assert far(Request("/v2/enqueue", {}, body))[0] == 202, far.refused


def test_what_it_refuses_and_what_may_go_well_later():
    answers: list[Any] = [(400, {}, b"invalid key " + KEY.encode()), (429, {"Retry-After": "7"}, b"")]
    with receiver() as server:
        server.answers.extend(answers)
        sink = PagerDutySink(KEY, f"{server.url}/v2/enqueue")
        with pytest.raises(RefusedError) as refused:
            sink.send([change()])
        with pytest.raises(UnavailableError) as later:
            sink.send([change()])
        sink.close()
    assert KEY not in f"{refused.value}{later.value}{sink.__dict__}"
    assert later.value.after_s == 7
