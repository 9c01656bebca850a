"""What Opsgenie and Jira Service Management get, held against the documented schema."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from changes import change
from far_side import Opsgenie
from receiver import Request, receiver
from seqdetect.secret import Secret
from seqdetect.sink import RefusedError
from seqdetect.sink.opsgenie import OpsgenieSink, priority, requests

KEY = Secret("eb243592-faa2-4ba2-a551q-1afdf565c889")
NONE = {"cost_per_hour_usd": None, "traffic_share": None, "slo_burn": None}


@pytest.fixture
def far():
    return Opsgenie()


@pytest.fixture
def post(far):
    """Sends changes through the sink."""
    with receiver(far) as server:
        sink = OpsgenieSink(KEY, f"{server.url}/")
        yield lambda *changes: sink.send(changes)
        sink.close()
        assert {request.headers["authorization"] for request in server.requests} == {f"GenieKey {KEY}"}


def test_an_alert_says_what_a_person_needs(far, post):
    post(change())
    ((alias, [alert]),) = far.open.items()
    assert alias == alert["alias"] == "5f2c3f0a9d1b7e44.critical"
    assert alert["message"] == "Critical flood: user u-1, requests 900 (expected 12)"
    assert "31% of all tokens" in alert["description"]
    assert alert["tags"] == ["flood", "critical", "users", "sre"]
    assert alert["entity"] == "u-1"
    assert alert["details"]["cost_per_hour_usd"] == "60.5"
    assert "slo_burn" not in alert["details"]


def test_updates_are_noted_and_a_resolve_closes(far, post):
    post(change("open"), change("update", kind="wallet"))
    ((_, messages),) = far.open.items()
    assert messages[-1]["note"].startswith("Critical wallet: user u-1")
    post(change("resolve"), change("resolve"))
    assert not far.open
    assert not far.refused


def test_an_update_that_comes_first_makes_the_alert(far, post):
    post(change("update"))
    assert list(far.open) == ["5f2c3f0a9d1b7e44.critical"]


def test_a_warning_that_becomes_critical_calls_anew(far, post):
    post(change("open", severity="warning"), change("update"))
    assert list(far.open) == ["5f2c3f0a9d1b7e44.critical"]
    post(change("resolve"))
    assert not far.open
    assert set(far.closed) == {"5f2c3f0a9d1b7e44.critical", "5f2c3f0a9d1b7e44.warning"}


@pytest.mark.parametrize(
    ("expected", "more"),
    [
        ("P2", {"impact": NONE}),
        ("P1", {"impact": NONE | {"cost_per_hour_usd": 100.0}}),
        ("P2", {"impact": NONE | {"cost_per_hour_usd": 99.9}}),
        ("P1", {"impact": NONE | {"traffic_share": 0.25}}),
        ("P1", {"impact": NONE | {"slo_burn": 15.0}}),
        ("P4", {"impact": NONE, "severity": "warning"}),
        ("P3", {"impact": NONE | {"slo_burn": 14.4}, "severity": "warning"}),
        ("P5", {"shadow": True}),
        ("P5", {"muted": True}),
    ],
)
def test_priority_is_severity_and_impact(expected: str, more: dict[str, Any]):
    assert priority(change(**more), 100.0) == expected


def test_no_id_is_markup():
    ((_, alert),) = requests(change(user_id="<img src=x>&lt;b"), "s")
    assert not set("<>&") & set(alert["message"] + alert["description"])
    assert alert["details"]["user_id"] == "<img src=x>&lt;b"


@settings(max_examples=50, deadline=None)
@given(
    st.text(max_size=3000), st.text(min_size=1, max_size=300), st.lists(st.text(max_size=100), max_size=30)
)
def test_nothing_that_users_choose_breaks_the_schema(user: str, kind: str, teams: list[str]) -> None:
    far = Opsgenie()
    evidence = [{"name": "n", "value": user, "usual": 1.0, "points_to": None}] * 30
    long = change("update", user_id=user * 200, kind=kind, teams=teams, runbook_url="https://r.example/" + "x" * 9000,
                  triage={"verdict": "attack", "evidence": evidence})  # fmt: skip
    for path, body in requests(long, "s" * 999):
        request = Request(f"/v2/alerts{path}", {"authorization": "GenieKey k"}, json.dumps(body).encode())
        assert far(request)[0] == 202, far.refused


def test_what_it_refuses_is_told_without_the_key():
    with receiver() as server:
        server.answers.append((422, {}, b"bad key " + KEY.encode()))
        sink = OpsgenieSink(KEY, server.url)
        with pytest.raises(RefusedError, match="422") as refused:
            sink.send([change()])
        sink.close()
    assert KEY not in str(refused.value)
